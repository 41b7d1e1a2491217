"""Layers without spatial axes: linear maps, embeddings, dropout."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ..ops.axes import one_axis
from ..ops.fused import linear
from ..ops.selection import take, where
from ..ops.settings import Check, generator_of, integer, share, whole_number
from ..ops.windows.sliding import per_axis
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from . import init
from .module import Module, Parameter, tensor_or_none


def unset(*shape: Any, dtype: Any) -> Tensor:
    """Return a parameter that `reset_parameters` will fill. Shapes: -> shape. Raises TypeError, ValueError."""
    return Parameter(np.empty([whole_number("each size of a layer", n, 0) for n in shape], dtype))


def of_windows(axes: int, stride: Any = (), padding: Any = ()) -> dict[str, Check]:
    """Return the checks of windows' settings: a number for all axes, or one for each; or a name or None given here."""

    def check(least: int, others: Any, name: str, x: Any) -> Any:
        if isinstance(x, str | None) and x in others:
            return x
        numbers = per_axis(x, axes, name, least)
        return x if isinstance(x, int) else numbers

    sizes = dict.fromkeys(["kernel_size", "dilation"], partial(check, 1, ()))
    pads = dict.fromkeys(["padding", "output_padding"], partial(check, 0, padding))
    return {**sizes, **pads, "stride": partial(check, 1, stride)}


class Affine(Module, settings={"bias": tensor_or_none}):
    """The base of layers with a weight (out, in, *kernel) and a bias or None, uniform in ±1 / √fan_in.

    Source: PyTorch's kaiming_uniform with a = √5, whose gain cancels the √3.
    """

    weight: Tensor
    bias: Tensor | None

    def reset_parameters(self, seed: Any = None) -> None:
        """Draw weight and bias again."""
        generator = np.random.default_rng(seed)
        bound = 1 / math.sqrt(max(init.fans(self.weight.shape)[0], 1))
        for p in (self.weight, self.bias):
            if p is not None:
                p.data = init.uniform(generator, p.shape, -bound, bound)


class Linear(Affine):
    """Affine map: x @ weight.T + bias. Shapes: (..., in_features) -> (..., out_features).

    The weight is (out_features, in_features), the bias (out_features,) or None; both start uniform in ±1 /
    √in_features. `seed` is a whole number, a generator, or None for fresh entropy.

    >>> import tinygrad_nn as tg
    >>> tg.nn.Linear(3, 2, seed=0)([[1.0, 2.0, 3.0]]).shape
    (1, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = np.float64, seed: Any = None
    ) -> None:
        self.in_features: int = in_features
        self.out_features: int = out_features
        self.weight: Tensor = unset(out_features, in_features, dtype=dtype)
        self.bias: Tensor | None = unset(out_features, dtype=dtype) if bias else None
        self.reset_parameters(seed)

    def forward(self, x: Any) -> Any:
        """Return x @ weight.T + bias. Shapes: (..., in_features) -> (..., out_features)."""
        return linear(x, self.weight, self.bias)


class Embedding(Module):
    """A lookup table: the weight's rows at whole-number indices. Shapes: int (...) -> (..., embedding_dim).

    The weight is (num_embeddings, embedding_dim) and starts standard normal. The row `padding_idx` starts at 0 and gets
    no gradient. Negative indices count from the end. Raises IndexError for indices out of range. Source: Bengio et al.,
    A neural probabilistic language model (2003).

    >>> import tinygrad_nn as tg
    >>> tg.nn.Embedding(10, 3, seed=0)([[1, 2, 4, 5]]).shape
    (1, 4, 3)
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *,
        dtype: Any = np.float64, seed: Any = None,
    ) -> None:  # fmt: skip
        self.num_embeddings: int = num_embeddings
        self.embedding_dim: int = embedding_dim
        self.padding_idx: int | None = padding_idx
        self.weight: Tensor = unset(num_embeddings, embedding_dim, dtype=dtype)
        self.reset_parameters(seed)

    def reset_parameters(self, seed: Any = None) -> None:
        """Draw the rows again."""
        rows = init.normal(np.random.default_rng(seed), self.weight.shape)
        if self.padding_idx is not None:
            rows[self.padding_idx] = 0
        self.weight.data = rows

    def forward(self, indices: Any) -> Any:
        """Return the rows. Shapes: int (...) -> (..., embedding_dim)."""
        indices = as_tensor(indices)
        rows = take(self.weight, indices, axis=0)
        if self.padding_idx is None:
            return rows
        at = range(self.num_embeddings)[self.padding_idx]
        is_padding = (indices == at) | (indices == at - self.num_embeddings)
        return where(is_padding[..., None], rows.detach(), rows)


class Flatten(Module, settings={"start_axis": integer, "end_axis": integer}):
    """Joins the axes from start_axis to end_axis. Shapes: (m, ..., n) -> (m, ... · n) by default.

    Raises ValueError if the input has no such axes.

    >>> import tinygrad_nn as tg
    >>> tg.nn.Flatten()(tg.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis: int = start_axis
        self.end_axis: int = end_axis

    def forward(self, x: Any) -> Any:
        """Return the input with these axes joined."""
        x = as_tensor(x)
        start, end = (one_axis(axis, x.ndim) for axis in (self.start_axis, self.end_axis))
        if start > end:
            raise ValueError(f"{self!r} got shape {x.shape}; name a first axis and one that is not before it")
        merged = math.prod(x.shape[start : end + 1])
        return x.reshape(*x.shape[:start], merged, *x.shape[end + 1 :])


def dropped(x: Any, p: float, generator: np.random.Generator) -> Any:
    """Return x with each entry 0 with probability p, else divided by 1 - p."""
    if p == 0:
        return x
    kept = generator.random(x.shape) >= p
    return x * (0 if p == 1 else 1 / (1 - p)) * kept  # a masked copy takes eight times as long


class Dropout(Module, settings={"p": share, "generator": generator_of}):
    """In training, each entry becomes 0 with probability p, else x / (1 - p); in eval mode, x. Shapes: (...) -> (...).

    It draws from `generator`, which is its own unless the seed is a generator.
    Source: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting (2014).

    >>> import tinygrad_nn as tg
    >>> tg.nn.Dropout(0.5, seed=0)(tg.ones(8)).tolist()
    [2.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0]
    """

    def __init__(self, p: float = 0.5, *, seed: Any = None) -> None:
        self.p: float = p
        self.generator: np.random.Generator = seed

    def forward(self, x: Any) -> Any:
        """Return x, in training with dropped entries. Shapes: (...) -> (...)."""
        return dropped(as_tensor(x), self.p if self.training else 0, self.generator)
