"""The cases of an operation: its samples, whose shapes are filled with numbers away from kinks and ties."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..engine.operation import Operation
from ..tensor.declaring import sample
from .case import Case, is_floating


def cases_of(function: Any, inputs: Iterable[Any] | None = None, reference: Any = None) -> list[Case]:
    """Return the cases of a function of Tensors: those of its declared samples, or of the given inputs.

    Each of `inputs` holds the positional arguments of one call, or is a `sample(...)` with parameters, too. A tuple
    among the arguments stands for an array of that shape, filled with distinct numbers from the operation's domain,
    away from its kinks; a list of tuples stands for a sequence of arrays. A pointwise operation has generated samples
    besides the declared ones.

    >>> import tinygrad_nn as tg
    >>> [str(case) for case in tg.testing.cases_of(tg.exp)][:2]
    ['exp-0:3', 'exp-1:2x3']
    """
    op = getattr(function, "operation", None)
    name: str = op.name if op is not None else getattr(function, "__name__", repr(function))
    if inputs is None:
        generated = generated_samples(op) if op is not None and op.pointwise else []
        given = [*generated, *getattr(function, "samples", ())]
    else:
        given = [_as_sample(x) for x in inputs]
    return [
        build(name, function, arguments, parameters, f"{number}:" + ",".join(map(_described, arguments)), reference)
        for number, (arguments, parameters) in enumerate(given)
    ]


def _as_sample(x: Any) -> Any:
    if isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], tuple) and isinstance(x[1], dict):
        return x
    return sample(*x) if isinstance(x, (tuple, list)) else sample(x)


def build(
    name: str, function: Any, inputs: Sequence[Any], parameters: dict[str, Any], label: str, reference: Any = None
) -> Case:
    """Return the case of one sample, its shapes filled with distinct values."""
    op = getattr(function, "operation", None)
    kinks, domain = (op.kinks, op.domain) if op is not None else ({}, (-2.0, 2.0))
    numbers = distinct(f"{name} {label}", sum(map(_size, inputs)), domain, kinks)

    def filled(x: Any) -> Any:
        if not isinstance(x, tuple):
            return x
        values = np.array(list(itertools.islice(numbers, math.prod(x)))).reshape(x)
        return values if op is None or takes_floats(op) else discrete(op, values)

    leaves: list[Any] = []
    takes: list[Any] = []
    for x in inputs:
        parts = x if isinstance(x, list) else [x]
        own = tuple(range(len(leaves), len(leaves) + len(parts)))
        takes.append(own if isinstance(x, list) else own[0])
        leaves += map(filled, parts)
    drawn = not any(is_floating(x) for x in inputs)
    return Case(
        name, function, function, op, tuple(leaves), tuple(takes), parameters, drawn, label, tuple(inputs), reference
    )


def _size(x: Any) -> int:
    return math.prod(x) if isinstance(x, tuple) else sum(map(_size, x)) if isinstance(x, list) else 0


def _described(x: Any) -> str:
    shape = x if isinstance(x, tuple) else getattr(x, "shape", None)
    if isinstance(x, list):
        return "+".join(map(_described, x))
    return str(x) if shape is None else "x".join(map(str, shape)) or "0d"


def takes_floats(op: Operation) -> bool:
    """Return False for ufuncs of integers and booleans."""
    return not isinstance(op.forward, np.ufunc) or any("d" in loop for loop in op.forward.types)


def discrete(op: Operation, values: Any) -> Any:
    """Return drawn values as booleans or integers, whichever a ufunc takes."""
    booleans = any(loop.startswith("?") for loop in getattr(op.forward, "types", ()))
    return np.asarray(values > 0) if booleans else np.asarray(np.round(6 + 2 * values), int)


def generated_samples(op: Operation) -> list[Any]:
    """Return samples of a pointwise operation, so that it need not declare any."""
    low, high = op.domain
    number: Any = low + 0.618 * (high - low) if takes_floats(op) else discrete(op, np.array(1.0))[()]
    strided = np.linspace(low, high, 9)[7::-2]
    if len(op.arguments) == 1:
        found = [sample(shape) for shape in [(3,), (2, 3), (), (0,)]]
        found += [sample(strided if takes_floats(op) else discrete(op, strided))]
    else:
        shapes: list[Any] = [((3,), (3,)), ((2, 1), (1, 3)), ((3,), ()), ((), ()), ((0,), (1,)), ((2, 3), (3,))]
        found = [sample(*pair) for pair in shapes]
        found += [sample((3,), number), sample(number, (3,)), sample((), number), sample((0, 2), number)]
    return found + [sample(*kink_inputs(op, key)) for key in op.kinks]


def kink_inputs(op: Operation, key: Any) -> list[Any]:
    """Return the operands that a key of the kinks table stands for: one array, or one number per operand."""
    if len(op.arguments) == 1:
        return [np.atleast_1d(np.array(key, np.float64))]
    return [np.array([k], np.float64) for k in key]


def spaced(rng: np.random.Generator, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> Any:
    """Return numbers from the interval in random order, no two close to each other, so that there are no ties.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.testing.spaced(np.random.default_rng(0), (2, 3)).round(2).tolist()
    [[0.42, -0.22, 1.7], [1.06, -1.66, -0.88]]
    """
    n = math.prod(shape)
    points = rng.permutation(n) + rng.uniform(0.3, 0.7, n)
    return np.asarray((low + (high - low) * points / max(n, 1)).reshape(shape))


def distinct(
    seed: int | str, size: int, domain: tuple[float, float] = (-2.0, 2.0), kinks: Iterable[Any] = ()
) -> Iterator[float]:
    """Yield `size` numbers from the domain in random order, no two close to each other, and none close to a kink."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()) if isinstance(seed, str) else seed)
    kinks = [k for k in kinks if np.ndim(k) == 0]
    for x in spaced(rng, (size,), *domain).tolist():
        near = [k for k in kinks if abs(x - k) < 0.15]
        yield near[0] + math.copysign(0.15, x - near[0]) + (x - near[0]) / 4 if near else x
