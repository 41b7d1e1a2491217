"""What to do about NumPy's own errors: a table from their wording to the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_REMEDIES = {
    r"^linear: .*core dimension": (
        "the last axis of the input must be as long as that of the weight, which is a layer's in_features"
    ),
    r"core dimension": "the last axis of the first must be as long as the second's last but one: transpose one, .mT",
    r"array dimensions .*must match|needs tensors of one shape": (
        "joined arrays must have the same length along every axis but the one they are joined along"
    ),
    r"broadcast|not aligned": "shapes are aligned from the right: insert an axis, t[:, None], or reshape one of them",
    r"cannot reshape": "a reshape keeps the number of entries; write -1 for one length to have it worked out",
    r"axis \d+ names|repeated axis|names an axis twice|duplicate": "name each axis once",
    r"zero-size array to reduction": "an empty array has no maximum or minimum: pass initial=, or test t.size first",
    r"[Ss]ingular matrix": (
        "the matrix has no inverse; use tg.linalg.pinv or tg.linalg.lstsq, or add a small multiple of tg.eye(n)"
    ),
    r"positive definite": "symmetrise with (A + A.mT) / 2, or add a small multiple of tg.eye(n)",
    r"did not converge|infs or NaNs": "find entries that are nan or inf with tg.isfinite(t)",
    r"must be square": "the last two axes must have the same length",
    r"^\w*(concatenate|stack): .*scalar index": "several tensors are one argument: write {where}([a, b])",
    r"data type .* not understood|as a data type": (
        "a dtype is one of NumPy's: write np.float32 or 'float32'; keepdims and other settings are passed by name"
    ),
    r"a complex number|ComplexWarning": "complex numbers have no gradients here; use the real part, z.real",
    r"unexpected keyword argument '(dim|keepdim|input|other)'": "write NumPy's names, axis= and keepdims=",
    r"unexpected keyword|got an unexpected|got multiple values|"
    r"missing a required|too many positional|positional argument": (
        "its parameters are in help({where}); one that is not listed there is not recorded"
    ),
    r"not supported for the input types|unsupported in linalg|ufunc .* did not contain|"
    r"Cannot cast|can't be cast|can't be made a tensor": (
        "convert first: t.astype(float) for arithmetic, t.astype(int) or t.astype(bool) for counting and logic"
    ),
    r"int too large|int too big|OverflowError": "that number fits no dtype; write it as a float",
    r"Unable to allocate|array is too big": "the result does not fit the memory: work on slices of the inputs",
    r"out of bounds for axis": "write an index from -n to n - 1, for an axis of length n",
    r"window shape cannot be larger": "a window is at most as long as its axis: pad the input first",
    r"too many indices": "give at most one index per axis; t.shape tells how many there are",
    r"boolean index": "a boolean mask has the shape of the axes that it picks from",
    r"only integers, slices|must be of integer": (
        "an index is an integer, a slice, None, ..., or an array of integers or booleans"
    ),
}


def remedy(error: Exception, name: str) -> str:
    """Return what to do about an error that NumPy raised in the operation of this name."""
    if type(error).__name__ == "AxisError" or str(error) in ("tuple index out of range", "len() of unsized object"):
        return "name an axis from 0 to t.ndim - 1, or from -1 backwards"
    for pattern, advice in _REMEDIES.items():
        if re.search(pattern, f"{name}: {error}"):
            return advice.format(where=called(name))
    return f"help({called(name)}) tells the shapes, dtypes and parameters that it takes"


def called(name: str) -> str:
    """Return how the operation of this name is written: tg.exp, tg.linalg.inv."""
    if name.startswith("linalg_") or (hasattr(np.linalg, name) and not hasattr(np, name)):
        return f"tg.linalg.{name.removeprefix('linalg_')}"
    return f"tg.{name}"


@contextmanager
def noted(note: str) -> Iterator[None]:
    """Add a note, which says what to do, to an error that NumPy or Python raises in the body."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        error.add_note(note)
        raise
