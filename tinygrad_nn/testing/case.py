"""Cases: a function with one sample's inputs, and what the checks need to know about both."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..checking.numerical import EPS
from ..checking.point import signed_like
from ..engine.grad_mode import enable_grad, no_grad
from ..engine.operation import Operation
from ..tensor.handle import Tensor
from ..transforms import autograd
from .numerical import Slopes, slopes
from .planting import declared_rules


@dataclass(frozen=True, eq=False)
class Case:
    """A function of Tensors with one sample's inputs, and how these are passed in a call.

    `leaves` are the inputs, those of a variadic argument one after another; `takes` says which leaves each positional
    argument takes: an int, or a tuple for a variadic one. `function` is what was declared, `call` what is evaluated:
    the function, or a composition with it. `drawn` says whether the numbers of all inputs were drawn; `shapes` are the
    inputs as they were given. `reference` computes the expected values from arrays.

    >>> import tinygrad_nn as tg
    >>> case = tg.testing.cases_of(tg.multiply)[1]
    >>> [x.shape for x in case.leaves], case.differentiable
    ([(2, 1), (1, 3)], True)
    """

    name: str
    function: Callable[..., Any]
    call: Callable[..., Any]
    operation: Operation | None
    leaves: tuple[Any, ...]
    takes: tuple[Any, ...]
    parameters: dict[str, Any]
    drawn: bool
    label: str
    shapes: tuple[Any, ...] = ()
    reference: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return f"{self.name}-{self.label}"

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the positional arguments, made of these leaves."""
        return [leaves[p] if isinstance(p, int) else [leaves[i] for i in p] for p in self.takes]

    def results(self, leaves: Sequence[Any]) -> list[Any]:
        """Return all results of the call, in a list."""
        return listed(self.call(*self.arguments(leaves), **self.parameters))

    def arrays_by(self, function: Callable[..., Any], leaves: Sequence[Any]) -> list[Any]:
        """Return the results of a function of arrays that is called in the same way."""
        return [np.asarray(y) for y in listed(function(*self.arguments(leaves), **self.parameters))]

    def run(self, leaves: Sequence[Any]) -> tuple[list[Any], dict[str, Any], Any]:
        """Return the operation's inputs as arrays, its normalised parameters, and what its forward returns."""
        assert self.operation is not None
        inputs, values = self.operation.bind(tuple(self.arguments(leaves)), dict(self.parameters))
        return list(inputs), values, self.operation.run(list(inputs), values)

    def outputs(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the results of the call in a list; if there are several, only those that require grad."""
        results = self.results(leaves)
        return [results[i] for i in self.recording] if len(results) > 1 else results

    def smooth(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the outputs that can have a gradient: floats, not integers such as ranks, not complex numbers."""
        return [y for y in self.outputs(leaves) if y.dtype.kind == "f"]

    @functools.cached_property
    def recording(self) -> list[int]:
        """The positions of the results that require grad; `check_gradient` checks that the others are constant."""
        with enable_grad():
            results = self.results(self.tensors())
        return [i for i, y in enumerate(results) if y.requires_grad or not self.active]

    def recorded(self, results: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return the results that require grad, and their seeds."""
        positions = self.recording if len(results) > 1 else [0]
        pairs = [(results[i], u) for i, u in zip(positions, self.seeds) if results[i].requires_grad]
        return [y for y, _ in pairs], [u for _, u in pairs]

    @functools.cached_property
    def active(self) -> list[int]:
        """The positions of the leaves to differentiate: floating arrays that have a rule."""
        op = self.operation
        rules = () if op is None or op.variadic else declared_rules(op)
        if op is not None and not op.rules:
            return []
        unruled = [i for i, rule in enumerate(rules) if rule is None]
        return [i for i, x in enumerate(self.leaves) if is_floating(x) and i not in unruled]

    @property
    def differentiable(self) -> bool:
        """True if there is a leaf to differentiate, or if the function is not an operation, but composed of some."""
        return self.operation is None or (self.operation.differentiable and bool(self.active))

    def at(self, leaves: Iterable[Any]) -> Case:
        """Return the case with other leaves."""
        return replace(self, leaves=tuple(leaves))

    def astype(self, dtype: Any) -> Case:
        """Return the case with floating leaves of another dtype."""
        return self.at(x.astype(dtype) if is_floating(x) else x for x in self.leaves)

    def tensors(self, leaves: Sequence[Any] | None = None) -> list[Any]:
        """Return the leaves wrapped in fresh Tensors, the active ones requiring grad."""
        return [
            Tensor(x, requires_grad=i in self.active) if isinstance(x, np.ndarray) else x
            for i, x in enumerate(self.leaves if leaves is None else leaves)
        ]

    @functools.cached_property
    def values(self) -> list[Any]:
        """The results' arrays."""
        with no_grad():
            return [y.data for y in self.outputs(self.tensors())]

    @functools.cached_property
    def seeds(self) -> list[Any]:
        """Signed cotangents without tiny components, 0 where the result isn't finite."""
        rng = np.random.default_rng(1)
        values = [y for y in self.values if y.dtype.kind == "f"]
        return [signed_like(rng, y).astype(y.dtype) for y in values]

    @functools.cached_property
    def wide(self) -> Case:
        """The case in double precision, in which differences are taken."""
        narrow = any(is_floating(x) and x.dtype.itemsize < 8 for x in self.leaves)
        return self.astype(np.float64) if narrow else self

    @property
    def kept_dtype(self) -> Any:
        """The dtype of floating leaves that are narrower than double precision, else None."""
        floats = [x.dtype for x in self.leaves if is_floating(x)]
        return np.result_type(*floats) if self.wide is not self else None

    @functools.cached_property
    def eps(self) -> float:
        """The rounding error of the coarsest floats among the leaves and the results, at least double precision's."""
        floats = [x.dtype for x in [*self.leaves, *self.values] if is_floating(x)]
        return max([EPS, *[float(np.finfo(dtype).eps) for dtype in floats]])

    @property
    def accuracy(self) -> tuple[float, float]:
        """A step for central differences, and the error to expect, by the precision of the results."""
        single = any(u.dtype.itemsize < 8 for u in self.wide.seeds)
        return (0.05, 1e-4) if single else (1e-3, max(2e-9, 64 * self.eps))

    @functools.cached_property
    def at_kink(self) -> bool:
        """Whether a sample's own numbers lie where the derivative jumps, as drawn ones never do."""
        step, _ = self.accuracy
        return not self.drawn and any(self.slopes(i, step).kinked.any() for i in self.active)

    def weighed(self, leaves: Sequence[Any]) -> float:
        """Return the sum of the results at other leaves, weighted by the seeds."""
        with no_grad():
            pairs = zip(self.smooth(self.tensors(leaves)), self.seeds)
            return math.fsum(float(np.sum(np.where(u == 0, 0, y.data) * u.astype(np.float64))) for y, u in pairs)

    def slopes(self, i: int, step: float = 1e-3) -> Slopes:
        """Return the slopes of the weighted sum in an active leaf, by differences in double precision."""
        return slopes(self.wide.weighed, self.wide.leaves, i, step)

    def gradients(self, leaves: Sequence[Any] | None = None) -> list[Any]:
        """Return the gradients of the active leaves, at the case's own leaves or at others."""
        tensors = self.tensors(leaves)
        found = autograd.grad(self.smooth(tensors), [tensors[i] for i in self.active], self.seeds)
        return [g.data for g in found if g is not None]

    def fails(self, what: str) -> str:
        """Return the message of a failed check: the operation, the sample, and what was found."""
        shapes = [np.shape(x) for x in self.leaves]
        return f"operation {self.name!r}, sample {self.label} (shapes {shapes}, {self.parameters}): {what}"


def listed(result: Any) -> list[Any]:
    """Return a list of one result, or of several."""
    return list(result) if isinstance(result, (list, tuple)) else [result]


def error_of(function: Callable[..., Any], *args: Any, **parameters: Any) -> Exception | None:
    """Return what a call raises, None if nothing."""
    try:
        function(*args, **parameters)
    except Exception as error:
        return error
    return None


def close(found: Any, expected: Any, tolerance: float) -> bool:
    """Return whether all entries agree to the tolerance, relative to the largest of them, or to 1 if that is larger."""
    atol = tolerance * max(1.0, np.max(np.abs(expected), initial=0, where=np.isfinite(expected)))
    return found.shape == expected.shape and np.allclose(found, expected, 0, atol, equal_nan=True)


def close_values(found: Any, expected: Any, tolerance: float) -> bool:
    """Return whether each entry agrees to the tolerance, relative to itself plus the largest entry, at most 1."""
    # Unlike `close`, for derivatives: their entries are sums of terms that cancel, with the error of the largest term.
    atol = tolerance * min(1.0, np.max(np.abs(expected), initial=0, where=np.isfinite(expected)))
    return found.shape == expected.shape and np.allclose(found, expected, tolerance, atol, equal_nan=True)


def is_floating(x: Any) -> bool:
    """Return whether x is an array of floats."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"
