"""The training step in NumPy alone: as in the article, and in two hand-optimised versions.

`plain` is the yardstick: every product, activation and update goes into a buffer made beforehand,
by the obvious NumPy calls. `tuned` is the same step with the calls that measured fastest.
A contestant is an object made from a `Training`; calling it runs one step, and `parameters()` returns
W1 (out, in), b1 (out,), W2, ... as they are now.
"""

# ruff: noqa: D102  (the text above says what a contestant's methods do)
from __future__ import annotations

from typing import Any

import numpy as np
from works import LEARNING_RATE, Training


def one_hot(y: np.ndarray, work: Training) -> np.ndarray:
    """Return the labels as targets of the last layer's probabilities. Shapes: -> (rows, outputs)."""
    return y if work.binary else np.eye(work.widths[-1], dtype=work.dtype)[y]


class Article:
    """The article's own code: columns are samples, a dictionary remembers A and Z, nothing is reused.

    With several outputs, which the article does not train, it ends in softmax and cross entropy; then
    dZ of the last layer is the probabilities minus the targets.
    """

    def __init__(self, work: Training) -> None:
        X, y = work.data()
        self.binary, self.X, self.Y = work.binary, X.T, one_hot(y, work).T
        self.layers = len(work.widths) - 1
        self.values: dict[str, np.ndarray] = {}
        for i, array in enumerate(work.initial()):
            self.values[f"{'Wb'[i % 2]}{i // 2 + 1}"] = array.reshape(len(array), -1)

    def __call__(self) -> None:
        memory, Y_hat = self.forward()
        self.cost = self.cost_of(Y_hat)
        for name, gradient in self.backward(memory, Y_hat).items():
            self.values[name] -= LEARNING_RATE * gradient

    def forward(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        memory, A = {}, self.X
        for number in range(1, self.layers + 1):
            memory[f"A{number - 1}"] = A
            Z = np.dot(self.values[f"W{number}"], A) + self.values[f"b{number}"]
            memory[f"Z{number}"] = Z
            A = np.maximum(0, Z) if number < self.layers else self.last_activation(Z)
        return memory, A

    def last_activation(self, Z: np.ndarray) -> Any:
        if self.binary:
            return 1 / (1 + np.exp(-Z))
        e = np.exp(Z - Z.max(axis=0))
        return e / e.sum(axis=0)

    def cost_of(self, Y_hat: np.ndarray) -> Any:
        m = Y_hat.shape[1]
        if self.binary:
            cost = -1 / m * (np.dot(self.Y, np.log(Y_hat).T) + np.dot(1 - self.Y, np.log(1 - Y_hat).T))
            return np.squeeze(cost)
        return -np.log((self.Y * Y_hat).sum(axis=0)).mean()

    def backward(self, memory: dict[str, np.ndarray], Y_hat: np.ndarray) -> dict[str, np.ndarray]:
        m, gradients = Y_hat.shape[1], {}
        dA = -(np.divide(self.Y, Y_hat) - np.divide(1 - self.Y, 1 - Y_hat)) if self.binary else Y_hat - self.Y
        for number in range(self.layers, 0, -1):
            Z, A_before = memory[f"Z{number}"], memory[f"A{number - 1}"]
            if number < self.layers:
                dZ = np.array(dA, copy=True)
                dZ[Z <= 0] = 0
            elif self.binary:
                s = 1 / (1 + np.exp(-Z))
                dZ = dA * s * (1 - s)
            else:
                dZ = dA
            gradients[f"W{number}"] = np.dot(dZ, A_before.T) / m
            gradients[f"b{number}"] = np.sum(dZ, axis=1, keepdims=True) / m
            dA = np.dot(self.values[f"W{number}"].T, dZ)
        return gradients

    def parameters(self) -> list[np.ndarray]:
        return [v if name[0] == "W" else v[:, 0] for name, v in self.values.items()]


class Plain:
    """Rows are samples; every array is made beforehand and written with `out=`."""

    def __init__(self, work: Training) -> None:
        self.X, y = work.data()
        self.binary, self.Y = work.binary, one_hot(y, work)
        initial, m = work.initial(), work.rows
        self.W, self.b = initial[::2], initial[1::2]
        self.dW, self.db = [np.empty_like(W) for W in self.W], [np.empty_like(b) for b in self.b]
        self.A = [np.empty((m, len(b)), work.dtype) for b in self.b]
        self.dA = [np.empty_like(A) for A in self.A]
        self.masks = [np.empty(A.shape, bool) for A in self.A[:-1]]
        self.row = [np.empty((m, 1), work.dtype) for _ in range(2)]
        self.terms = [np.empty_like(self.Y) for _ in range(2)]
        self.negative = np.empty(self.Y.shape, bool)

    def __call__(self) -> None:
        a = self.X
        for layer, z in enumerate(self.A):
            np.matmul(a, self.W[layer].T, out=z)
            self.add_bias(layer, z)
            if layer < len(self.A) - 1:
                self.relu(layer, z)
            a = z
        self.cost = self.binary_cost(a) if self.binary else self.class_cost(a)
        for layer in range(len(self.A) - 1, -1, -1):
            g, before = self.dA[layer], self.A[layer - 1] if layer else self.X
            np.matmul(g.T, before, out=self.dW[layer])
            self.sum_over_rows(layer, g)
            if layer:
                np.matmul(g, self.W[layer], out=self.dA[layer - 1])
                self.mask(layer - 1, self.dA[layer - 1])
        for w, dw in zip(self.W + self.b, self.dW + self.db, strict=True):
            np.multiply(dw, LEARNING_RATE, out=dw)
            np.subtract(w, dw, out=w)

    def add_bias(self, layer: int, z: np.ndarray) -> None:
        np.add(z, self.b[layer], out=z)

    def relu(self, layer: int, z: np.ndarray) -> None:
        np.maximum(z, 0, out=z)

    def mask(self, layer: int, g: np.ndarray) -> None:
        """Set the cotangent to zero where relu's output is zero."""
        np.greater(self.A[layer], 0, out=self.masks[layer])
        np.multiply(g, self.masks[layer], out=g)

    def sum_over_rows(self, layer: int, g: np.ndarray) -> None:
        np.sum(g, axis=0, out=self.db[layer])

    def binary_cost(self, z: np.ndarray) -> Any:
        """Return the mean of max(z, 0) - z y + log(1 + exp(-|z|)); its slope is (sigmoid(z) - y) / m."""
        e, g = self.terms[0], self.dA[-1]
        np.abs(z, out=e)
        np.negative(e, out=e)
        np.exp(e, out=e)
        np.log1p(e, out=self.terms[1])
        np.maximum(z, 0, out=g)
        np.add(self.terms[1], g, out=self.terms[1])
        np.multiply(z, self.Y, out=g)
        np.subtract(self.terms[1], g, out=self.terms[1])
        np.less(z, 0, out=self.negative)
        g.fill(1)
        np.copyto(g, e, where=self.negative)
        np.add(e, 1, out=e)
        np.divide(g, e, out=g)
        np.subtract(g, self.Y, out=g)
        np.divide(g, len(z), out=g)
        return self.terms[1].mean()

    def class_cost(self, z: np.ndarray) -> Any:
        """Return the mean of -log softmax(z) at the class; its slope is (softmax(z) - one-hot) / m."""
        shifted, product, g, (top, total) = self.terms[0], self.terms[1], self.dA[-1], self.row
        np.max(z, axis=1, keepdims=True, out=top)
        np.subtract(z, top, out=shifted)
        np.exp(shifted, out=g)
        np.sum(g, axis=1, keepdims=True, out=total)
        np.divide(g, total, out=g)
        np.log(total, out=total)
        np.subtract(shifted, total, out=shifted)
        np.multiply(shifted, self.Y, out=product)
        np.subtract(g, self.Y, out=g)
        np.divide(g, len(z), out=g)
        return -product.sum() / len(z)

    def parameters(self) -> list[np.ndarray]:
        return [array for pair in zip(self.W, self.b, strict=True) for array in pair]


class Tuned(Plain):
    """The same step, each line with the NumPy calls that measured fastest at these sizes.

    `maximum` runs vectorised with an array of zeros, but not with a scalar; a product with a row of
    ones is faster than `sum`; and the mask multiplies the cotangent's bits, as integers, by
    min(bits of a, 1), which is 1 where a > 0 and 0 where a is 0: no booleans, no conversion.
    """

    def __init__(self, work: Training) -> None:
        super().__init__(work)
        word = np.int64 if work.dtype == "float64" else np.int32
        self.zeros = [np.zeros_like(A) for A in self.A]
        self.ones = np.ones(work.rows, work.dtype)
        self.bits = [A.view(word) for A in self.A]
        self.units = [np.ones(A.shape, word) for A in self.A]
        self.live = [np.empty(A.shape, word) for A in self.A]

    def relu(self, layer: int, z: np.ndarray) -> None:
        np.maximum(z, self.zeros[layer], out=z)

    def mask(self, layer: int, g: np.ndarray) -> None:
        bits = g.view(self.bits[layer].dtype)
        np.minimum(self.bits[layer], self.units[layer], out=self.live[layer])
        np.multiply(bits, self.live[layer], out=bits)

    def sum_over_rows(self, layer: int, g: np.ndarray) -> None:
        np.matmul(self.ones, g, out=self.db[layer])
