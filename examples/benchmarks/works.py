"""What is measured: six training steps and three chains, with their data and first numbers.

(a) is the article's step, in two dtypes; (b) and (c) are classifiers of ten classes; (d) is a chain
of small operations, where the price of recording an operation shows; (e) is the article's network on
100,000 samples, where memory is the limit; (f) is the network of the article's first figure on 4
samples, where only the number of calls counts. Initial weights are scaled by He's rule in all of them,
so that every parameter moves visibly in one step; the time does not depend on that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Training:
    """One full-batch gradient-descent step of a dense relu network.

    One output is trained by binary cross entropy on logits, several by cross entropy.
    """

    title: str
    widths: tuple[int, ...]
    rows: int
    dtype: str

    @property
    def binary(self) -> bool:
        """Whether there is one output, trained by binary cross entropy."""
        return self.widths[-1] == 1

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return X (rows, inputs) and y: 0.0 and 1.0, (rows, 1), or class indices (rows,)."""
        generator = np.random.default_rng(0)
        X = generator.standard_normal((self.rows, self.widths[0])).astype(self.dtype)
        if self.binary:
            return X, (X[:, :1] * X[:, 1:2] > 0).astype(self.dtype)
        return X, generator.integers(0, self.widths[-1], self.rows)

    def initial(self) -> list[np.ndarray]:
        """Return W1 (out, in), b1 (out,), W2, ..., the same for every contestant."""
        generator = np.random.default_rng(1)
        numbers: list[np.ndarray] = []
        for k, n in zip(self.widths, self.widths[1:], strict=False):
            numbers.append((generator.standard_normal((n, k)) * (2 / k) ** 0.5).astype(self.dtype))
            numbers.append((generator.standard_normal(n) * 0.1).astype(self.dtype))
        return numbers

    def miniature(self) -> Training:
        """Return the same step on a tiny network, which pages in all the code that the step runs."""
        return Training("miniature", (2, 3, self.widths[-1]), 4, self.dtype)


@dataclass(frozen=True)
class Chain:
    """A chain of alternating products and sums, y * a and y + b, float64, forward and backward.

    It has `operations` of them. The gradients are those of the first y and of both operands.
    """

    title: str
    shape: tuple[int, ...]
    operations: int = 4000

    def initial(self) -> list[np.ndarray]:
        """Return the first y, a and b, close to a fixed point, so that nothing grows or vanishes."""
        generator = np.random.default_rng(2)
        start = 1 + 0.01 * generator.standard_normal(self.shape)
        return [np.asarray(start), np.full(self.shape, 0.9995), np.full(self.shape, 0.0005)]


ARTICLE = (2, 25, 50, 50, 25, 1)
WORKS: dict[str, Training | Chain] = {
    "a64": Training("(a) article's step: 900 x 2-25-50-50-25-1, float64", ARTICLE, 900, "float64"),
    "a32": Training("(a) article's step: 900 x 2-25-50-50-25-1, float32", ARTICLE, 900, "float32"),
    "b": Training("(b) 128 x 784-256-128-10, float32, cross entropy", (784, 256, 128, 10), 128, "float32"),
    "c": Training("(c) 1024 x 1024-1024-1024-10, float32, cross entropy", (1024, 1024, 1024, 10), 1024, "float32"),
    "d0": Chain("(d) one operation of a chain of 4,000, shape ()", ()),
    "d1": Chain("(d) one operation of a chain of 4,000, shape (32,)", (32,)),
    "d2": Chain("(d) one operation of a chain of 4,000, shape (100, 100)", (100, 100)),
    "e5": Training("(e) 100,000 x 2-25-50-50-25-1, float32", ARTICLE, 100_000, "float32"),
    "f1": Training("(f) 4 x 2-4-6-6-4-1, the network of figure 1, float64", (2, 4, 6, 6, 4, 1), 4, "float64"),
}


def largest_error(found: list[np.ndarray], right: list[np.ndarray], dtype: Any) -> float:
    """Return the largest error of any array, in units of what rounding allows: right up to 1.

    Rounding may change 1e-9 (float64) or 1e-3 (float32) of the largest entry of an array in `right`. The
    arrays are gradients, or changes by a step, so a step that does nothing is at hundreds. In float32 one
    entry in a hundred may be further off: a relu within rounding of zero is on for one library and off for
    another, and moves the entries of its row. Wrong formulas are found in float64.
    """
    relative, judged = (1e-9, 1.0) if np.dtype(dtype) == np.float64 else (1e-3, 0.99)
    errors = []
    for f, r in zip(found, right, strict=True):
        if f.shape != r.shape or f.dtype != np.dtype(dtype):
            return np.inf
        errors.append(np.quantile(np.abs(f.astype(float) - r), judged) / (relative * np.abs(r).max()))
    return float(np.nan_to_num(max(errors), nan=np.inf))
