"""The library's own test of an operation, in one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .calls import (
    check_call_variants,
    check_constant,
    check_constant_operand,
    check_counted,
    check_errors,
    check_in_place,
    check_keywords,
    check_value,
)
from .case import Case, error_of
from .derivatives import check_complex_step, check_gradient, check_kink, check_second_order, check_tangents
from .samples import build, cases_of
from .storage import LAYOUTS, check_dtype, check_layout, check_masks, check_owned, check_pure

PROPERTIES: dict[str, Callable[[Case], Any]] = {
    "value": check_value,
    "gradient": check_gradient,
    "complex step": check_complex_step,
    "second order": check_second_order,
    "forward mode": check_tangents,
    "call variants": check_call_variants,
    "constant operand": check_constant_operand,
    "in place": check_in_place,
    "no rule": check_constant,
    "purity": check_pure,
    "ownership": check_owned,
    "masks": check_masks,
    "float32": partial(check_dtype, dtype="float32"),
    "float16": partial(check_dtype, dtype="float16"),
    "longdouble": partial(check_dtype, dtype="longdouble"),
    **{layout: partial(check_layout, layout=layout) for layout in LAYOUTS},
    "keywords": check_keywords,
    "counted arguments": check_counted,
    "errors": check_errors,
}


def check_op(
    operation: Any, reference: Callable[..., Any] | None = None, *, inputs: Iterable[Any] | None = None
) -> None:
    """Check an operation for everything that the library's own operations are checked for.

    `operation` is a declared operation, a composite, or any function of Tensors. `reference` computes the expected
    values from arrays, by default the NumPy function that the operation stands for; without either, values are not
    checked. Shapes and dtypes have to be NumPy's if the operation stands for a NumPy function. `inputs` are the calls
    to make: tuples of arguments, in which a tuple stands for an array of that shape with drawn numbers, or
    `sample(...)` to pass parameters, too; by default, the operation's own samples. If none has arrays of size 0, or 0-d
    arrays, such a call is added, if the operation accepts it.

    In all calls, it checks values; gradients against central differences and the complex step; second derivatives;
    forward mode against reverse mode; subgradients at the declared kinks; method, operator and NumPy's function;
    constant operands; that rules write into no array and gradients own their memory; float32, float16 and long double;
    inputs that are not contiguous; misuse.

    Raises AssertionError, which names the operation, the property, and a small example with what was found and
    expected, and ValueError if there are no inputs to check.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.testing.check_op(tg.tanh)
    >>> tg.testing.check_op(lambda x, y: x * tg.exp(y), lambda x, y: x * np.exp(y), inputs=[((2, 3), (3,))])
    """
    cases = cases_of(operation, inputs, reference)
    if not cases:
        raise ValueError(
            f"{getattr(operation, '__name__', repr(operation))!r} has no samples to check it on; pass inputs=[...], "
            "each a tuple of arguments where a tuple such as (2, 3) stands for an array of that shape, or set its "
            "samples = [sample(...), ...]"
        )
    if not any(isinstance(x, np.ndarray) for case in cases for x in case.leaves):
        raise ValueError(
            f"the inputs to check {cases[0].name!r} on hold no array; each is a tuple of arguments: write ((2, 3),) "
            "for one array"
        )
    cases = sorted([*cases, *_limits(cases)], key=_extent)
    found = [failure for name, check in PROPERTIES.items() if (failure := _first_failure(name, check, cases))]
    op = getattr(operation, "operation", None)
    for key in op.kinks if op is not None else ():
        error = error_of(check_kink, operation, key)
        found += [("subgradient", cases[0], error)] if error is not None else []
    if found:
        raise AssertionError(_told(found)) from found[0][2]


Failure = tuple[str, Case, Exception]
Shaped = Callable[[tuple[int, ...]], tuple[int, ...]]
_SMALLER = ", made smaller"


def _first_failure(name: str, check: Callable[[Case], Any], cases: Iterable[Case]) -> Failure | None:
    """Return the failure of a property on the smallest case that fails, made smaller still; None if none fails."""
    for case in cases:
        error = error_of(check, case)
        if error is not None:
            return name, *_shrunk(check, case, error)
    return None


def _extent(case: Case) -> tuple[int, int]:
    """Return how large a case is: size 0 and 0-d come last, since an example with several numbers is clearer."""
    sizes = [np.size(x) for x in case.leaves]
    return int(0 in sizes or all(np.ndim(x) == 0 for x in case.leaves)), sum(sizes)


def _limits(cases: list[Case]) -> Iterator[Case]:
    """Yield a case with arrays of size 0 and one with 0-d arrays, unless there is one or the operation refuses it."""
    arrays = [x for case in cases for x in case.leaves if isinstance(x, np.ndarray)]
    changes: list[Shaped] = [] if any(x.size == 0 for x in arrays) else [lambda shape: (0,) * len(shape)]
    changes += [] if any(x.ndim == 0 for x in arrays) else [lambda shape: ()]
    for shaped in changes:
        smaller = (_with_shapes(case, shaped) for case in cases)
        yield from [case for case in smaller if case is not None and _runs(case)][:1]


def _with_shapes(case: Case, shaped: Shaped) -> Case | None:
    """Return the case with other shapes, None if no input was given as a shape."""

    def replaced(x: Any) -> Any:
        return shaped(x) if isinstance(x, tuple) else [replaced(part) for part in x] if isinstance(x, list) else x

    inputs = [replaced(x) for x in case.shapes]
    return None if inputs == list(case.shapes) else _rebuilt(case, inputs, case.parameters)


def _rebuilt(case: Case, inputs: list[Any], parameters: dict[str, Any]) -> Case:
    label = f"{case.label.removesuffix(_SMALLER)}{_SMALLER}"
    return build(case.name, case.function, inputs, parameters, label, case.reference)


def _runs(case: Case) -> bool:
    """Return whether the operation accepts these inputs, without a warning and with finite results."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return all(np.isfinite(y).all() for y in case.values)
        except Exception:
            return False


def _shrunk(check: Callable[[Case], Any], case: Case, error: Exception) -> tuple[Case, Exception]:
    """Return a smaller case on which the check fails in the same way, and its error."""
    for smaller in _smaller(case):
        other = error_of(check, smaller) if _runs(smaller) else None
        if type(other) is type(error):
            return _shrunk(check, smaller, other)
    return case, error


def _smaller(case: Case) -> Iterator[Case]:
    """Yield cases with fewer parameters, fewer axes, and shorter ones."""
    for name in case.parameters:
        rest = {n: v for n, v in case.parameters.items() if n != name}
        yield _rebuilt(case, list(case.shapes), rest)
    lengths = sorted({n for x in case.leaves for n in np.shape(x) if n > 1}, reverse=True)
    changes: list[Shaped] = [lambda shape: shape[1:], lambda shape: shape[:-1]]
    changes += [partial(_shortened, n, m) for n in lengths for m in range(1, n)]
    for change in changes:
        found = _with_shapes(case, change)
        if found is not None and sum(map(np.size, found.leaves)) < sum(map(np.size, case.leaves)):
            yield found


def _shortened(length: int, to: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([to if n == length else n for n in shape])


def _told(found: list[Failure]) -> str:
    """Return the message: the first property that fails, on which example, and the names of the others."""
    name, case, error = found[0]
    text = str(error) if isinstance(error, AssertionError) else case.fails(f"{type(error).__name__}: {error}")
    with np.printoptions(precision=4, threshold=20):
        inputs = ", ".join(repr(x) for x in case.arguments(case.leaves))
    call = ", ".join([inputs, *[f"{key}={value!r}" for key, value in case.parameters.items()]])
    others = ", ".join(dict.fromkeys(other for other, _, _ in found[1:]))
    rest = f"\n  fails too: {others}" if others else ""
    return f"{case.name!r} fails the check {name!r}\n  {text}\n  example: {case.name}({call}){rest}"
