"""NumPy's own functions on tensors: they record, or they raise; no path loses a gradient silently."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from by_folds import fold
from looped import looped
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import DetachedError, DtypeError, InplaceError, unknown_numpy

np: Any = numpy  # what is tested is what NumPy does with a Tensor, whatever its stubs say


# NumPy functions record.

FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda t, u: np.exp(t),
    "sqrt": lambda t, u: np.sqrt(t),
    "abs": lambda t, u: np.abs(t),
    "add": lambda t, u: np.add(t, u),
    "multiply by array": lambda t, u: np.multiply(np.full((2, 3), 2.0), t),
    "maximum": lambda t, u: np.maximum(t, u),
    "power": lambda t, u: np.power(t, 2),
    "logaddexp": lambda t, u: np.logaddexp(t, u),
    "matmul": lambda t, u: np.matmul(t, np.ones((3, 2))),
    "sum": lambda t, u: np.sum(t),
    "sum axis": lambda t, u: np.sum(t, axis=-1, keepdims=True),
    "sum positional": lambda t, u: np.sum(t, 0),
    "mean": lambda t, u: np.mean(t, axis=(0, 1)),
    "prod": lambda t, u: np.prod(t, axis=0),
    "max": lambda t, u: np.max(t, axis=1),
    "amin": lambda t, u: np.amin(t),
    "var": lambda t, u: np.var(t, axis=0, ddof=1),
    "std": lambda t, u: np.std(t),
    "reshape": lambda t, u: np.reshape(t, (3, -1)),
    "ravel": lambda t, u: np.ravel(t),
    "transpose": lambda t, u: np.transpose(t),
    "transpose positional": lambda t, u: np.transpose(t, (1, 0)),
    "transpose axes": lambda t, u: np.transpose(t, axes=(1, 0)),
    "swapaxes": lambda t, u: np.swapaxes(t, 0, -1),
    "moveaxis": lambda t, u: np.moveaxis(t, source=0, destination=-1),
    "expand_dims": lambda t, u: np.expand_dims(t, axis=1),
    "squeeze": lambda t, u: np.squeeze(t[None], axis=0),
    "broadcast_to": lambda t, u: np.broadcast_to(t, shape=(2, 2, 3)),
    "concatenate": lambda t, u: np.concatenate([t, u]),
    "concatenate with arrays": lambda t, u: np.concatenate([np.ones((1, 3)), t], axis=0),
    "concatenate flat": lambda t, u: np.concatenate((t, np.ones(2)), axis=None),
    "stack": lambda t, u: np.stack([t, u], axis=-1),
    "split": lambda t, u: np.split(t, 3, axis=1)[1],
    "where": lambda t, u: np.where(np.eye(2, 3) > 0, t, u),
    "clip": lambda t, u: np.clip(t, 0.5, 1.5),
    "clip keywords": lambda t, u: np.clip(t, a_min=0.5, a_max=1.5),
    "reshape keyword": lambda t, u: np.reshape(t, shape=(6,)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_functions_on_tensors_record_and_equal_numpys(name: str) -> None:
    function = FUNCTIONS[name]
    values = np.array([[0.3, 0.9, 1.7], [1.1, 2.3, 0.2]]), np.array([[1.3, 0.4, 2.7], [0.1, 1.3, 0.8]])
    t, u = leaf(values[0]), leaf(values[1])
    y = function(t, u)
    assert type(y) is tg.Tensor
    assert y.requires_grad
    np.testing.assert_allclose(y.data, looped(function)(*values), rtol=1e-14)
    y.sum().backward()
    assert slope(t).shape == (2, 3)


@pytest.mark.parametrize(
    "name", ["exp", "log", "tanh", "sqrt", "sum", "mean", "max", "reshape", "transpose", "squeeze", "clip"]
)
def test_method_function_and_numpy_dispatch_are_one_function(name: str) -> None:
    assert getattr(tg.Tensor, name) is getattr(tg, name)
    arguments: tuple[Any, ...] = {"reshape": ((4,),), "clip": (0.1, 1.5)}.get(name, ())
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    results = [getattr(x, name)(*arguments), getattr(tg, name)(x, *arguments), getattr(np, name)(x, *arguments)]
    gradients = [tg.autograd.grad(y.sum(), x)[0] for y in results]
    for y, g in zip(results, gradients, strict=True):
        assert g is not None
        assert gradients[0] is not None
        np.testing.assert_array_equal(y.data, results[0].data)
        np.testing.assert_array_equal(g.data, gradients[0].data)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (np.shape, (3,)),
        (np.ndim, 1),
        (np.size, 3),
        (np.argmax, 1),
        (np.argmin, 0),
        (np.count_nonzero, 3),
        (np.all, True),
        (np.any, True),
        (lambda t: np.array_equal(t, [1.0, 3.0, 2.0]), True),
        (lambda t: np.allclose(t, t), True),
        (lambda t: np.result_type(t, np.float32), np.float64),
        (np.iscomplexobj, False),
    ],
)
def test_questions_without_a_derivative_are_answered_for_recorded_tensors(
    ask: Callable[[Any], Any], answer: Any
) -> None:
    assert ask(leaf([1.0, 3.0, 2.0])) == answer


def test_operations_without_a_derivative_cut_the_gradient_visibly() -> None:
    x = leaf([1.5, -2.5])
    for y in (np.sign(x), np.floor(x), np.ceil(x), np.rint(x), x // 1, np.isnan(x), x > 0):
        assert not y.requires_grad


# What would lose the gradient raises, and says what to write.


@pytest.mark.parametrize(
    "lose",
    [
        lambda t: np.asarray(t),
        lambda t: np.array(t),
        lambda t: np.array(t, dtype=object),
        lambda t: np.array([t, t]),
        lambda t: np.array([t[0], t[1]]),
        lambda t: np.array([t[0], t[1]], dtype=object),
        lambda t: np.array([[t[0], 1.0], [2.0, 3.0]]),
        lambda t: np.asanyarray(t),
        lambda t: np.ascontiguousarray(t),
        lambda t: np.sum([t[0], t[1]]),
        lambda t: np.mean([t, t], axis=0),
        lambda t: np.exp([t[0], t[1]]),
        lambda t: np.atleast_1d([t[0]]),
        lambda t: np.ma.array(t),
        lambda t: np.ma.array([1.0, 2.0], mask=[False, True]) + t,
        lambda t: t + np.ma.array([1.0, 2.0], mask=[False, True]),
        lambda t: np.zeros((1, 2)).view(np.matrix) + t,
        lambda t: t * np.zeros((1, 2)).view(np.matrix),
        lambda t: operator.add([t[0], t[1]], t),
        lambda t: np.zeros(2).dot(t),
        lambda t: np.random.default_rng(0).normal(t),
        lambda t: np.copyto(np.zeros(2), t),
    ],
    ids=range(22),
)
def test_conversions_that_would_lose_the_gradient_are_refused(lose: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        lose(leaf([1.0, 2.0]))


@pytest.mark.parametrize(
    "lose",
    [np.asarray, np.array, lambda t: np.array([t, t]), lambda t: np.sum([t, t]), tg.Tensor],
    ids=["asarray", "array", "array of list", "sum of list", "Tensor"],
)
def test_the_refusal_names_data_and_detach(lose: Callable[[Any], Any]) -> None:
    with pytest.raises(DetachedError, match=r"lose the gradient.*t\.data.*t\.detach\(\)"):
        lose(leaf([1.0, 2.0]))


def _store(target: Any, index: Any, t: Any) -> None:
    target[index] = t


@pytest.mark.parametrize("index", [slice(None), Ellipsis, np.array([True, True]), [0, 1]], ids=str)
def test_storing_recorded_tensors_in_an_array_raises(index: Any) -> None:
    with pytest.raises(DetachedError, match=r"t\.detach\(\)"):
        _store(np.zeros(2), index, leaf([1.0, 2.0]))


@pytest.mark.parametrize(
    "lose",
    [
        lambda t: _store(np.zeros(2), 0, t),
        lambda t: np.zeros(2).fill(t),
        lambda t: _store([0.0, *np.zeros(2)], 0, float(t)),
        math.sqrt,
        float,
        complex,
        lambda t: np.float64(t),
    ],
    ids=["array[0] = t", "array.fill(t)", "float in a list", "math.sqrt", "float", "complex", "np.float64"],
)
def test_taking_one_recorded_number_silently_raises(lose: Any) -> None:
    """NumPy and math ask such a value for float(t); that refuses for as long as a gradient can be lost."""
    for t in (leaf(1.0), leaf(1.0) * 2):
        with pytest.raises((DetachedError, ValueError)) as caught:
            lose(t)
        messages = [str(caught.value), str(caught.value.__cause__)]
        assert any("t.item()" in m and "tg.stack" in m for m in messages), messages


def test_a_number_can_be_taken_once_the_graph_is_freed() -> None:
    loss = leaf(3.0) * 2
    loss.backward()
    array = np.zeros(2)
    _store(array, 0, loss)
    assert (float(loss), math.sqrt(loss), array[0]) == (6.0, math.sqrt(6.0), 6.0)
    np.testing.assert_array_equal(np.asarray(loss), 6.0)


def _add_in_place(array: Any, t: Any) -> Any:
    array += t
    return array


@pytest.mark.parametrize(
    "write",
    [
        lambda array, t: _add_in_place(array, t),
        lambda array, t: np.add(t, 1, out=array),
        lambda array, t: np.exp(t, out=array),
        lambda array, t: np.multiply(array, t, out=array),
        lambda array, t: np.exp(t, where=np.array([True, False]), out=array),
        lambda array, t: np.add.accumulate(t, out=array),
    ],
    ids=["+=", "add", "exp", "multiply", "where", "accumulate"],
)
def test_writing_a_recorded_result_into_an_array_raises_with_the_remedy(write: Callable[[Any, Any], Any]) -> None:
    array = np.array([5.0, 6.0])
    with pytest.raises(DetachedError, match=r"t\.detach\(\)"):
        write(array, leaf([1.0, 2.0]))
    np.testing.assert_array_equal(array, [5.0, 6.0])


def test_a_result_that_records_nothing_can_be_written_into_an_array() -> None:
    array = np.array([5.0, 6.0])
    assert np.exp(tg.tensor([0.0, 1.0]), out=array, where=np.array([True, False])) is array
    np.testing.assert_array_equal(array, [1.0, 6.0])
    array += tg.tensor([1.0, 1.0])
    np.testing.assert_array_equal(array, [2.0, 7.0])


def test_an_output_tensor_is_assigned_and_keeps_its_history() -> None:
    x, start = leaf([-1.0, 4.0]), leaf([1.0, 2.0])
    out = start * 3
    held = out
    result = np.sqrt(x, where=np.array([False, True]), out=out)
    assert result is held
    np.testing.assert_array_equal(held.data, [3.0, 2.0])
    held.sum().backward()
    np.testing.assert_array_equal(slope(x), [0.0, 0.25])
    np.testing.assert_array_equal(slope(start), [3.0, 0.0])


def test_out_follows_the_rules_of_assignment() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(InplaceError, match="leaf"):
        np.exp(x, out=leaf([0.0, 0.0]))
    with pytest.raises(ValueError, match="shape"):
        np.exp(x, out=tg.zeros(3))
    with pytest.raises(TypeError, match="dtype"):
        np.exp(x, out=tg.zeros(2, dtype=int))
    fraction, whole = tg.zeros(2), tg.zeros(2)
    np.modf(x * 1.25, out=(fraction, whole))
    assert (fraction.tolist(), whole.tolist()) == ([0.25, 0.5], [1.0, 2.0])


def test_where_without_out_is_refused() -> None:
    with pytest.raises(TypeError, match="pass out= as well"):
        np.log(leaf([1.0, 2.0]), where=np.array([True, False]))


def test_where_looks_at_nothing_that_is_masked() -> None:
    """No warning about a logarithm of -1, no nan from it, at any order."""
    x = leaf([-1.0, 2.0, 0.0])
    y = np.log(x, where=x.data > 0, out=tg.zeros(3))
    (g,) = tg.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = tg.autograd.grad(g.sum(), x)
    np.testing.assert_array_equal(g.data, [0.0, 0.5, 0.0])
    np.testing.assert_array_equal(h.data, [0.0, -0.25, 0.0])


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.sum(t, out=np.zeros(())),
        lambda t: np.mean(t, out=np.zeros(())),
        lambda t: np.reshape(t, (2, 1), copy=True),
        lambda t: np.concatenate([t, t], casting="unsafe"),
        lambda t: np.add(t, 1, casting="unsafe"),
        lambda t: np.add(t, 1, subok=False),
        lambda t: t.sum(axsi=0),
        lambda t: np.sum(t, 0, None, None, True, 0, True, 7),
        lambda t: np.sum(t, axsi=0),
        lambda t: np.add.reduce(t, 0, None, np.zeros(())),
        lambda t: tg.exp(t, 2),  # type: ignore[call-arg]
        lambda t: tg.add(t),  # type: ignore[call-arg]
    ],
    ids=range(12),
)
def test_a_keyword_that_no_rule_knows_is_a_type_error_and_never_swallowed(call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        call(leaf([1.0, 2.0]))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.sum(a=t, axis=0),
        lambda t: np.sum(t, 0, None, None, True),
        lambda t: np.prod(t, 0, np.float32),
        lambda t: np.mean(t, 0, None, None, True),
        lambda t: np.max(a=t, axis=1, out=None),
        lambda t: np.clip(a=t, a_min=0, a_max=1),
        lambda t: np.reshape(t, shape=(4,), order="C"),
        lambda t: np.transpose(a=t, axes=(1, 0)),
        lambda t: np.expand_dims(a=t, axis=0),
        lambda t: np.var(t, 0, None, None, 1),
        lambda t: np.add(t, 1, dtype=np.float32),
        lambda t: np.add(t, 1, casting="same_kind", order="K"),
        lambda t: np.cumsum(t, 1, None, None),
    ],
    ids=range(13),
)
def test_numpys_own_names_and_positions_mean_the_same(call: Callable[[Any], Any]) -> None:
    values = np.array([[0.5, 2.0], [-1.0, 0.25]])
    found, expected = call(leaf(values)), call(values)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.data, looped(call)(values), rtol=1e-15)


UFUNCS = [
    np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum, np.logaddexp, np.hypot, np.fmax,
    np.arctan2, np.logical_and, np.logical_or,
]  # fmt: skip
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "reduce": lambda u, x: u.reduce(x),
    "reduce last": lambda u, x: u.reduce(x, axis=-1, keepdims=True),
    "accumulate": lambda u, x: u.accumulate(x),
    "accumulate last": lambda u, x: u.accumulate(x, axis=1),
    "outer": lambda u, x: u.outer(x, np.array([0.75, 1.25])),
    "outer from the right": lambda u, x: u.outer(np.array([0.75, 1.25]), x),
    "reduceat": lambda u, x: u.reduceat(x, [0, 2, 1]),
    "reduceat last": lambda u, x: u.reduceat(x, [1, 0], axis=1),
}


@pytest.mark.parametrize("way", CALLS)
@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_methods_of_universal_functions(ufunc: Any, way: str) -> None:
    """Shapes and dtypes are NumPy's, values those of loops, gradients those of central differences."""
    call = looped(lambda x: CALLS[way](ufunc, x))
    values = np.array([[1.1, 0.7, 1.9], [0.6, 1.4, 0.9], [1.7, 0.8, 1.3], [1.2, 1.6, 0.55]])
    expected = CALLS[way](ufunc, values)
    t = leaf(values)
    found = CALLS[way](ufunc, t)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.data, call(values), rtol=1e-14)
    if expected.dtype.kind == "f":
        weights = np.cos(np.arange(expected.size)).reshape(expected.shape)
        (found * weights).sum().backward()
        step, numeric = 1e-6, np.zeros(values.shape)
        for index in np.ndindex(values.shape):
            moved = [values.copy(), values.copy()]
            moved[0][index] += step
            moved[1][index] -= step
            above, below = ((call(m) * weights).sum() for m in moved)
            numeric[index] = (above - below) / (2 * step)
        np.testing.assert_allclose(slope(t), numeric, rtol=1e-6, atol=1e-7)


def test_reductions_with_where_and_initial_by_the_method() -> None:
    values, mask = np.array([[1.0, 5.0], [3.0, 2.0]]), np.array([[True, False], [True, True]])
    t = leaf(values)
    np.testing.assert_array_equal(np.add.reduce(t, where=mask).data, [4.0, 2.0])
    np.testing.assert_array_equal(np.multiply.reduce(t, axis=None, initial=2).data, 60.0)
    np.testing.assert_array_equal(np.maximum.reduce(t, axis=1, initial=4).data, [5.0, 4.0])
    with pytest.raises(ValueError, match="no identity"):
        np.subtract.reduce(leaf(np.zeros((0, 2))))


REDUCING = [
    np.logaddexp, np.logaddexp2, np.hypot, np.fmax, np.fmin, np.subtract, np.arctan2, np.power, np.logical_xor,
]  # fmt: skip
_MASK = np.array([[True, False, True], [False, False, True]])
OPTIONS: list[dict[str, Any]] = [
    {"axis": None}, {"axis": (1, 0)}, {"axis": (1,), "keepdims": True}, {"axis": ()}, {"where": _MASK},
    {"where": _MASK, "initial": 0.3}, {"axis": None, "initial": 0.3}, {"initial": None},
    {"axis": -1, "where": _MASK[:, :1], "initial": 2.2, "keepdims": True}, {"where": np.array(True)},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("ufunc", REDUCING, ids=lambda u: u.__name__)
def test_reductions_that_go_from_entry_to_entry_take_numpys_options(ufunc: Any, options: Any) -> None:
    values = np.array([[1.5, 2.0, 0.5], [3.0, 4.0, 1.25]])
    t = leaf(values)
    try:
        numpys = ufunc.reduce(values, **options)
    except ValueError:
        with pytest.raises(ValueError, match=r"not reorderable|initial"):
            ufunc.reduce(t, **options)
        return
    y = ufunc.reduce(t, **options)
    expected = fold(ufunc, values, **options)
    assert (y.shape, y.dtype) == (np.shape(numpys), np.result_type(numpys))
    np.testing.assert_allclose(y.data, expected, rtol=1e-14)
    if y.requires_grad:
        direction, step = np.cos(np.arange(6.0)).reshape(2, 3), 1e-6
        above, below = (fold(ufunc, values + s * direction, **options) for s in (step, -step))
        numeric = np.subtract(above, below, where=np.isfinite(expected), out=np.zeros(np.shape(expected))).sum()
        y.sum().backward()
        np.testing.assert_allclose(np.sum(slope(t) * direction), numeric / (2 * step), rtol=1e-6, atol=1e-7)


def test_reductions_start_from_a_tensor_and_have_an_identity() -> None:
    start = leaf(12.0)
    np.testing.assert_allclose(np.hypot.reduce(leaf([3.0, 4.0]), initial=start).data, 13.0)
    (g,) = tg.autograd.grad(np.hypot.reduce(leaf([3.0, 4.0]), initial=start), start)
    assert g is not None
    np.testing.assert_allclose(g.data, 12 / 13)
    assert np.logaddexp.reduce(leaf(np.zeros((0, 2)))).tolist() == [-np.inf, -np.inf]
    assert np.logaddexp.reduce(leaf(np.zeros((2, 0))), axis=None, initial=1.5).tolist() == 1.5
    t = leaf([1.0, 1.0, 1.0])
    np.fmax.reduce(t).backward()
    np.testing.assert_allclose(slope(t), 1 / 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, out: np.sum(x, axis=0, out=out),
        lambda x, out: np.mean(x, 0, None, out),
        lambda x, out: np.prod(x, axis=0, out=out),
        lambda x, out: np.max(x, axis=0, out=out),
        lambda x, out: np.amin(x, 0, out),
        lambda x, out: np.cumprod(x[0], out=out),
        lambda x, out: np.concatenate([x[0, :1], x[1, 1:]], out=out),
        lambda x, out: np.stack([x[0, 0], x[1, 1]], out=out),
        lambda x, out: np.einsum("ij->j", x, out=out),
        lambda x, out: np.take(x[0], [1, 0], out=out),
    ],
    ids=["sum", "mean", "prod", "max", "amin", "cumprod", "concatenate", "stack", "einsum", "take"],
)
def test_functions_write_into_an_output_tensor(call: Callable[[Any, Any], Any]) -> None:
    values = np.array([[1.5, -2.0], [0.5, 3.0]])
    t, out = leaf(values), tg.zeros(2)
    assert call(t, out) is out
    np.testing.assert_allclose(out.data, looped(call)(values, np.zeros(2)), rtol=1e-15)
    (expected,) = tg.autograd.grad(call(t, None).sum(), t)
    (found,) = tg.autograd.grad(out.sum(), t)
    assert expected is not None
    assert found is not None
    np.testing.assert_array_equal(found.data, expected.data)
    with pytest.raises(DetachedError, match=r"t\.detach\(\)"):
        call(t, np.zeros(2))


def test_nested_lists_of_tensors_keep_their_graph_where_a_function_sees_them() -> None:
    a, b, x = leaf(1.0), leaf(2.0), leaf([5.0, 6.0])
    for y, values, count in (
        (np.stack([x, [a, b]]), [[5.0, 6.0], [1.0, 2.0]], 1),
        (np.concatenate([[a, 3.0], x]), [1.0, 3.0, 5.0, 6.0], 1),
        (np.vstack([x, [[a, a], [a, 1]]]), [[5.0, 6.0], [1.0, 1.0], [1.0, 1.0]], 3),
        (tg.concatenate([[a], [b, 3.0]]), [1.0, 2.0, 3.0], 1),
        (tg.vstack([[a, a], [b, 1]]), [[1.0, 1.0], [2.0, 1.0]], 2),
        (tg.stack([[a, b], [b, a]]), [[1.0, 2.0], [2.0, 1.0]], 2),
    ):
        assert y.tolist() == values
        (g,) = tg.autograd.grad(y.sum(), a)
        assert g is not None
        assert g.tolist() == count
    with pytest.raises(DetachedError, match=r"nested lists.*tg\.stack"):
        np.stack([[a, b], [b, a]])


SCIPYS = [
    "erf", "erfc", "gammaln", "expit", "logit", "gamma", "rgamma", "psi", "erfinv", "erfcinv", "ndtr", "j0", "j1", "y0",
    "y1", "i0", "i1", "beta", "betaln", "xlogy", "xlog1py",
]  # fmt: skip


@pytest.mark.parametrize("name", SCIPYS)
def test_ufuncs_of_scipy_are_recorded(name: str) -> None:
    ufunc = getattr(pytest.importorskip("scipy.special"), name)
    values = [np.array([0.25, 0.5]), np.array([1.25, 0.75])][: ufunc.nin]
    inputs = [leaf(v) for v in values]
    y = ufunc(*inputs)
    assert y.requires_grad
    np.testing.assert_allclose(y.data, ufunc(*values), rtol=1e-15)
    y.sum().backward()
    for number, t in enumerate(inputs):
        above, below = (ufunc(*[v + s * (i == number) for i, v in enumerate(values)]) for s in (1e-6, -1e-6))
        np.testing.assert_allclose(slope(t), (above - below) / 2e-6, rtol=1e-7)


def test_one_over_gamma_has_its_derivatives_at_the_poles_of_gamma() -> None:
    """At -n they are (-1)^n n! and, the second ones, -2 (-1)^n n! digamma(n + 1)."""
    special = pytest.importorskip("scipy.special")
    for n in range(4):
        sign = (-1) ** n * math.factorial(n)
        np.testing.assert_allclose(tg.grad(tg.rgamma)(-float(n)).data, sign, rtol=1e-14)
        second = tg.grad(tg.grad(tg.rgamma))(-float(n)).data
        np.testing.assert_allclose(second, -2 * sign * special.digamma(n + 1), rtol=1e-13)


def test_what_of_scipy_is_not_recorded_says_why() -> None:
    special = pytest.importorskip("scipy.special")
    t = leaf([0.25, 0.5])
    with pytest.raises(TypeError, match=r"scipy\.special\.jv is not recorded.*with respect to its order.*tg\.i0"):
        special.jv(0, t)
    with pytest.raises(TypeError, match=r"scipy\.special\.gammainc is not recorded.*respect to its first parameter"):
        special.gammainc(1.0, t)
    with pytest.raises(TypeError, match=r"scipy\.special\.erfcx is not recorded.*tg\.erfc"):
        special.erfcx(t)
    with pytest.raises(DetachedError, match=r"scipy\.special\.logsumexp, call tg's function"):
        special.logsumexp(t)


@pytest.mark.parametrize("name", ["gamma", "beta", "erfinv"])
def test_without_scipy_its_values_are_an_import_error_with_the_remedy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    arguments = [leaf(0.5)] * (2 if name == "beta" else 1)
    with pytest.raises(ImportError, match=f"{name} takes its values from SciPy; install it with"):
        getattr(tg, name)(*arguments)
    np.testing.assert_allclose(tg.ndtr(leaf(0.0)).data, 0.5)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda t: np.fft.fft(t), "fft"),
        (lambda t: np.angle(t), "angle"),
        (lambda t: np.roots(t), "roots"),
        (lambda t: np.nextafter(t, 1), "nextafter"),
    ],
)  # fmt: skip
def test_a_function_that_is_not_recorded_names_itself(call: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(TypeError, match=rf"\b{name} is not recorded by tinygrad_nn.*t\.data"):
        call(leaf([1.0, 2.0]))


def _message(call: Callable[[Any], Any]) -> str:
    with pytest.raises(TypeError) as caught:
        call(leaf([1.0, 2.0]))
    return str(caught.value)


def test_the_nearest_names_are_listed() -> None:
    assert "the nearest that are: tg.mean" in unknown_numpy("numpy.meen", [np.mean, np.sum])
    assert "tg." in _message(np.roots)


@pytest.mark.parametrize("function", [np.roots, np.histogram, np.fft.fft, np.angle])
def test_every_name_that_a_refusal_suggests_exists(function: Callable[..., Any]) -> None:
    words = _message(function).replace(",", " ").replace(";", " ").split()
    suggested = [word.removeprefix("tg.") for word in words if word.startswith("tg.")]
    assert suggested
    for name in suggested:
        assert operator.attrgetter(name)(tg)


# Tensors that record nothing may leave.


def test_a_tensor_that_records_nothing_converts_freely() -> None:
    t = tg.tensor([1.0, 2.0])
    array = np.asarray(t)
    assert type(array) is np.ndarray
    assert np.shares_memory(array, t.data)
    assert not np.shares_memory(np.array(t), t.data)
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.array([t, t]), [[1.0, 2.0], [1.0, 2.0]])
    np.testing.assert_array_equal(np.array([t[0], t[1]]), [1.0, 2.0])
    other = np.zeros(2)
    other[:] = t
    np.testing.assert_array_equal(other, [1.0, 2.0])


def test_what_was_detached_converts_freely() -> None:
    x = leaf([1.0, 2.0])
    np.testing.assert_array_equal(np.asarray((x * 2).detach()), [2.0, 4.0])
    with tg.no_grad():
        y = x * 2
    np.testing.assert_array_equal(np.asarray(y), [2.0, 4.0])


def test_numpy_refuses_to_convert_without_a_copy_where_one_is_needed() -> None:
    t = tg.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="copy"):
        np.array(t, dtype=np.float32, copy=False)


def test_explicit_python_numbers_are_allowed_on_recorded_tensors() -> None:
    t = leaf(0.0)
    assert math.cos(t.item()) == 1.0
    assert (int(t), bool(t), f"{t:.1f}") == (0, False, "0.0")


# Arrays and NumPy numbers on the left never make object arrays.


@pytest.mark.parametrize("left", [np.ones(3), np.float64(2), np.float32(2), np.int64(2), np.array(2), np.bool_(True)])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "true_divide", "power", "maximum", "greater"])
def test_an_array_on_the_left_gives_a_tensor_never_an_object_array(left: Any, name: str) -> None:
    x = leaf([1.0, 2.0, 3.0])
    y = getattr(np, name)(left, x)
    assert type(y) is tg.Tensor
    assert y.dtype != object


def test_python_operators_with_an_array_on_the_left_give_tensors() -> None:
    x, array = leaf([1.0, 2.0, 3.0]), np.ones(3)
    for y in (array + x, array - x, array * x, array / x, array**x, np.float64(2) * x, np.float64(2) ** x):
        assert type(y) is tg.Tensor
        assert y.requires_grad
    assert type(array @ x) is tg.Tensor
    assert type(array == x) is tg.Tensor
    assert type(array // x) is tg.Tensor


# Operands that are no numbers are refused wherever they come in.

FOREIGN: dict[str, Any] = {
    "object": np.array([1, 2], object),
    "text": np.array(["1", "2"]),
    "datetime": np.array(["2020", "2021"], "M8[Y]"),
    "timedelta": np.array([1, 2], "m8[s]"),
    "structured": np.zeros(2, [("x", float)]),
    "masked": np.ma.array([1.0, 2.0], mask=[False, True]),
    "None": None,
    "string": "12",
}
MEETINGS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda t, v: t + v,
    "multiply": lambda t, v: t * v,
    "from the left": lambda t, v: tg.multiply(v, t),
    "divide": lambda t, v: t / v,
    "maximum": lambda t, v: tg.maximum(t, v),
    "where": lambda t, v: tg.where(np.array([True, False]), t, v),
    "concatenate": lambda t, v: tg.concatenate([t, v]),
    "less": lambda t, v: t < v,
    "as an input": lambda t, v: tg.exp(v),
    "summed": lambda t, v: tg.sum(v),
    "matmul": lambda t, v: t @ v,
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("meeting", MEETINGS)
@pytest.mark.parametrize("recorded", [True, False])
def test_what_is_no_plain_array_of_numbers_is_refused_as_an_operand(kind: str, meeting: str, recorded: bool) -> None:
    t = tg.tensor([1.0, 2.0], requires_grad=recorded)
    with pytest.raises((TypeError, ValueError)):
        MEETINGS[meeting](t, FOREIGN[kind])


# Dtypes in which a gradient has no meaning.


@pytest.mark.parametrize("dtype", [int, bool, np.int8, np.uint16])
def test_a_conversion_to_integers_cuts_the_gradient_visibly(dtype: Any) -> None:
    x = leaf([1.5, 2.5])
    try:
        y = x.astype(dtype)
    except DtypeError:
        return
    assert not y.requires_grad


@pytest.mark.parametrize(
    "through", [lambda x: x * 1j, lambda x: x + np.array([1j, 2]), lambda x: x.astype(complex), lambda x: 1j * x]
)
def test_a_gradient_through_complex_numbers_is_refused(through: Callable[[Any], Any]) -> None:
    x = leaf([1.0, -2.0])
    with pytest.raises(TypeError, match="complex"):
        abs(through(x)).sum().backward()


def test_complex_tensors_compute_forward() -> None:
    t = tg.tensor([1 + 1j, 2.0])
    np.testing.assert_array_equal((t * 2 + 1j).data, np.array([2 + 3j, 4 + 1j]))
    np.testing.assert_array_equal(abs(t).data, np.abs(t.data))
    np.testing.assert_allclose(tg.exp(t).data, np.exp(t.data))


@pytest.mark.parametrize(
    ("call", "same_in_numpy"),
    [
        (lambda t: t.sum(), np.sum),
        (lambda t: t.mean(), np.mean),
        (tg.exp, np.exp),
        (lambda t: t * 2, lambda a: a * 2),
        (lambda t: t / 2, lambda a: a / 2),
        (abs, np.abs),
        (lambda t: t.max(), np.max),
    ],
)
@pytest.mark.parametrize("dtype", [int, bool, np.int8])
def test_integer_tensors_compute_as_numpy_does(
    call: Callable[[Any], Any], same_in_numpy: Callable[[Any], Any], dtype: Any
) -> None:
    array = np.array([1, 0, 1], dtype)
    y, expected = call(tg.tensor(array)), same_in_numpy(array)
    assert not y.requires_grad
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y.data, looped(same_in_numpy)(array))


# Lists and tuples as operands.


def test_lists_are_operands_on_either_side() -> None:
    x = leaf([1.0, 2.0])
    row = [3.0, 4.0]
    for y in (row + x, x + row, tuple(row) * x, x * tuple(row), row / x, x ** [1, 2]):
        assert type(y) is tg.Tensor
        assert y.requires_grad


def test_a_list_of_recorded_tensors_as_an_operand_keeps_its_graph_or_raises() -> None:
    x, t = leaf([1.0, 2.0]), tg.ones(2)
    calls: list[Callable[[Any], Any]] = [lambda v: t + v, lambda v: v + t, tg.sum, lambda v: tg.maximum(t, v)]
    for call in calls:
        try:
            y = call([x[0], x[1]])
        except DetachedError:
            continue
        assert y.requires_grad


def test_a_subclass_of_tensor_never_loses_its_graph_silently() -> None:
    class Own(tg.Tensor):
        pass

    x = Own(np.array([1.0, 2.0]), requires_grad=True)
    try:
        y = x * 2
    except TypeError:
        return
    assert y.requires_grad
