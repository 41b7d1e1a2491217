"""Functions that create Tensors: from numbers, from arrays, and as NumPy's creation functions do."""

from __future__ import annotations

from collections.abc import Callable
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
    if isinstance(item, Tensor):
        return item.requires_grad or isinstance(item.data, ArrayProxy)
    return isinstance(item, ArrayProxy)


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


def _value(a: Any, is_model: bool) -> Any:
    """Return a creation function's argument for NumPy; only a model, whose shape is copied, may require grad."""
    if not isinstance(a, Tensor):
        return a
    return a.data if is_model else as_array(a)


def _creator(function: Callable[..., Any], signature: str) -> Callable[..., Tensor]:
    """Return NumPy's creation function with `requires_grad` and `name` added."""
    has_model = function.__name__.endswith("_like")

    def create(*args: Any, requires_grad: bool = False, name: str | None = None, **options: Any) -> Tensor:
        fill = args[1] if len(args) > 1 else options.get("fill_value")
        if function in (np.full, np.full_like) and _holds_recorded(fill):
            values = tensor(fill)
            zero = np.zeros((), values.dtype)
            plain: dict[str, Any] = {key: zero if a is fill else a for key, a in options.items()}
            like = create(*[zero if a is fill else a for a in args], **plain)
            return named(as_tensor(np.broadcast_to(values, like.shape)).astype(like.dtype), requires_grad, name)
        given = [_value(a, has_model and index == 0) for index, a in enumerate(args)]
        if has_model:
            options = {name: _value(a, name != "dtype") for name, a in options.items()}
        with errors.noted(f"tg.{function.__name__}{signature}: several lengths are one tuple, (2, 3); {DTYPES}"):
            return Tensor(function(*given, **options), requires_grad, name)

    create.__name__ = create.__qualname__ = function.__name__
    create.__doc__ = f"Return the result of np.{function.__name__}{signature} as a new Tensor, which may require grad."
    if has_model:
        NUMPY_FUNCTIONS[function] = create
    return create


zeros: Final = _creator(np.zeros, "(shape, dtype=float)")
ones: Final = _creator(np.ones, "(shape, dtype=float)")
full: Final = _creator(np.full, "(shape, fill_value, dtype=None)")
empty: Final = _creator(np.empty, "(shape, dtype=float)")
arange: Final = _creator(np.arange, "(start, stop, step, dtype=None)")
eye: Final = _creator(np.eye, "(n, m=None, k=0, dtype=float)")
zeros_like: Final = _creator(np.zeros_like, "(x, dtype=None)")
ones_like: Final = _creator(np.ones_like, "(x, dtype=None)")
full_like: Final = _creator(np.full_like, "(x, fill_value, dtype=None)")
empty_like: Final = _creator(np.empty_like, "(x, dtype=None)")
