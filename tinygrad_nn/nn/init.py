"""Initial values of parameters: each function draws from a generator, or that of a seed, and returns an array.

Shapes are those of weights, (out, in, *kernel): fan_in is in times the kernel's size, fan_out is out times it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops.settings import number, positive
from .habits import unknown


def article(generator: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal draws times 0.1, as the article does. Shapes: -> shape.

    Signals shrink from layer to layer, so it fails for deep networks; `kaiming_normal` keeps their size.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.nn.init.article(np.random.RandomState(99), (2,))
    array([-0.01423588,  0.20572217])
    """
    return np.asarray(0.1 * generator.standard_normal(shape))


def uniform(generator: Any, shape: tuple[int, ...], a: float = 0.0, b: float = 1.0) -> np.ndarray:
    """Return draws that are uniform from a to b.

    >>> import tinygrad_nn as tg
    >>> tg.nn.init.uniform(0, (2,), -1, 1)
    array([ 0.27392337, -0.46042657])
    """
    return np.random.default_rng(generator).uniform(a, b, shape)


def normal(generator: Any, shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """Return normal draws of this mean and standard deviation.

    >>> import tinygrad_nn as tg
    >>> tg.nn.init.normal(0, (2,), std=0.5)
    array([ 0.06286511, -0.06605243])
    """
    return np.random.default_rng(generator).normal(mean, number("std", std), shape)


def trunc_normal(
    generator: Any, shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0, a: float = -2.0,
    b: float = 2.0,
) -> np.ndarray:  # fmt: skip
    """Return normal draws; those outside a to b are drawn again. `std` is that before truncation.

    Raises ValueError if fewer than one draw in a thousand would lie between.

    >>> import tinygrad_nn as tg
    >>> tg.nn.init.trunc_normal(0, (1000,), a=-1, b=1).max() <= 1
    np.True_
    """
    width, generator = positive("std", std) * math.sqrt(2), np.random.default_rng(generator)
    low, high = (math.erf((bound - mean) / width) for bound in (a, b))
    if high - low < 2e-3:
        raise ValueError(f"hardly any normal draw of mean {mean} and std {std} lies from {a} to {b}; use wider bounds")
    x: np.ndarray = normal(generator, shape, mean, std)
    while (outside := (x < a) | (x > b)).any():
        x[outside] = generator.normal(mean, std, np.count_nonzero(outside))
    return x


def calculate_gain(nonlinearity: str, a: float = 0.0) -> float:
    """Return the factor on weights that compensates for a nonlinearity; `a` is the slope of leaky_relu below 0.

    >>> import tinygrad_nn as tg
    >>> round(tg.nn.init.calculate_gain("relu"), 3)
    1.414
    """
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    gains["leaky_relu"] = math.sqrt(2 / (1 + a * a))
    if nonlinearity not in gains:
        raise ValueError(f"no gain is known for {nonlinearity!r}; write one of {', '.join(gains)}")
    return gains[nonlinearity]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return fan_in, the number of inputs that each output sums, and fan_out, the outputs that each input reaches.

    >>> import tinygrad_nn as tg
    >>> tg.nn.init.fans((8, 3, 5, 5))
    (75, 200)
    """
    if len(shape) < 2:
        raise ValueError(f"fans are those of a weight, (out, in, *kernel), got shape {shape}; use zeros for a bias")
    entries = math.prod(shape[2:])
    return shape[1] * entries, shape[0] * entries


def xavier_uniform(generator: Any, shape: tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    """Return draws that are uniform from -b to b, b = gain √(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward networks (2010), eq. 16.

    >>> import tinygrad_nn as tg
    >>> abs(tg.nn.init.xavier_uniform(0, (3, 3))).max() <= 1
    np.True_
    """
    bound = gain * math.sqrt(6 / max(sum(fans(shape)), 1))
    return uniform(generator, shape, -bound, bound)


def xavier_normal(generator: Any, shape: tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    """Return normal draws with standard deviation gain √(2 / (fan_in + fan_out)); source: as xavier_uniform.

    >>> import tinygrad_nn as tg
    >>> tg.nn.init.xavier_normal(0, (1, 2)).shape
    (1, 2)
    """
    return normal(generator, shape, 0.0, gain * math.sqrt(2 / max(sum(fans(shape)), 1)))


def _kaiming_std(shape: tuple[int, ...], a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fans(shape)[mode == "fan_out"], 1))


def kaiming_uniform(
    generator: Any, shape: tuple[int, ...], a: float = 0.0, mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> np.ndarray:  # fmt: skip
    """Return draws that are uniform from -b to b, b = √3 gain(nonlinearity, a) / √fan.

    Source: He et al., Delving deep into rectifiers (2015), eq. 10 (fan_in) and 14 (fan_out).

    >>> import tinygrad_nn as tg
    >>> abs(tg.nn.init.kaiming_uniform(0, (3, 6))).max() <= 1
    np.True_
    """
    bound = math.sqrt(3) * _kaiming_std(shape, a, mode, nonlinearity)
    return uniform(generator, shape, -bound, bound)


def kaiming_normal(
    generator: Any, shape: tuple[int, ...], a: float = 0.0, mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> np.ndarray:  # fmt: skip
    """Return normal draws with standard deviation gain(nonlinearity, a) / √fan; source: as kaiming_uniform.

    >>> import tinygrad_nn as tg
    >>> tg.nn.init.kaiming_normal(0, (1, 2), nonlinearity="relu").shape
    (1, 2)
    """
    return normal(generator, shape, 0.0, _kaiming_std(shape, a, mode, nonlinearity))


def orthogonal(generator: Any, shape: tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    """Return an array that, as a matrix with its axes after the first joined, has orthonormal rows or columns.

    Source: Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear networks (2014).

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> w = tg.nn.init.orthogonal(0, (2, 5))
    >>> np.allclose(w @ w.T, np.eye(2))
    True
    """
    fans(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(normal(generator, (max(rows, columns), min(rows, columns))))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # otherwise draws are not uniform over the orthogonal matrices
    return np.ascontiguousarray(gain * (q if rows >= columns else q.T)).reshape(shape)


# By the names that DenseNetwork takes.
INITIALISERS: dict[str, Callable[[Any, tuple[int, ...]], np.ndarray]] = {
    "article": article,
    "he": lambda generator, shape: kaiming_normal(generator, shape, nonlinearity="relu"),
    "xavier": xavier_uniform,
    "orthogonal": orthogonal,
}
__all__ = ["article", "calculate_gain", "fans", "kaiming_normal", "kaiming_uniform", "normal", "orthogonal"]
__all__ += ["trunc_normal", "uniform", "xavier_normal", "xavier_uniform"]

if not TYPE_CHECKING:
    __getattr__ = unknown("nn.init")
