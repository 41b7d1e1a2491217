"""Operations on corresponding entries whose derivative is zero or none, and others that need more than one ufunc.

Piecewise constant operations have no rules. A compiled program still computes them; the gradient visibly ends there.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..errors import DtypeError, unsupported_values, warn
from ..tensor.creation import array_of, as_tensor
from ..tensor.declaring import composite, elementwise, primitive, sample
from ..tensor.handle import Tensor
from .elementwise import maximum, minimum, remainder
from .selection import either

equal: Final = elementwise(np.equal, operator="eq", method=False)
not_equal: Final = elementwise(np.not_equal, operator="ne", method=False)
less: Final = elementwise(np.less, operator="lt", method=False)
less_equal: Final = elementwise(np.less_equal, operator="le", method=False)
greater: Final = elementwise(np.greater, operator="gt", method=False)
greater_equal: Final = elementwise(np.greater_equal, operator="ge", method=False)
sign: Final = elementwise(np.sign)
floor: Final = elementwise(np.floor)
ceil: Final = elementwise(np.ceil)
rint: Final = elementwise(np.rint)
trunc: Final = elementwise(np.trunc)
fix: Final = elementwise(lambda x: np.trunc(x), name="fix", numpy=[np.fix], method=False)
spacing: Final = elementwise(np.spacing, method=False)
signbit: Final = elementwise(np.signbit, method=False)
floor_divide: Final = elementwise(np.floor_divide, operator="floordiv", method=False, domain=(0.5, 2))
isnan: Final = elementwise(np.isnan)
isinf: Final = elementwise(np.isinf)
isfinite: Final = elementwise(np.isfinite)
isposinf: Final = elementwise(lambda x: np.isposinf(x), name="isposinf", numpy=[np.isposinf])
isneginf: Final = elementwise(lambda x: np.isneginf(x), name="isneginf", numpy=[np.isneginf])
logical_not: Final = elementwise(np.logical_not, method=False)
logical_and: Final = elementwise(np.logical_and, method=False)
logical_or: Final = elementwise(np.logical_or, method=False)
logical_xor: Final = elementwise(np.logical_xor, method=False)
left_shift: Final = elementwise(np.left_shift, operator="lshift", method=False)
right_shift: Final = elementwise(np.right_shift, operator="rshift", method=False)
bitwise_count: Final = elementwise(np.bitwise_count, method=False)
gcd: Final = elementwise(np.gcd, method=False)
lcm: Final = elementwise(np.lcm, method=False)
bitwise_and: Final = elementwise(np.bitwise_and, operator="and", method=False)
bitwise_or: Final = elementwise(np.bitwise_or, operator="or", method=False)
bitwise_xor: Final = elementwise(np.bitwise_xor, operator="xor", method=False)
invert: Final = elementwise(np.invert, operator="invert", method=False)


@composite(numpy=[np.clip])
def clip(
    x: Tensor | float, a_min: Tensor | float | None = None, a_max: Tensor | float | None = None, *, min: Any = None,
    max: Any = None,
) -> Any:  # fmt: skip
    """Return x limited to [a_min, a_max], also called min and max. On a bound the derivative is 0."""
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise TypeError("a bound is given twice: write one of a_min and min, one of a_max and max")
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is not None:
        x = maximum(x, low)
    return minimum(x, high) if high is not None else x * True if low is None else x


def _numeric(value: Any, inputs: Any) -> Any:
    """Return a dtype of numbers or booleans. Raises DtypeError for others, which would lose the gradient."""
    dtype = np.dtype(value)
    if dtype.kind not in "biufc":
        raise DtypeError(unsupported_values(f"dtype {dtype}"))
    return dtype


@primitive(numpy=[np.astype] if hasattr(np, "astype") else [], linear=True, dtype=_numeric)
def astype(x: Any, /, dtype: Any) -> Any:
    """Return the values in another dtype; the gradient is converted back."""
    x = array_of(x)
    if x.dtype.kind == "c" and dtype.kind in "iuf":
        warn("Casting complex values to real discards the imaginary part", np.exceptions.ComplexWarning)
        x = x.real
    return x.astype(dtype)


astype.vjp(lambda g: g)


@composite(numpy=[np.nan_to_num])
def nan_to_num(x: Tensor, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Return x with nan and inf replaced, by default by 0 and the largest numbers; there the derivative is 0."""
    if x.dtype.kind != "f":
        return x.astype(x.dtype)
    largest = np.finfo(x.dtype).max
    ends = largest if posinf is None else posinf, -largest if neginf is None else neginf
    for found, value in zip((isnan, isposinf, isneginf), (nan, *ends), strict=True):
        x = either(found(x), as_tensor(value, x.dtype), x)
    return x


@primitive(numpy=[np.ldexp], method=False)
def ldexp(x: Any, exponent: Any, /) -> Any:
    """Return x * 2**exponent, for integer exponents. Shapes broadcast: (...), (...) -> (...)."""
    return np.ldexp(x, exponent)


ldexp.vjp(lambda g, exponent: np.ldexp(g, exponent), None)
ldexp.jvp(lambda t, exponent: np.ldexp(t, exponent), None)


@primitive(numpy=[np.frexp], multiple_outputs=True, method=False)
def frexp(x: Any, /) -> Any:
    """Return the mantissa, of absolute value 0.5 to 1, and the integer exponent of 2 of each entry."""
    return np.frexp(x)


frexp.vjp(lambda g, y: np.ldexp(g[0], -y[1]))


@primitive(numpy=[np.modf], multiple_outputs=True, method=False)
def modf(x: Any, /) -> Any:
    """Return the fractional part of each entry, whose derivative is 1, and the integer part, whose derivative is 0."""
    return np.modf(x)


modf.vjp(lambda g: g[0])


@composite(numpy=[np.divmod], operator="divmod", method=False)
def divmod(a: Tensor | float, b: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return the floor of the quotient and the remainder. Shapes broadcast: (...), (...) -> (...) twice."""
    return floor_divide(a, b), remainder(a, b)


@primitive(numpy=[np.round, np.around], decimals=lambda value, inputs: int(value))
def round(x: Any, /, decimals: int = 0) -> Any:
    """Return x rounded to the given number of decimals, halves to even."""
    return np.round(x, decimals)


round.vjp(None)


@composite(numpy=[np.real], method=False)
def real(x: Tensor) -> Any:
    """Return the real part: x itself, unless it is complex."""
    return as_tensor(x.data.real) if x.dtype.kind == "c" else x.astype(x.dtype)


setattr(Tensor, "real", property(real, doc="The real part: the tensor itself, unless it is complex."))  # noqa: B010


@composite(numpy=[np.imag], method=False)
def imag(x: Tensor) -> Any:
    """Return the imaginary part: zeros, unless x is complex."""
    return as_tensor(x.data.imag) if x.dtype.kind == "c" else either(False, x, x.dtype.type(0))


setattr(Tensor, "imag", property(imag, doc="The imaginary part: zeros, unless the tensor is complex."))  # noqa: B010


@composite(numpy=[np.real_if_close], method=False)
def real_if_close(x: Tensor, tol: float = 100) -> Any:
    """Return x itself if it is real; a complex x becomes real if its imaginary parts are only rounding errors."""
    return as_tensor(np.real_if_close(x.data, tol)) if x.dtype.kind == "c" else x.astype(x.dtype)


# Samples for tests: a tuple stands for random values of that shape.

clip.samples = [
    sample((2, 3), -0.5, 0.5), sample((2, 3), None, 0.25), sample((2, 3), min=0.1), sample((2, 3), (3,), (2, 1)),
    sample((), -1.0, 1.0), sample((0,), -1.0, 1.0), sample(np.array([-1.0, 0.0, 1.0]), -1.0, 1.0),
]  # fmt: skip
astype.samples = [sample(shape, dtype=dtype) for shape in [(2, 3), (), (0,)] for dtype in ("float32", "float64")]
nan_to_num.samples = [
    sample(np.array([[np.nan, 1.0, -2.0], [0.25, np.nan, 0.5]])), sample((), nan=1.0), sample((0, 3)),
    sample(np.array([np.inf, -np.inf, np.nan]), nan=1.0, posinf=2.0, neginf=-3.0),
]  # fmt: skip
ldexp.samples = [
    sample((2, 3), np.array([0, 1, -2])), sample((), np.array(3)), sample((0, 2), np.array([1, 2])),
    sample((3,), np.array([[1], [2]])),
]  # fmt: skip
frexp.samples = modf.samples = [sample((2, 3)), sample(()), sample((0, 3)), sample(np.array([2.75, -1.25]))]
divmod.samples = [sample((2, 1), np.array([0.75, 1.5])), sample((), 0.75), sample((0,), 2.0)]
round.samples = [sample((2, 3)), sample((3,), decimals=1), sample(()), sample((0,))]
real.samples = imag.samples = real_if_close.samples = [sample((2, 3)), sample(()), sample((0,))]
