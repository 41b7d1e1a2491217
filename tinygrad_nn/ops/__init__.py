"""The operations: each is declared once, with its rules beside it."""

# ruff: noqa: F401  (importing a module declares its operations)

from typing import Any

import numpy as np

from .. import dispatch
from ..primitive import PUBLIC
from ..tensors import NUMPY_FUNCTIONS
from . import (
    activation,
    broadcasting,
    contraction,
    convolution,
    correlation,
    cumulative,
    decompositions,
    determinants,
    elementwise,
    fused,
    indexing,
    interpolation,
    inverses,
    joining,
    least_squares,
    linalg,
    norms,
    ordering,
    padding,
    picking,
    polynomials,
    pooling,
    products,
    quantiles,
    rearranging,
    reduction,
    shaping,
    special,
    splitting,
    statistics,
    windows,
)


def functions(namespace: Any = np) -> dict[str, Any]:
    """Return the public operations by name: their own, and all that a NumPy namespace calls the same.

    `np.acos` is `np.arccos`, so both names stand for the operation here. For a namespace beside
    `numpy` itself, such as `numpy.linalg`, only its names are returned.
    """
    named = {name: f for name, f in vars(namespace).items() if not name.startswith("_") and callable(f)}
    found = {name: NUMPY_FUNCTIONS[f] for name, f in named.items() if f in NUMPY_FUNCTIONS}
    return found | {name: f for name, f in PUBLIC.items() if not _of_linalg(f)} if namespace is np else found


def _of_linalg(call: Any) -> bool:
    """Return whether NumPy has the operation, but in numpy.linalg alone."""
    homes = {f.__module__ for f, recorded in NUMPY_FUNCTIONS.items() if recorded is call}
    return homes == {"numpy.linalg"}
