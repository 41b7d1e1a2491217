"""NumPy's composites by loops, for a call that is written once: it is made of Tensors, and of `Looped` arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from by_algebra import ALGEBRA
from by_folds import FOLDS, METHODS
from by_loops import convolved, correlated

LOOPS: dict[Any, Callable[..., Any]] = FOLDS | ALGEBRA | {np.convolve: convolved, np.correlate: correlated}
# What moves entries, or answers entry by entry: there is nothing to fold.
MOVES = {
    "append", "argpartition", "argwhere", "array_split", "atleast_1d", "atleast_2d", "atleast_3d", "block",
    "broadcast_arrays", "broadcast_to", "choose", "clip", "column_stack", "compress", "concatenate", "copy",
    "copyto", "delete", "diag", "diagflat", "diagonal", "dsplit", "dstack", "expand_dims", "extract", "fftshift",
    "fill_diagonal", "fix", "flatnonzero", "flip", "fliplr", "flipud", "full_like", "hsplit", "hstack", "ifftshift",
    "imag", "insert", "isneginf", "isposinf", "matrix_transpose", "meshgrid", "moveaxis", "nan_to_num", "ndim",
    "nonzero", "ones_like", "partition", "permute_dims", "piecewise", "place", "put", "put_along_axis",
    "putmask", "ravel", "real", "real_if_close", "repeat", "reshape", "resize", "roll", "rollaxis", "rot90",
    "round", "select", "shape", "sinc", "size", "sliding_window_view", "split", "squeeze", "stack", "swapaxes",
    "take", "take_along_axis", "tile", "transpose", "tril", "trim_zeros", "triu", "unstack", "vsplit", "vstack",
    "where", "zeros_like",
}  # fmt: skip


def plain(x: Any) -> Any:
    """Return arrays without the class, in lists and tuples too."""
    if type(x) in (list, tuple):
        return type(x)(map(plain, x))
    return x.view(np.ndarray) if isinstance(x, Looped) else x


def looped(x: Any) -> Any:
    """Return arrays and numbers of NumPy as `Looped` ones; of a function, the one whose composites are by loops."""
    if type(x) in (list, tuple):
        return type(x)(map(looped, x))
    if callable(x):
        return lambda *arrays, **parameters: plain(x(*map(looped, arrays), **parameters))
    return np.asarray(x).view(Looped) if isinstance(x, (np.ndarray, np.generic)) else x


class Looped(np.ndarray):
    """An array on which NumPy's composites are folds and loops; it refuses those that have none."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        given = plain(list(inputs))
        call = (
            getattr(ufunc, method) if method == "__call__" else lambda *args, **kw: METHODS[method](ufunc, *args, **kw)
        )
        if method == "__call__" and ufunc.signature is not None:
            call = LOOPS[ufunc]
        if method == "__call__" and out is not None:
            options["out"] = tuple(map(plain, out))
        return looped(call(*given, **options))

    def __array_function__(self, function: Any, types: Any, arguments: Any, parameters: Any) -> Any:
        if function not in LOOPS and function.__name__ not in MOVES:
            raise NotImplementedError(f"{function.__name__} has no loops here")
        call = LOOPS.get(function, function)
        return looped(call(*plain(arguments), **{name: plain(value) for name, value in parameters.items()}))


def _along_axis(function: Any, axis: int, x: Any, *arguments: Any, **parameters: Any) -> Any:
    """Return what `np.apply_along_axis` documents: the results of each row in the axis's place."""
    rows = np.moveaxis(x, axis, -1)
    found = [plain(function(looped(rows[place]), *arguments, **parameters)) for place in np.ndindex(rows.shape[:-1])]
    size = np.shape(found[0])
    y = np.array(found).reshape(rows.shape[:-1] + size)
    kept, first = rows.ndim - 1, axis % rows.ndim
    return np.moveaxis(y, range(kept, y.ndim), range(first, first + len(size)))


def _over_axes(function: Any, x: Any, axes: Any) -> Any:
    """Return what `np.apply_over_axes` documents: one axis after the other, each of them kept."""
    for axis in np.atleast_1d(axes):
        y = plain(function(looped(x), int(axis)))
        x = y if y.ndim == x.ndim else np.expand_dims(y, int(axis))
    return x


LOOPS |= {np.apply_along_axis: _along_axis, np.apply_over_axes: _over_axes}


def _method(function: Any) -> Any:
    return lambda self, *arguments, **parameters: function(self, *arguments, **parameters)


for _name in (
    "sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "argmax", "argmin", "cumsum", "cumprod", "trace",
    "dot", "searchsorted", "argsort",
):  # fmt: skip
    setattr(Looped, _name, _method(getattr(np, _name)))
