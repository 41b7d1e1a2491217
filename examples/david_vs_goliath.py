"""The article's comparison: its network against Keras, as published and on equal terms.

As published, the two differ in more than their code: Goliath starts from Glorot weights and takes
29 small steps an epoch, David starts from small weights and takes one. On equal terms they share
initial numbers, data and updates, and so do PyTorch and scikit-learn, as far as they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import by_hand
import numpy as np
from moons import draw_boundary

import tinygrad_nn as tg

LEARNING_RATE = 0.01
Parameters = dict[str, np.ndarray]


@dataclass
class Contender:
    """A network that trains for so many more full-batch epochs, and shows its parameters."""

    name: str
    train: Callable[[int], Any]
    parameters: Callable[[], Parameters]
    predict_proba: Callable[[np.ndarray], np.ndarray]


def installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def named(weights: Any, biases: Any) -> Parameters:
    """Return weights (out, in) and biases (out,) under the article's names W1, b1, W2, ..."""
    pairs = enumerate(zip(weights, biases, strict=True), start=1)
    return {f"{k}{n}": np.array(v) for n, pair in pairs for k, v in zip("Wb", pair, strict=True)}


def layers_of(start: Parameters) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return W (out, in) and b (out,) of each layer."""
    return [(start[f"W{n}"], start[f"b{n}"]) for n in range(1, len(start) // 2 + 1)]


def ours(X: np.ndarray, y: np.ndarray, start: Parameters) -> Contender:
    """Return this library's network."""
    network = tg.nn.DenseNetwork(by_hand.EXPERIMENT)
    network.load_state_dict(start)

    def train(epochs: int) -> None:
        tg.train(network, X, y, epochs, LEARNING_RATE, progress=False)

    return Contender(f"tinygrad_nn {tg.__version__}", train, network.state_dict, network.predict_proba)


def hand_written(X: np.ndarray, y: np.ndarray, start: Parameters) -> Contender:
    """Return the article's algorithm, its backward pass by hand."""
    state = {"now": {name: v.reshape(len(v), -1) for name, v in start.items()}}

    def train(epochs: int) -> None:
        arguments = X.T, y.reshape(1, -1), state["now"], by_hand.EXPERIMENT, epochs, LEARNING_RATE
        state["now"] = by_hand.train(*arguments)[0]

    return Contender(
        f"by hand, NumPy {np.__version__}",
        train,
        lambda: {name: v if name[0] == "W" else v[:, 0] for name, v in state["now"].items()},
        lambda X: by_hand.forward(X.T, state["now"], by_hand.EXPERIMENT)[0].T,
    )


def pytorch(X: np.ndarray, y: np.ndarray, start: Parameters) -> Contender:
    """Return the same network in PyTorch, in double precision."""
    import torch

    steps: list[Any] = []
    for W, b in layers_of(start):
        layer = torch.nn.Linear(*W.T.shape, dtype=torch.float64)
        layer.load_state_dict({"weight": torch.tensor(W), "bias": torch.tensor(b)})
        steps += [layer, torch.nn.ReLU()]
    model = torch.nn.Sequential(*steps[:-1])
    linear = steps[::2]
    inputs, labels = torch.tensor(X), torch.tensor(y, dtype=torch.float64).reshape(-1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def train(epochs: int) -> None:
        for _ in range(epochs):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(model(inputs), labels).backward()
            optimizer.step()

    def predict_proba(X: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            probabilities: np.ndarray = torch.sigmoid(model(torch.tensor(X))).numpy()
        return probabilities

    return Contender(
        f"PyTorch {version('torch')}",
        train,
        lambda: named([v.weight.detach().numpy() for v in linear], [v.bias.detach().numpy() for v in linear]),
        predict_proba,
    )


def scikit_learn(X: np.ndarray, y: np.ndarray, start: Parameters) -> Contender:
    """Return the same network as scikit-learn's MLPClassifier, its extras (momentum, penalty) off."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    hidden = [len(b) for _, b in layers_of(start)[:-1]]
    model = MLPClassifier(
        hidden, solver="sgd", momentum=0, nesterovs_momentum=False, alpha=0, batch_size=len(X), shuffle=False,
        learning_rate_init=LEARNING_RATE, warm_start=True, n_iter_no_change=10**9, random_state=0,
    )  # fmt: skip
    # Only a fit makes the arrays, which then take the shared numbers.
    model.partial_fit(X, y, classes=[0, 1])
    for (W, b), weights, biases in zip(layers_of(start), model.coefs_, model.intercepts_, strict=True):
        weights[...], biases[...] = W.T, b

    def train(epochs: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(max_iter=epochs).fit(X, y)

    return Contender(
        f"scikit-learn {version('scikit-learn')}",
        train,
        lambda: named([w.T for w in model.coefs_], model.intercepts_),
        lambda X: np.asarray(model.predict_proba(X)[:, 1:]),
    )


def keras_model(dtype: str) -> Any:
    """Return the experiment's layers in Keras, with Keras's own initial numbers, compiled for plain SGD."""
    import keras

    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(0)
    shape = keras.Input((2,))
    dense = [keras.layers.Dense(v["output_dim"], activation=v["activation"]) for v in by_hand.EXPERIMENT]
    model = keras.Sequential([shape, *dense])
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(LEARNING_RATE))
    return model


def keras_equal(X: np.ndarray, y: np.ndarray, start: Parameters) -> Contender:
    """Return the same network in Keras, in double precision."""
    model = keras_model("float64")
    for (W, b), layer in zip(layers_of(start), model.layers, strict=True):
        layer.set_weights([W.T, b])

    def parameters() -> Parameters:
        weights, biases = zip(*(layer.get_weights() for layer in model.layers), strict=True)
        return named([w.T for w in weights], biases)

    return Contender(
        keras_name(),
        lambda epochs: model.fit(X, y, batch_size=len(X), epochs=epochs, shuffle=False, verbose=0),
        parameters,
        lambda X: np.asarray(model.predict(X, verbose=0)),
    )


def keras_name() -> str:
    """Return Keras's version and backend."""
    import keras

    return f"Keras {keras.__version__} on {keras.config.backend()}"


def choose_keras_backend() -> bool:
    """Return whether Keras can run, on the backend that the user names or on one that is installed."""
    backends = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}
    found = [name for name, package in backends.items() if installed(package)]
    if installed("keras") and found:
        os.environ.setdefault("KERAS_BACKEND", found[0])
        os.environ.setdefault("JAX_ENABLE_X64", "1")
        return True
    return False


def glorot(seed: int) -> Parameters:
    """Return Keras's kind of initial numbers: uniform up to sqrt(6 / (in + out)), biases 0.

    Source: Glorot and Bengio, Understanding the difficulty of training deep networks (2010), equation 16.
    """
    generator = np.random.default_rng(seed)
    shapes = [(layer["output_dim"], layer["input_dim"]) for layer in by_hand.EXPERIMENT]
    weights = [generator.uniform(-1, 1, shape) * np.sqrt(6 / sum(shape)) for shape in shapes]
    return named(weights, [np.zeros(n) for n, _ in shapes])


def as_published(split: Any, quick: bool, keras: bool) -> list[tuple[str, Any]]:
    """Print the article's comparison; return name and predict_proba of David and of Goliath."""
    X_train, X_test, y_train, y_test = split
    david, stand_in = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2), tg.nn.DenseNetwork(by_hand.EXPERIMENT)
    stand_in.load_state_dict(glorot(0))
    few, many = (3, 100) if quick else (200, 10_000)
    rows: list[tuple[str, str, Callable[[], Any], Any]] = [
        (
            f"David: tinygrad_nn {tg.__version__}",
            f"normal x 0.1, full batch, {many:,} epochs",
            lambda: tg.train(david, X_train, y_train, many, LEARNING_RATE, progress=False),
            david.predict_proba,
        ),
        (
            "Goliath's settings, tinygrad_nn",
            f"Glorot, batches of 32, {few} epochs",
            lambda: tg.train(stand_in, X_train, y_train, few, LEARNING_RATE, batch_size=32, progress=False),
            stand_in.predict_proba,
        ),
    ]
    if keras:
        goliath = keras_model("float32")
        rows.append(
            (
                f"Goliath: {keras_name()}",
                f"Glorot, batches of 32, {few} epochs",
                lambda: goliath.fit(X_train, y_train, batch_size=32, epochs=few, verbose=0),
                lambda X: np.asarray(goliath.predict(X, verbose=0)),
            )
        )
    print("As published" + ("" if keras else " (Keras is not installed: Goliath's settings in tinygrad_nn stand in)"))
    print(f"{'':<32}  {'start and updates':<42}  {'test accuracy':>13}  {'time':>8}")
    for name, settings, train, predict_proba in rows:
        started = time.perf_counter()
        train()
        seconds = time.perf_counter() - started
        right = tg.accuracy(predict_proba(X_test), y_test)
        print(f"{name:<32}  {settings:<42}  {right:>13.2f}  {seconds:>6.1f} s")
    return [(name, predict_proba) for name, _, _, predict_proba in (rows[0], rows[-1])]


def milliseconds_per_epoch(contender: Contender, epochs: int) -> float:
    """Return the median over ten stretches of the epochs, which a busy machine disturbs less than their mean."""
    found = []
    for stretch in filter(len, np.array_split(np.arange(epochs), 10)):
        started = time.perf_counter()
        contender.train(len(stretch))
        found.append((time.perf_counter() - started) / len(stretch) * 1e3)
    return float(np.median(found))


def on_equal_terms(split: Any, epochs: int, keras: bool) -> None:
    """Print what each library makes of the same initial numbers and the same full-batch updates."""
    X_train, X_test, y_train, y_test = split
    start = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2).state_dict()
    makers = [hand_written, ours]
    makers += [pytorch] if installed("torch") else []
    makers += [scikit_learn] if installed("sklearn") else []
    makers += [keras_equal] if keras else []
    compared = min(epochs, 100)
    print(f"\nOn equal terms: the article's initial numbers, full batch, learning rate {LEARNING_RATE}, float64")
    print(f"{'':<28}  {'test accuracy':>13}  {'ms per epoch':>12}  {f'largest difference after {compared} epochs':>38}")
    reference: Parameters = {}
    for make in makers:
        # The first epochs of a fresh network pay for compiling and for memory, so they don't count.
        make(X_train, y_train, start).train(3)
        contender = make(X_train, y_train, start)
        milliseconds = milliseconds_per_epoch(contender, compared)
        found = contender.parameters()
        reference = reference or found
        difference = max(float(np.abs(found[name] - reference[name]).max()) for name in reference)
        if epochs > compared:
            contender.train(epochs - compared)
        right = tg.accuracy(contender.predict_proba(X_test), y_test)
        shown = "0, the reference" if make is hand_written else f"{difference:.1e}"
        print(f"{contender.name:<28}  {right:>13.2f}  {milliseconds:>12.2f}  {shown:>38}")
    print(f"(test accuracy after {epochs:,} epochs; parameters compared with those of the hand-written network)")


def main() -> None:
    """Print both tables, and draw both decision boundaries where matplotlib is installed."""
    parser = argparse.ArgumentParser(description="The article's network against Keras, PyTorch and scikit-learn.")
    parser.add_argument("--epochs", type=int, default=10_000, help="on equal terms (%(default)s)")
    parser.add_argument("--output", default="david_vs_goliath.png", help="the picture (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few epochs of everything, too few to learn")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if not pathlib.Path(options.output).absolute().parent.is_dir():
        parser.error(f"--output {options.output} lies in a folder that does not exist; make it first")

    keras = choose_keras_backend()
    split = tg.data.train_test_split(*tg.data.make_moons())
    models = as_published(split, options.quick, keras)
    on_equal_terms(split, 100 if options.quick else options.epochs, keras)
    if not installed("matplotlib"):
        print("no picture: python -m pip install matplotlib")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    for ax, (name, predict_proba) in zip(figure.subplots(1, 2), models, strict=True):
        draw_boundary(ax, predict_proba, split[1], split[3], name)
    figure.savefig(options.output)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
