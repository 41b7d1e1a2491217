"""NumPy's functions in all the ways in which they may be called, and functions whose kind of result values decide."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, assert_refused

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.errors import CompileError
from tinygrad_nn.primitive import primitive

NOWHERE: Any = None
# By position, by name, as methods and with lists; Z is written into where it is `out`.
SPELLINGS: dict[str, Callable[[Any], Any]] = {
    "sum over no axes": lambda x: np.sum(x, axis=(), initial=3.0),
    "sum that keeps axes": lambda x: np.sum(x, 0, None, None, True),
    "sum in another dtype": lambda x: np.sum(x, 1, np.float32),
    "sum from a start": lambda x: np.sum(x, 1, None, None, False, 2.0),
    "product": lambda x: np.prod(x, 1, None, None, True),
    "maximum of some": lambda x: np.amax(x, 1, None, True, -1.0, x > 0),
    "minimum": lambda x: np.min(x, None, None, True, 3.0),
    "all and any": lambda x: (np.all(x > 0, 0, None, True), np.any(x > 0, 1, None, True)),
    "methods by position": lambda x: (x.sum(1, None, None, True), x.max(0, None, True), x.prod(0, np.float32)),
    "methods of one bound": lambda x: (x.clip(0.5), x.clip(min=0.5), x.clip(max=1), x.clip(0, 1)),
    "in another dtype and order": lambda x: (x.astype("f4", order="F"), x.astype(float, "F"), x.astype(float, copy=0)),
    "more methods": lambda x: (x.compress([True, False], 0), (x > 0).astype(int).choose([1.0, x]), x.conj()),
    "flat in an order": lambda x: (x.flatten("F"), x.T.flatten(), x.flatten(order="A")),
    "lists beside arrays": lambda x: (x * [1, 2, 3], [[1.0], [2.0]] * x, x @ [1.0, 2.0, 3.0], x == [1.0, 2.0, 3.0]),
    "lists of entries": lambda x: x * [x[0, 0], 2.0, x[1, 1]],
    "two results in place": lambda x: np.divmod(x, 2.0, np.zeros_like(x), np.zeros_like(x)),
    "two results by name": lambda x: np.modf(x, out=(np.zeros_like(x), np.zeros_like(x))),
    "one of two in place": lambda x: np.divmod(x, 2.0, out=(NOWHERE, np.zeros_like(x))),
    "Python's types": lambda x: (np.ones_like(x, dtype=int) * x, np.zeros_like(x, bool)),
    "NumPy's functions as arguments": lambda x: np.apply_along_axis(np.sum, 0, x),
    "what is no number": lambda x: (x == "a", x != "a", x.sum() == "a", x != None),  # noqa: E711
    "an object of Python's beside an array": lambda x: (x * Fraction(1, 3)).astype(float),
    "a large quotient": lambda x: 1e-310 * x,
    "operands by name": lambda x: (np.transpose(a=x), np.flip(m=x), np.real(val=x[0]), np.diag(v=x), np.sum(a=x)),
    "what says nothing of values, by name": lambda x: x * (np.size(a=x) + np.ndim(a=x) + len(np.shape(a=x))),
    "sorted in place by position": lambda x: (y := x.copy(), y.sort(0, "stable"))[0],
    "options of methods": lambda x: (x.compress([True, False], axis=0), x.clip(0, 1, np.zeros_like(x))),
    "running sums and products": lambda x: (np.add.accumulate(x), np.multiply.accumulate(x, 1), x[0].cumsum()),
    "the axis of a vector": lambda x: (x[0].transpose(0), np.transpose(x[0], -1), np.permute_dims(x, [-1, 0])),
    "flags conjugated": lambda x: ((x > 0).conj(), (x > 0).conjugate(), x.conj()),
    "complex numbers that text loses": lambda x: np.where(x > 0, complex(np.inf, 1.0), complex(-0.0, 0.0)),
    "written by a rule of casting": lambda x: np.add(x, 0.5, out=np.zeros_like(x, int), casting="unsafe"),
    "an array without axes in place": lambda x: changed(np.zeros_like(x[0, 0]), x),
}  # fmt: skip


def changed(y: Any, x: Any) -> Any:
    """Write into an array without axes, which has two names."""
    z = y
    y += x.sum()
    z *= 2
    y[...] = y - x[0, 0]
    return y, z


@pytest.mark.parametrize("what", SPELLINGS)
def test_spellings(what: str) -> None:
    twin = Twin(SPELLINGS[what])
    for x in (X, X[::-1] * 3, np.zeros((2, 3))):
        twin.equal(x)
    step = tg.compile(SPELLINGS[what])
    step(X)
    text, space = step.explain(), dict[str, Any]()
    exec(str(text), space)
    found, right = space[text.name](**text.inputs), step(X)
    for pair in zip(found, right, strict=True) if isinstance(right, tuple) else [(found, right)]:
        np.testing.assert_allclose(*pair, rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, z: np.cumsum(x, 1, None, z),
        lambda x, z: np.clip(x, 0, 1, z),
        lambda x, z: np.round(x, 1, z),
        lambda x, z: np.take(x, [0, 1], 0, z),
        lambda x, z: np.add(x, 1, z),
    ],
)
def test_what_is_written_by_position_is_what_is_given(function: Callable[[Any, Any], Any]) -> None:
    def step(x: Any, z: Any) -> Any:
        own = z.copy()
        return function(x, own), own

    twin = Twin(step)
    for x in (X, -X):
        z = np.zeros((2, 3))
        twin.equal(x, z)
        assert not z.any()
    with pytest.raises(CompileError, match="writes into"):
        tg.compile(function)(X, z)
    assert not z.any()


@pytest.mark.parametrize(
    "function",
    [
        lambda x, z: np.hypot.accumulate(x, out=z),  # in the dtype of `out`
        lambda x, z: x.std(1, out=z[:, 0]),
        lambda x, z: np.add.reduce(x, 0, out=z, keepdims=True),  # has one row
        lambda x, z: np.cumsum(x, 1, np.float32, z),
        lambda x, z: np.any(x, 0, z[0]),
    ],
)
def test_an_out_that_is_not_as_the_result_is_refused(function: Callable[[Any, Any], Any]) -> None:
    def step(x: Any) -> Any:
        z = np.zeros_like(x, float)
        function(x, z)
        return z

    assert_refused(step, X.astype(np.float32), says=r"write out\[\.\.\.\] =", calls=function)


def test_an_axis_whose_length_is_asked() -> None:
    twin = Twin(lambda x, n: x * np.size(x, n) + np.size(x, x[0].argmax() % 2))
    for n in (0, 1, np.int64(0), -1):
        twin.equal(X * (1 - 2 * bool(n)), n)


def test_a_power_of_flags() -> None:
    twin = Twin(lambda x, n: (x > 0) ** n)
    for n in (2, 3, 2):
        twin.equal(X, n)


def test_a_tensor_without_axes_is_assigned() -> None:
    def step(x: Any, n: Any) -> Any:
        t = tg.tensor(x, requires_grad=True)
        y = t.sum() * 1
        y[...] = n * t[0, 0]
        (y**2).backward()
        return y, t.grad

    twin = Twin(step)
    for n in (2.0, 3.0):
        twin.equal(X, n)


def test_an_entry_that_an_array_names_is_added_to() -> None:
    def step(x: Any, i: Any) -> Any:
        t = tg.tensor(x, requires_grad=True)
        y = t * 1
        y[i] += 2 * t[i]
        (y**2).sum().backward()
        return y, t.grad

    twin = Twin(step)
    for i in ([0, 1], [1, 1]):
        twin.equal(X, np.array(i))


def test_verify_gives_arrays_as_they_lie() -> None:
    twin = Twin(lambda x: x.ravel("K"), verify=True)
    for x in (X.T, X.T * 2, X[:, ::-1], X[:, ::-1] * 2):
        twin.equal(x)


def test_axes_in_an_array() -> None:
    twin = Twin(lambda x, axes: np.transpose(x, axes))
    for axes in ([1, 0], [0, 1], [1, 0]):
        twin.equal(X, np.array(axes))


def test_a_computed_number_is_of_the_class_that_it_is() -> None:
    twin = Twin(lambda x: x * isinstance(x.sum(), float) + isinstance(x[0, 0], np.floating))
    twin.equal(X)


def test_dates() -> None:
    twin = Twin(lambda x: (x + np.timedelta64(1, "D"), np.where(x > x[0], x, np.datetime64("2024-01-01"))))
    for day in ("2024-02-28", "2023-02-28"):
        twin.equal(np.array([day, "2023-05-05"], "datetime64[D]"))


def test_numpys_functions_of_two_numbers_give_numpys_numbers() -> None:
    step = tg.compile(lambda n: (np.add(n, n), np.divide(n, 2), np.negative(n)))
    for n in (1.5, 2.5, -0.0):
        assert all(isinstance(x, np.float64) for x in step(n))


S, R = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[0.0, -1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.linalg.eigvals(x).real,
        lambda x: np.zeros(2, np.linalg.eigvals(x).dtype),
        lambda x: np.iscomplexobj(np.linalg.eig(x)[0]),
        lambda x: np.linalg.eigvals(x).conj() @ np.ones(2),
        lambda x: np.emath.sqrt(x).real,
    ],
)
def test_a_dtype_that_values_decide(function: Callable[[Any], Any]) -> None:
    for order in ([S, R, S], [R, S, R]):
        twin = Twin(function)
        for x in order:
            twin.equal(x)


@primitive(name="test_spelling_turned", method=False)
def turned(x: Any, /) -> Any:
    """Return what is given, or its negative where an entry is negative: a view by the values."""
    return x if (x >= 0).all() else -x


@turned.vjp
def _(g: Any, x: Any) -> Any:
    return g if (x >= 0).all() else -g


del OPERATIONS["test_spelling_turned"]  # the other tests are over the library's own


def used(x: Any) -> Any:
    y = tg.as_tensor(np.exp(x) * x)
    z = turned(y)
    w = np.sin(x) * 3
    return z + w, (np.cos(w) * 2) * z, z.T, turned(z), turned(tg.as_tensor(x))


@pytest.mark.parametrize("signs", [(1, -1, 1), (-1, 1, -1)])
@pytest.mark.parametrize("function", [used, tg.grad(lambda x: (np.sort(x, 0) * np.arange(2)[:, None]).sum())])
def test_an_operation_that_returns_its_operand_by_the_values(function: Any, signs: tuple[int, ...]) -> None:
    step, kept = tg.compile(function), list[Any]()
    for sign in signs:
        x = np.abs(X) * sign if function is used else X * max(sign, 0)
        found, right = step(x), function(x)
        pairs = zip(found, right, strict=True) if function is used else [(found, right)]
        for y, expected in pairs:
            np.testing.assert_array_equal(y.data, expected.data)
            assert not np.shares_memory(y.data, x)
            kept.append((y, y.data.copy()))
    assert all((y.data == then).all() for y, then in kept)


def test_a_tensor_is_filled_with_what_is_traced() -> None:
    twin = Twin(lambda x, y: (np.full_like(x, y), np.full_like(x, y[0], dtype=np.float32), tg.full((2, 3), y)))
    for n in (1.0, 2.0):
        twin.equal(tg.Tensor(X * n), tg.Tensor(X[0] * n))


def test_tensors_of_one_array_are_not_written_into() -> None:
    def step(a: Any, b: Any) -> Any:
        a.data += 1
        return b * 2

    shared, own = X.copy(), (tg.Tensor(X.copy()), tg.Tensor(X.copy()))
    for first in (True, False):
        compiled = tg.compile(step)
        if not first:
            compiled(*own)
        with pytest.raises(CompileError, match="shares its memory"):
            compiled(tg.Tensor(shared), tg.Tensor(shared))
    assert (shared == X).all()
