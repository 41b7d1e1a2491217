"""Tensors as sets of numbers: their distinct entries in ascending order. Equal entries share the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import as_tensor
from ..operation import sample
from ..primitive import composite
from ..tensors import NUMPY_FUNCTIONS
from .joining import concatenate, ravel
from .ordering import sort

_PAIRS = [sample((3,), (2, 2)), sample((3,), ()), sample((0,), (2,))]


@composite(
    numpy=[np.unique], method=False,
    samples=[
        sample((2, 3)), sample(()), sample((0,)),
        sample((2, 2), return_index=True, return_inverse=True, return_counts=True),
    ],
)  # fmt: skip
def unique(
    x: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    *, equal_nan: bool = True,
) -> Any:  # fmt: skip
    """Return the distinct entries in ascending order, and if asked for, in this order: where each is first, ...

    ... which of them each entry is, and how often each is there. Shapes: (...) -> (k,), (k,), (...), (k,).
    """
    x = as_tensor(x)
    _, first, inverse, counts = np.unique(x.data, True, True, True, equal_nan=equal_nan)
    values = sort(x, None)[np.cumsum(counts) - counts]
    asked = [(return_index, first), (return_inverse, inverse.reshape(x.shape)), (return_counts, counts)]
    more = [as_tensor(found) for wanted, found in asked if wanted]
    return (values, *more) if more else values


def _with_names(numpys: Any) -> Any:
    """Return one of the array API's functions, whose results have names: values, indices, inverse_indices, counts."""
    kind = type(numpys(np.zeros(1)))
    fields = getattr(kind, "_fields", None)

    def call(x: Any) -> Any:
        found = dict(zip(_FIELDS, unique(x, True, True, True, equal_nan=False), strict=True))
        return kind(*[found[name] for name in fields]) if fields else found["values"]

    call.__name__ = call.__qualname__ = numpys.__name__
    call.__doc__ = f"Return {', '.join(fields or ['values'])} of the distinct entries, as unique does."
    return call


_FIELDS = ("values", "indices", "inverse_indices", "counts")
NUMPY_FUNCTIONS |= {f: _with_names(f) for f in (np.unique_all, np.unique_counts, np.unique_inverse, np.unique_values)}


@composite(numpy=[np.union1d], method=False, samples=_PAIRS)
def union1d(ar1: Any, ar2: Any) -> Any:
    """Return the distinct entries of both tensors in ascending order."""
    return unique(concatenate([ar1, ar2], None))


@composite(numpy=[np.intersect1d], method=False, samples=_PAIRS)
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the distinct entries that both tensors have, in ascending order; each has half of the gradient."""
    ordered = _merged(ar1, ar2, assume_unique)
    return ordered[:-1][ordered.data[1:] == ordered.data[:-1]]


@composite(numpy=[np.setxor1d], method=False, samples=_PAIRS)
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the distinct entries that one of the tensors has and not the other, in ascending order."""
    ordered = _merged(ar1, ar2, assume_unique)
    apart = np.concatenate([[True], ordered.data[1:] != ordered.data[:-1], [True]])
    return ordered[apart[1:] & apart[:-1]]


def _merged(ar1: Any, ar2: Any, assume_unique: bool) -> Any:
    return sort(concatenate([ar1, ar2] if assume_unique else [unique(ar1), unique(ar2)], None))


@composite(
    numpy=[np.setdiff1d], method=False,
    samples=[
        sample((3,), ar2=[7.0]), sample((), ar2=7.0), sample((2, 2), ar2=[], assume_unique=True), sample((0,), ar2=[]),
    ],
)  # fmt: skip
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the distinct entries of the first tensor that the second doesn't have, in ascending order."""
    values = ravel(ar1) if assume_unique else unique(ar1)
    return values[~np.isin(values.data, as_tensor(ar2).data)]
