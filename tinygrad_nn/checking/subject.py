"""The subject of a check: a function of the numbers in arrays, with derivatives by rules or by hand."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import errors
from ..engine.arrays import as_array
from ..engine.grad_mode import enable_grad, no_grad
from ..engine.trees import aligned, leaves, map_leaves
from ..tensor.handle import Tensor
from ..transforms.autograd import grad
from ..transforms.functions import grad as gradient_of
from ..transforms.functions import jvp
from ..transforms.purity import restoring

Arrays = list[Any]


class Subject:
    """A function of Tensors: its values and derivatives at any arrays like its inputs'.

    `arrays` are the arrays of numbers in the inputs, and `names` says where each is. If it is `alone`, one operation,
    `constants` are its other arrays, by name. If it is only `measured`, its results may also be arrays and numbers. The
    function gets Tensors in the inputs' nesting, and Modules with replaced parameters.
    """

    by_hand = measured = alone = False

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Any]) -> None:
        if not callable(function):
            raise TypeError(f"a check is of a function, got {errors.given(function)}; write tg.gradcheck(f, x)")
        self.function: Callable[..., Any] = function
        self.inputs: list[Any] = list(inputs)
        found = list(leaves(self.inputs))
        paths = [f"input {i}" if len(self.inputs) > 1 else "input" for i in range(len(self.inputs))]
        self.names: list[str] = [name for tree, path in zip(self.inputs, paths) for name in _names(tree, path)]
        self.arrays: Arrays = [np.array(as_array(_plain(x))) for x in found]
        self.wraps: list[Callable[[Any], Any]] = [_maker(x) if self.by_hand else Tensor for x in found]
        for name, x in zip(self.names, self.arrays, strict=True):
            if x.dtype.kind != "f":
                raise errors.DtypeError(
                    f"{name} is {x.dtype}, which has no derivative; write x.astype(float), or let the function take it "
                    "from outside"
                )
        if not any(np.isfinite(x).any() for x in self.arrays):
            raise ValueError("there is nothing to check: no finite number is in the inputs; pass one at least")
        self.shapes: list[Any] | None = None
        self.constants: dict[str, Any] = {}

    def row(self, arrays: Arrays) -> Any:
        """Return the numbers of arrays like the inputs' in one row, at least in float64; 0 in place of None."""
        parts = [np.zeros(x.size) if a is None else np.ravel(a) for a, x in zip(arrays, self.arrays, strict=True)]
        return np.concatenate([np.zeros(0), *parts])

    def parted(self, row: Any) -> Arrays:
        """Return the numbers of a row as arrays like the inputs'."""
        ends = np.cumsum([x.size for x in self.arrays])
        return [part.reshape(x.shape) for part, x in zip(np.split(row, ends[:-1]), self.arrays, strict=True)]

    def only(self, position: int, direction: Any) -> Any:
        """Return a direction that moves only one input."""
        return self.row([direction if i == position else None for i in range(len(self.arrays))])

    def values(self, arrays: Arrays) -> Arrays:
        """Return the results as arrays. Raises TypeError or ValueError unless they are floating-point numbers."""
        given = [np.array(x) for x in arrays]
        try:
            with no_grad(), quiet():
                results = list(leaves(self.called([wrap(x) for wrap, x in zip(self.wraps, given, strict=True)])))
        except (ArithmeticError, ValueError):  # it accepted numbers next to these: they are at the edge of its domain
            if self.shapes is None:
                raise
            return [np.full(shape, np.nan) for shape in self.shapes]
        each = zip(self.names, given, arrays, strict=True) if self.shapes is None else ()  # one call is enough to know
        for name in [name for name, x, before in each if not np.array_equal(x, before, equal_nan=True)]:
            raise ValueError(
                f"the function changes {name} in place, so no two calls are alike; let it work on a copy, np.array(x)"
            )
        return self._numbers([self._array_of(y) for y in results])

    def pull(self, arrays: Arrays, cotangents: Arrays) -> list[Any]:
        """Return the function's own derivative: a gradient per array, or None if nothing connects."""
        variables = [Tensor(x, requires_grad=True) for x in arrays]
        with quiet(), enable_grad():
            results = [y for y in leaves(self.called(variables)) if y.dtype.kind in "fc"]
            recorded = [(y, u.astype(y.dtype)) for y, u in zip(results, cotangents, strict=True) if y.requires_grad]
            if not recorded:
                return [None] * len(arrays)
            outputs, seeds = zip(*recorded, strict=True)
            found = grad(outputs, variables, seeds, allow_unused=True)
        return [None if g is None else g.data for g in found]

    def push(self, arrays: Arrays, tangents: Arrays) -> Arrays:
        """Return the results' tangents, by forward mode."""
        with quiet(), enable_grad():
            tree = self._filled([Tensor(x) for x in arrays])
            pushed = jvp(self.function, tuple(tree), tuple(self._filled([Tensor(t) for t in tangents])))[1]
        return [t.data for t in leaves(pushed)]

    def called(self, tensors: Sequence[Any]) -> Any:
        """Return the function's results for Tensors in place of its inputs."""
        try:
            with restoring(self.function, self.inputs):
                return self.function(*self._filled(tensors))
        except TypeError as error:
            given = "arrays like the inputs: pass PyTorch's or JAX's to a function of theirs"
            if not self.by_hand:
                given = "Tensors of tinygrad_nn; check one of other arrays by gradient=..."
            error.add_note(f"the function is given {given}")
            raise

    def _filled(self, values: Sequence[Any]) -> Any:
        each = iter(values)
        return map_leaves(lambda _: next(each), self.inputs)

    def _array_of(self, y: Any) -> Any:
        """Return the array of a result. Raises TypeError if it must be a Tensor and is not."""
        if not (isinstance(y, Tensor) or self.measured):
            kind = f"{type(y).__module__.partition('.')[0]}.{type(y).__name__}"
            raise TypeError(errors.returns_no_tensor(kind.removeprefix("builtins.")))
        return np.asarray(_plain(y))

    def _numbers(self, arrays: Arrays) -> Arrays:
        """Return the arrays that can have a derivative. Raises ValueError if shapes change between calls."""
        numbers = [y for y in arrays if y.dtype.kind in "fc"]
        if not numbers:
            raise TypeError(
                "the function returns no floating-point numbers, got "
                f"{', '.join([str(y.dtype) for y in arrays]) or 'nothing'}; return a Tensor of floats"
            )
        shapes = [y.shape for y in numbers]
        if self.shapes is not None and shapes != self.shapes:
            raise ValueError(
                f"the function returns shapes {self.shapes} and, from inputs next to the first, {shapes}; check one "
                "case at a time"
            )
        self.shapes = shapes
        return numbers


class HandWritten(Subject):
    """A function of arrays with a gradient written by hand: `gradient(*inputs)`, nested as the inputs."""

    by_hand = measured = True

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Any], gradient: Callable[..., Any]) -> None:
        super().__init__(function, inputs)
        self.gradient = gradient

    def pull(self, arrays: Arrays, cotangents: Arrays) -> list[Any]:
        """Return the gradient by hand. Raises ValueError unless its nesting and shapes are the inputs'."""
        if len(cotangents) != 1 or cotangents[0].size != 1:
            raise ValueError(
                "a gradient by hand is that of one number, but the function returns shapes "
                f"{[u.shape for u in cotangents]}; return a sum or mean"
            )
        with quiet():
            given = [wrap(np.array(x)) for wrap, x in zip(self.wraps, arrays, strict=True)]
            result = self.gradient(*self._filled(given))
        tree = result if len(self.inputs) > 1 else [result]
        found = [self._array_of(g) for g in aligned(tree, self.inputs)]
        for name, g, x in zip(self.names, found, arrays, strict=True):
            if g.shape != x.shape:
                raise ValueError(
                    f"the gradient by {name} has shape {g.shape}; return one of the input's shape {x.shape}"
                )
        return [g * float(cotangents[0].reshape(())) for g in found]  # float32 stays float32


def derivative_of(subject: Subject, weights: Arrays) -> Subject:
    """Return the gradient of a subject's weighted sum of results, as a function of the same inputs."""

    def scalar(*args: Any) -> Any:
        results = [y for y in leaves(subject.function(*args)) if isinstance(y, Tensor) and y.dtype.kind == "f"]
        parts = [(y * u.astype(y.dtype)).sum() for y, u in zip(results, weights, strict=True)]
        return sum(parts[1:], parts[0])

    return Subject(gradient_of(scalar, argnums=range(len(subject.inputs))), subject.inputs)


def _plain(x: Any) -> Any:
    """Return the array of a Tensor; a PyTorch tensor without its graph."""
    return x.data if isinstance(x, Tensor) else x.detach().cpu().numpy() if hasattr(x, "detach") else x


def _maker(x: Any) -> Callable[[Any], Any]:
    """Return a function that converts an array to the input's kind. Raises TypeError for tables."""
    package = type(x).__module__.partition(".")[0]
    if package == "pandas":
        raise TypeError(f"a {type(x).__name__} of pandas can't be moved by small steps; pass x.to_numpy()")
    if package == "torch":
        return lambda array: sys.modules["torch"].as_tensor(array).requires_grad_(x.requires_grad)
    return sys.modules["jax"].numpy.asarray if package in ("jax", "jaxlib") else np.asarray


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings: values far from the point may be anything."""
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        yield


def _names(tree: Any, path: str) -> Any:
    """Yield where each array is: `input 1['w'][2]`, or a Tensor's or a parameter's own name."""
    if isinstance(tree, (dict, list, tuple)):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _names(value, f"{path}[{key!r}]")
    elif hasattr(tree, "named_parameters"):
        yield from (name for name, _ in tree.named_parameters())
    else:
        yield getattr(tree, "name", None) or path
