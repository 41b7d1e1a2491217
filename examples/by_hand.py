"""The article's network in NumPy alone, with its backward pass derived by hand.

Columns are samples here: X is (features, m) and Y is (outputs, m). tinygrad_nn keeps samples in
rows and derives the backward pass itself; the tests compare it with this file. Numbers keep their
dtype.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from tinygrad_nn.data import make_moons, train_test_split

Arrays = dict[str, np.ndarray]
Architecture = list[dict[str, Any]]

EXPERIMENT: Architecture = [
    {"input_dim": 2, "output_dim": 25, "activation": "relu"},
    {"input_dim": 25, "output_dim": 50, "activation": "relu"},
    {"input_dim": 50, "output_dim": 50, "activation": "relu"},
    {"input_dim": 50, "output_dim": 25, "activation": "relu"},
    {"input_dim": 25, "output_dim": 1, "activation": "sigmoid"},
]


def initialise(architecture: Architecture, seed: int = 99, dtype: Any = np.float64) -> Arrays:
    """Return W1 (output_dim, input_dim), b1 (output_dim, 1), W2, ...: standard normal draws times 0.1."""
    generator = np.random.RandomState(seed)
    parameters = {}
    for number, layer in enumerate(architecture, start=1):
        n, k = layer["output_dim"], layer["input_dim"]
        parameters[f"W{number}"] = (generator.randn(n, k) * 0.1).astype(dtype)
        parameters[f"b{number}"] = (generator.randn(n, 1) * 0.1).astype(dtype)
    return parameters


def relu(Z: np.ndarray) -> np.ndarray:
    """Return the positive part. Shapes: (n, m) -> (n, m)."""
    return np.asarray(np.maximum(Z, 0))


def sigmoid(Z: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-Z)). Shapes: (n, m) -> (n, m)."""
    return np.asarray(1 / (1 + np.exp(-Z)))


def relu_backward(dA: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return dA where Z is positive, else 0. Shapes: (n, m), (n, m) -> (n, m)."""
    return np.where(Z <= 0, 0, dA)


def sigmoid_backward(dA: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return dA times the slope s (1 - s) of the sigmoid. Shapes: (n, m), (n, m) -> (n, m)."""
    s = sigmoid(Z)
    return np.asarray(dA * s * (1 - s))


ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid}
BACKWARD = {"relu": relu_backward, "sigmoid": sigmoid_backward}


def forward(X: np.ndarray, parameters: Arrays, architecture: Architecture) -> tuple[np.ndarray, Arrays]:
    """Return the last layer's A (outputs, m), and the memory A0, Z1, A1, ... that the backward pass reads."""
    memory = {"A0": X}
    for number, layer in enumerate(architecture, start=1):
        Z = parameters[f"W{number}"] @ memory[f"A{number - 1}"] + parameters[f"b{number}"]
        memory[f"Z{number}"] = Z
        memory[f"A{number}"] = ACTIVATIONS[layer["activation"]](Z)
    return memory[f"A{len(architecture)}"], memory


def cost(Y_hat: np.ndarray, Y: np.ndarray) -> Any:
    """Return the binary cross entropy, summed over outputs and averaged over samples, as a number."""
    return -np.sum(Y * np.log(Y_hat) + (1 - Y) * np.log(1 - Y_hat)) / Y.shape[1]


def accuracy(Y_hat: np.ndarray, Y: np.ndarray) -> float:
    """Return the share of samples all of whose outputs, rounded to 0 or 1, equal the labels."""
    return float(((Y_hat > 0.5) == Y).all(axis=0).mean())


def backward(Y: np.ndarray, memory: Arrays, parameters: Arrays, architecture: Architecture) -> Arrays:
    """Return dA, dZ, dW and db of every layer, by name, and dA0.

    The factor 1/m of the cost enters at dW and db, so every dA and dZ is m times the true derivative.
    """
    last, m = len(architecture), Y.shape[1]
    Y_hat = memory[f"A{last}"]
    gradients = {f"dA{last}": -(Y / Y_hat - (1 - Y) / (1 - Y_hat))}
    for number in range(last, 0, -1):
        activation_backward = BACKWARD[architecture[number - 1]["activation"]]
        dZ = activation_backward(gradients[f"dA{number}"], memory[f"Z{number}"])
        gradients[f"dZ{number}"] = dZ
        gradients[f"dW{number}"] = dZ @ memory[f"A{number - 1}"].T / m
        gradients[f"db{number}"] = dZ.sum(axis=1, keepdims=True) / m
        gradients[f"dA{number - 1}"] = parameters[f"W{number}"].T @ dZ
    return gradients


def update(parameters: Arrays, gradients: Arrays, learning_rate: float) -> Arrays:
    """Return the parameters after one step of gradient descent."""
    return {name: value - learning_rate * gradients[f"d{name}"] for name, value in parameters.items()}


def train(
    X: np.ndarray, Y: np.ndarray, parameters: Arrays, architecture: Architecture, epochs: int, learning_rate: float
) -> tuple[Arrays, list[Any], list[float]]:
    """Return the trained parameters, and the cost and accuracy of every epoch before its update."""
    costs, accuracies = [], []
    for _ in range(epochs):
        Y_hat, memory = forward(X, parameters, architecture)
        costs.append(cost(Y_hat, Y))
        accuracies.append(accuracy(Y_hat, Y))
        parameters = update(parameters, backward(Y, memory, parameters, architecture), learning_rate)
    return parameters, costs, accuracies


def main() -> None:
    """Train the article's experiment and print its costs and accuracies."""
    parser = argparse.ArgumentParser(description="The article's experiment, with the backward pass by hand.")
    parser.add_argument("--epochs", type=int, default=10_000, help="updates on the whole training set (%(default)s)")
    epochs = parser.parse_args().epochs
    if epochs < 1:
        parser.error("--epochs must be at least 1")
    X_train, X_test, y_train, y_test = train_test_split(*make_moons())
    X, Y = X_train.T, y_train.reshape(1, -1)
    parameters, costs, accuracies = train(X, Y, initialise(EXPERIMENT, seed=2), EXPERIMENT, epochs, 0.01)
    print("epoch   cost                 training accuracy")
    for epoch in sorted({0, 1, 10, 100, 1000, 2000, 5000, epochs - 1}):
        if epoch < epochs:
            print(f"{epoch:>5,}   {float(costs[epoch])!r:<19}  {accuracies[epoch]:.6f}")
    Y_hat, _ = forward(X_test.T, parameters, EXPERIMENT)
    print(f"test accuracy {accuracy(Y_hat, y_test.reshape(1, -1)):g}")


if __name__ == "__main__":
    main()
