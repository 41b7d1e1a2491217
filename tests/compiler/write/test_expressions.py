"""Expressions, as both printers write them: precedence, indices, calls, and what is not NumPy's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from listings import agree, run

import tinygrad_nn as tg
from tinygrad_nn.compiler.numpy_calls import GETITEM, ON_NUMBERS, of_at, of_method, of_numpy
from tinygrad_nn.compiler.program import Function, Line, Program, Value
from tinygrad_nn.compiler.write.adjoints import Adjoints
from tinygrad_nn.compiler.write.mathematics import shown
from tinygrad_nn.compiler.write.notation import Notation

A, B, ROW, K = Value(np.eye(2), "A"), Value(np.eye(2), "B"), Value(np.ones(2), "row"), Value(2.0, "k")
KEPT = "A.sum(axis=1, keepdims=True)"
CASES: list[tuple[Function, tuple[Any, ...], dict[str, Any], str, str]] = [
    (of_numpy(np.add), (A, -1.0), {}, "A + -1.0", "A + -1.0"),
    (of_numpy(np.multiply), (A, 2), {}, "2 * A", "2 * A"),
    (of_numpy(np.multiply), (A, B), {}, "A * B", "A ∘ B"),
    (of_numpy(np.matmul), (A, B), {}, "A @ B", "A · B"),
    (of_numpy(np.power), (-1.0, A), {}, "(-1.0) ** A", "(-1.0) ** A"),
    (of_numpy(np.negative), (A,), {}, "-A", "-A"),
    (of_numpy(np.square), (A,), {}, "A ** 2", "A ** 2"),
    (of_numpy(np.absolute), (A,), {}, "np.abs(A)", "abs(A)"),
    (of_numpy(np.transpose), (A,), {}, "A.T", "Aᵀ"),
    (of_numpy(np.transpose), (A, (1, 0)), {}, "A.T", "Aᵀ"),
    (of_numpy(np.reshape), (A, (4,)), {}, "A.reshape(4)", "A.reshape(4)"),
    (of_numpy(np.mean), (A,), {}, "A.mean()", "A.mean()"),
    (of_method(np.add, "reduce"), (A,), {"axis": (0,)}, "A.sum(axis=0)", "Σ(A)"),
    (of_method(np.add, "reduce"), (A,), {"axis": 1, "keepdims": True}, KEPT, KEPT),
    (of_method(np.maximum, "reduce"), (A,), {"axis": None, "initial": -np.inf}, "A.max()", "A.max()"),
    (GETITEM, (A, (slice(1, None), None)), {}, "A[1:, None]", "A[1:, None]"),
    (GETITEM, (A, (Ellipsis, slice(None, None, -1))), {}, "A[..., ::-1]", "A[..., ::-1]"),
    (GETITEM, (A, ()), {}, "A[()]", "A[()]"),
    (GETITEM, (A, (ROW,)), {}, "A[row]", "A[row]"),
    (GETITEM, (A, ((0, 1),)), {}, "A[(0, 1),]", "A[(0, 1),]"),
    (ON_NUMBERS["pow"], (K, -2), {}, "k ** (-2)", "k ** (-2)"),
    (of_numpy(np.floor_divide), (A, B), {}, "A // B", "A // B"),
    (of_numpy(np.invert), (A,), {}, "~A", "~A"),
    (ON_NUMBERS["floordiv"], (K, 2), {}, "k // 2", "k // 2"),
    (ON_NUMBERS["neg"], (K,), {}, "-k", "-k"),
    (ON_NUMBERS["abs"], (K,), {}, "abs(k)", "abs(k)"),
    (of_numpy(np.clip), (A, 0.5, np.inf), {}, "np.clip(A, 0.5, np.inf)", "clip(A, 0.5, inf)"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "kwargs", "text", "derivation"), CASES, ids=[c[3] for c in CASES])
def test_a_line_is_written(function: Function, args: Any, kwargs: Any, text: str, derivation: str) -> None:
    line = Line(function, args, kwargs, (Value(np.eye(2), "y"),))

    def name(value: Value) -> str:
        return value.name

    assert Notation(name, {}).statements(line) == [f"y = {text}"]
    nothing: Any = SimpleNamespace(detached=[], passes=[])
    adjoints = Adjoints(Program([], [line], [], []), nothing, {}, Notation(name, {}))
    assert [shown(text) for text in adjoints.statements(line)] == [f"y = {derivation}"]


@pytest.mark.parametrize(
    ("outer", "inner", "text"),
    [
        (np.multiply, np.add, "(A + B) * B"),
        (np.add, np.multiply, "A * B + B"),
        (np.power, np.negative, "(-A) ** B"),
        (np.matmul, np.transpose, "A.T @ B"),
        (np.less, np.less, "(A < B) < B"),
    ],
)
def test_what_is_folded_stands_in_parentheses_where_it_must(outer: Any, inner: Any, text: str) -> None:
    one = inner in (np.negative, np.transpose)
    x = Value(np.eye(2), "x")
    first = Line(of_numpy(inner), (A,) if one else (A, B), {}, (x,))
    second = Line(of_numpy(outer), (x, B), {}, (Value(np.eye(2), "y"),))
    assert Notation(lambda v: v.name, {x: first}).statements(second) == [f"y = {text}"]


def test_operands_of_equal_strength_are_kept_apart_on_the_right() -> None:
    x = Value(np.eye(2), "x")
    makers = {x: Line(of_numpy(np.subtract), (A, B), {}, (x,))}
    line = Line(of_numpy(np.subtract), (B, x), {}, (Value(np.eye(2), "y"),))
    assert Notation(lambda v: v.name, makers).statements(line) == ["y = B - (A - B)"]


def test_a_ufuncs_method_at_is_called_on_a_copy() -> None:
    y, index = Value(np.eye(2), "y"), Value(np.array([0, 1]), "index")
    texts = {np.add: "np.add.at(y, index, B)", np.maximum: "np.maximum.at(y, index, B)"}
    for ufunc, text in texts.items():
        line = Line(of_at(ufunc), (A, index, B), {}, (y,))
        assert Notation(lambda v: v.name, {}).statements(line) == ["y = A.copy()", text]


x = np.array([0.5, 1.0, 2.0])
doubled = np.frompyfunc(lambda a: a * 2.0, 1, 1)


def test_a_ufunc_of_ones_own_is_handed_to_the_program() -> None:
    compiled = tg.compile(lambda x: doubled(x).astype(float))
    agree(compiled(x), 2 * x)
    agree(compiled(x), 2 * x)
    agree(run(compiled.explain()), 2 * x)
    assert "# _lambda___vectorized_: <ufunc" in compiled.source


def test_a_ufunc_of_scipys_is_imported() -> None:
    special = pytest.importorskip("scipy.special")
    compiled = tg.compile(lambda x: special.gamma(x) + special.hyp0f1(x, x))
    right = special.gamma(x) + special.hyp0f1(x, x)
    agree(compiled(x), right)
    agree(compiled(x), right)
    agree(run(compiled.explain()), right)
    assert "from scipy.special import gamma" in compiled.source


def test_a_function_without_a_module_or_source_has_a_text() -> None:
    space: dict[str, Any] = {"tg": tg}
    exec("def f(x): return tg.exp(x) * 2", space)
    compiled = tg.compile(space["f"])
    agree(compiled(x), 2 * np.exp(x))
    agree(run(compiled.explain()), 2 * np.exp(x))
    assert "def f(x):" in compiled.explain()
