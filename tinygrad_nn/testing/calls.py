"""Checks of an operation's calls: their values, all ways to write them, and their errors."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from inspect import Parameter, signature
from typing import Any

import numpy as np

from ..errors import PUBLIC
from ..tensor.declaring import COMPOSITES
from ..tensor.handle import NUMPY_FUNCTIONS, Tensor
from ..transforms import autograd
from .case import Case, close, close_values, error_of, is_floating, listed

OPERATORS = [
    "add", "sub", "mul", "truediv", "floordiv", "pow", "matmul", "and", "or", "xor", "neg", "pos", "abs", "invert",
    "lt", "le", "gt", "ge",
]  # fmt: skip
EQUALITIES = {"equal": operator.eq, "not_equal": operator.ne}


def numpy_functions(function: Any) -> list[Any]:
    """Return NumPy's functions for an operation, without those that take their arguments differently.

    Those are ufunc methods, whose defaults differ, and np.astype, whose dtype can't be passed by name.

    >>> import tinygrad_nn as tg
    >>> tg.testing.numpy_functions(tg.exp)
    [<ufunc 'exp'>]
    """
    found = [f for f, recorded in NUMPY_FUNCTIONS.items() if recorded is function]
    return [f for f in found if not isinstance(getattr(f, "__self__", None), np.ufunc) and f.__name__ != "astype"]


def check_value(case: Case) -> None:
    """Values equal the reference's, or NumPy's; without either, the call has to return values at least.

    If NumPy has the function, shapes and dtypes equal NumPy's, also where the values are compared with a reference.
    Where NumPy widens single precision to double, the result may stay single.
    """
    values = [y.data for y in case.results(case.tensors())]
    known = numpy_functions(case.function)[:1]
    reference = case.reference or (known[0] if known else None)
    if reference is None:
        return
    expected, *numpys = [case.arrays_by(function, case.leaves) for function in (reference, *known)]
    assert len(values) == len(expected), case.fails(f"{len(values)} results, by the reference {len(expected)}")
    for position, (y, e) in enumerate(zip(values, expected)):
        assert type(y) is np.ndarray, case.fails(f"data is a {type(y).__name__}")
        assert y.shape == e.shape, case.fails(f"shape {y.shape}, not {e.shape}")
        for n in [found[position] for found in numpys]:
            right = y.shape == n.shape and y.dtype in (n.dtype, case.kept_dtype)
            assert right, case.fails(f"{y.dtype}{y.shape}, NumPy's {n.dtype}{n.shape}")
        if reference in known and isinstance(getattr(case.operation, "forward", None), np.ufunc):
            assert np.array_equal(y, e), case.fails(f"{y} is not NumPy's {e}")
        right = close_values(y, e, 8 * case.eps) or _within_rounding(case, reference, position, y, e)
        assert right, case.fails(f"{y} is not {e}")


def _within_rounding(case: Case, reference: Any, position: int, y: Any, e: Any) -> bool:
    """Return whether changes in the last bits of the inputs explain a difference: a sum that cancels has few digits."""
    rng = np.random.default_rng(5)
    moved = []
    for _ in range(8):
        leaves = [x * (1 + case.eps * rng.choice([-1, 1], x.shape)) if is_floating(x) else x for x in case.leaves]
        moved.append(case.arrays_by(reference, leaves)[position])
    spread = max(float(np.max(np.abs(m - e), initial=0)) for m in moved) if e.dtype.kind == "f" else 0.0
    return np.isfinite(spread) and np.allclose(y, e, rtol=0, atol=8 * spread)


# ---- variants of a call: function, method, operator, NumPy's function ----


def _operators(function: Any) -> list[str]:
    """Return Python's names for the operators of an operation, such as "add" for `+`."""
    return [n for n in OPERATORS if vars(Tensor).get(f"__{n}__") is function]


def call_variants(case: Case) -> dict[str, Callable[..., Any]]:
    """Return every way to write the call on Tensors."""
    function, name = case.function, case.name
    found = {f"{f.__class__.__name__} np.{f.__name__}": f for f in numpy_functions(function)}
    first_is_tensor = isinstance(case.takes[0], int) and isinstance(case.leaves[case.takes[0]], np.ndarray)
    if vars(Tensor).get(name) is function and first_is_tensor:
        found[f"Tensor.{name}"] = lambda x, *rest, **parameters: getattr(x, name)(*rest, **parameters)
    symbols = [getattr(operator, f"__{n}__") for n in _operators(function)]
    symbols += [o for n, o in EQUALITIES.items() if n == name]
    return found | {f"operator.{o.__name__}": o for o in symbols}


def check_call_variants(case: Case) -> None:
    """Function, method, operator and NumPy's function have the same values and gradients."""
    leaves = case.tensors()
    expected = case.results(leaves)
    for variant, function in call_variants(case).items():
        check_same_record(case, variant, function, leaves, expected)


def check_same_record(case: Case, variant: str, function: Any, leaves: Sequence[Any], expected: list[Any]) -> None:
    """Another way to write the call has the expected values, and what it records gives the same gradients."""
    result = listed(function(*case.arguments(leaves), **case.parameters))
    same = all(np.array_equal(a.data, b.data, equal_nan=a.dtype.kind == "f") for a, b in zip(result, expected))
    assert same, case.fails(f"{variant} gives {result}, the function {expected}")
    for a, b in zip(result, expected):
        assert isinstance(a, Tensor), case.fails(f"{variant} gives a {type(a).__name__}")
        assert a.requires_grad == b.requires_grad, case.fails(f"{variant} records otherwise than the function")
    if any(y.requires_grad for y in result):
        wanted = [x for x in leaves if isinstance(x, Tensor) and x.requires_grad]
        (result, seeds), (expected, _) = case.recorded(result), case.recorded(expected)
        ours = autograd.grad(result, wanted, seeds)
        known = autograd.grad(expected, wanted, seeds, retain_graph=True)
        assert all(np.array_equal(a.data, b.data) for a, b in zip(ours, known)), case.fails(f"gradient of {variant}")


def check_constant_operand(case: Case) -> None:
    """If one operand is a plain array, the other's gradient is the same, in every variant of the call; not at ties."""
    if len(case.leaves) < 2 or not case.differentiable or case.at_kink:
        return
    full = dict(zip(case.active, case.gradients()))
    for lone in case.active:
        leaves = [Tensor(x, requires_grad=True) if i == lone else x for i, x in enumerate(case.leaves)]
        assert any(y.requires_grad for y in case.outputs(leaves)), case.fails("not recorded beside a constant")
        outputs, seeds = case.recorded(case.results(leaves))
        (g,) = autograd.grad(outputs, [leaves[lone]], seeds, retain_graph=True)
        assert close(g.data, full[lone], 8 * case.eps), case.fails(f"input {lone} beside constants")
        for variant, function in call_variants(case).items():
            if not variant.startswith("Tensor") or lone == case.takes[0]:
                check_same_record(case, f"{variant} beside a constant", function, leaves, case.results(leaves))


def check_in_place(case: Case) -> None:
    """`t += v` gives t the function's value and gradient if t keeps its shape, and raises otherwise."""
    assign = next((getattr(operator, f"__i{n}__", None) for n in _operators(case.function)), None)
    if assign is None or not isinstance(case.leaves[0], np.ndarray) or not case.differentiable:
        return
    a, b = case.tensors()
    t = held = a * 1.0
    if case.values[0].shape != t.shape:
        return _refuses(case, "another shape in place", assign, [t, b], {}, ValueError)
    before = t.data.copy()
    recorded = t * 1.0
    t = assign(t, b)
    assert t is held, case.fails("an in-place operator gave another tensor")
    check_same_record(case, "in place", lambda *_: t, [a, b], case.results([a, b]))
    assert np.array_equal(recorded.data, before), case.fails("an in-place operator changed an older result")


def check_constant(case: Case) -> None:
    """An operation whose rules are all None records nothing; one without any rules refuses."""
    op = case.operation
    if op is None or op.differentiable or not op.rules:
        return
    leaves = [Tensor(x, requires_grad=True) if is_floating(x) else x for x in case.leaves]
    assert not any(y.requires_grad for y in case.outputs(leaves)), case.fails("requires grad without a rule")


# ---- errors ----


def _declared(case: Case) -> bool:
    return case.operation is not None or COMPOSITES.get(case.name) is case.function


def check_errors(case: Case) -> None:
    """An error inside an operation carries one note, which names the operation and the shapes and dtypes it got."""
    if not _declared(case):
        return
    errors = (error_of(case.call, *arguments, **parameters) for arguments, parameters in _awkward(case))
    error = next(filter(None, errors), None)
    assert error is not None, case.fails("nothing here makes it fail")
    notes = getattr(error, "__notes__", [])
    name, described = PUBLIC.get(case.name, case.name).format(r"\d"), r"(float64|bool|int64)\[|'no"
    named = any(re.search(f"operation '{name}'", note) and re.search(described, note) for note in notes)
    assert sum("tinygrad_nn operation" in note for note in notes) == 1, case.fails(f"not one note: {notes}")
    assert named, case.fails(f"{error!r} doesn't name the operation and its inputs: {notes}")


def _awkward(case: Case) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Yield arguments and parameters that many operations can't take."""
    arrays = [isinstance(x, np.ndarray) for x in case.leaves]
    for shapes in ([(2,), (3,), (4,)], [(2, 3), (2, 3), (5,)], [(), (2, 2), (3,)]):
        ragged = itertools.cycle(shapes)
        yield case.arguments([np.ones(next(ragged)) for _ in arrays]), case.parameters
    for name in case.parameters:
        yield case.arguments(case.leaves), case.parameters | {name: 99}
    yield [["no number"] if isinstance(p, tuple) else "no number" for p in case.takes], case.parameters
    if "axis" in signature(case.call).parameters or (case.operation and "axis" in case.operation.defaults):
        yield case.arguments(case.leaves), case.parameters | {"axis": 99}
    if case.operation is not None and case.operation.pointwise:
        yield case.arguments([np.broadcast_to(np.array(True), 2**59)] * len(arrays)), case.parameters
        yield case.arguments([np.broadcast_to(1.0, 2**59)] * len(arrays)), case.parameters


def check_keywords(case: Case) -> None:
    """An unknown keyword is a TypeError in every variant of the call, never swallowed."""
    if not _declared(case):
        return
    functions = {n: f for n, f in call_variants(case).items() if not n.startswith("operator")} | {"function": case.call}
    for variant, function in functions.items():
        _refuses(case, variant, function, case.arguments(case.tensors()), case.parameters | {"no_such_keyword": 1})
    if "where" not in signature(case.call).parameters:
        _refuses(case, "where", case.call, case.arguments(case.tensors()), case.parameters | {"where": True})


def check_counted(case: Case) -> None:
    """One argument too many, one missing, a parameter left out or given twice is a TypeError, never a guess."""
    op, inputs = case.operation, case.arguments(case.tensors())
    if op is None:
        return
    left_out = [None] * (len(op.arguments) - len(inputs))
    _refuses(case, "one too many", case.call, [*inputs, *left_out, *op.defaults.values(), 1], {})
    _refuses(case, "nothing", case.call, [], {})
    for parameter, default in op.defaults.items():
        if default is Parameter.empty:
            rest = {k: v for k, v in case.parameters.items() if k != parameter}
            _refuses(case, f"without {parameter}", case.call, inputs, rest)
    if op.defaults:
        values = op.defaults | case.parameters
        _refuses(case, "twice", case.call, [*inputs, *left_out, next(iter(values.values()))], values)


def _refuses(
    case: Case, what: str, function: Any, arguments: list[Any], parameters: dict[str, Any], kind: Any = TypeError
) -> None:
    error = error_of(function, *arguments, **parameters)
    assert isinstance(error, kind), case.fails(f"{what}: {error!r} for {len(arguments)} arguments, {list(parameters)}")
