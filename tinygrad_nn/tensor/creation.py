"""Functions that create Tensors: from numbers, from arrays, and as NumPy's creation functions do."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, Final

import numpy as np

from .. import errors
from ..engine.arrays import ArrayProxy, as_array, copied
from .handle import NUMPY_FUNCTIONS, Tensor, make

DTYPES = "a dtype is one of NumPy's, by name or type: write 'float32', np.int64 or float"


def tensor(x: Any, dtype: Any = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """Return a Tensor with a copy of the numbers in `x`.

    The result stays connected to tensors in `x` that require grad; with `requires_grad=True` it is a new leaf instead.

    >>> import tinygrad_nn as tg
    >>> tg.tensor([1.0, 2.0], requires_grad=True)
    tg.tensor([1., 2.], dtype='float64', requires_grad=True)
    """
    if isinstance(x, (list, tuple)) and _holds_recorded(x):
        return named(as_tensor(np.stack([tensor(item) for item in x]), dtype), requires_grad, name)
    if isinstance(x, Tensor) and x.requires_grad:
        return named(as_tensor(np.positive(x), dtype), requires_grad, name)
    array = copied(as_array(x.data if isinstance(x, Tensor) else x))
    if dtype is not None:
        with errors.noted(DTYPES):
            array = array_of(array, dtype)
    return Tensor(array, requires_grad, name)


def named(t: Tensor, requires_grad: bool, name: str | None) -> Tensor:
    """Return the recorded tensor with its name, or, if it must require grad, a new leaf with its values."""
    if requires_grad:
        return Tensor(t.data, True, name)
    t.name = name
    return t


def _holds_recorded(item: Any) -> bool:
    if isinstance(item, (list, tuple)):
        return any(map(_holds_recorded, item))
    is_constant = isinstance(item, Tensor) and not item.requires_grad
    return isinstance(item.data if is_constant else item, (Tensor, ArrayProxy))


def as_tensor(x: Any, dtype: Any = None) -> Tensor:
    """Return `x` itself if it is a Tensor, otherwise a Tensor that shares its memory where possible.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> array = np.zeros(3)
    >>> tg.as_tensor(array).data is array
    True
    """
    if isinstance(x, Tensor):
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)
    if isinstance(x, (list, tuple)):
        return tensor(x, dtype)
    return as_tensor(make(as_array(x), None), dtype)


def array_of(x: Any, dtype: Any = None) -> Any:
    """Return an operand as an array, of the dtype if one is given."""
    if isinstance(x, ArrayProxy):
        x = x.as_array()
        return x if dtype is None else x.astype(dtype)
    return np.asarray(x, dtype)


def _creator(function: Callable[..., Any], parameters: str, holds: str) -> Callable[..., Tensor]:
    """Return NumPy's creation function with `requires_grad` and `name` added to its parameters."""
    has_model = function.__name__.endswith("_like")
    # NumPy itself has signatures of functions in C from version 2.4 on.
    takes = signature(eval(f"lambda {parameters}, *, device=None, requires_grad=False, name=None: 0"))
    note = f"tg.{function.__name__}{takes}: several lengths are one tuple, (2, 3); {DTYPES}"

    def create(*args: Any, requires_grad: bool = False, name: str | None = None, **options: Any) -> Tensor:
        fill = options.get("fill_value", *args[1:2])
        values = tensor(fill) if "fill_value" in takes.parameters and _holds_recorded(fill) else None

        def plain(key: Any, a: Any) -> Any:
            if values is not None and a is fill:
                return np.zeros((), values.dtype)
            is_model = has_model and key in (0, "a", "prototype")  # only its shape is read, so it may require grad
            return a if not isinstance(a, Tensor) else a.data if is_model else as_array(a)

        with errors.noted(note):
            array = function(*map(plain, range(len(args)), args), **{key: plain(key, a) for key, a in options.items()})
            if values is None:
                return Tensor(array, requires_grad, name)
        return named(as_tensor(np.broadcast_to(values, array.shape)).astype(array.dtype), requires_grad, name)

    create.__signature__ = takes  # type: ignore[attr-defined]
    create.__name__ = create.__qualname__ = function.__name__
    create.__doc__ = f"Return a new Tensor {holds}. It may require grad."
    if has_model:
        NUMPY_FUNCTIONS[function] = create
    return create


_ORDER, _LIKE = "dtype=None, order='C'", "dtype=None, order='K', subok=True, shape=None"
zeros: Final = _creator(np.zeros, f"shape, {_ORDER}", "of zeros")
ones: Final = _creator(np.ones, f"shape, {_ORDER}", "of ones")
full: Final = _creator(np.full, f"shape, fill_value, {_ORDER}", "with `fill_value` in every entry")
empty: Final = _creator(np.empty, f"shape, {_ORDER}", "whose entries are not set")
arange: Final = _creator(
    np.arange, "start_or_stop, /, stop=None, step=1, dtype=None", "of numbers `step` apart, from start to below `stop`"
)
eye: Final = _creator(np.eye, "N, M=None, k=0, dtype=float, order='C'", "of ones on the diagonal `k`, zeros elsewhere")
zeros_like: Final = _creator(np.zeros_like, f"a, {_LIKE}", "of zeros in the shape and dtype of `a`")
ones_like: Final = _creator(np.ones_like, f"a, {_LIKE}", "of ones in the shape and dtype of `a`")
full_like: Final = _creator(np.full_like, f"a, fill_value, {_LIKE}", "like `a`, with `fill_value` in every entry")
empty_like: Final = _creator(np.empty_like, f"prototype, /, {_LIKE}", "like `prototype`, whose entries are not set")
