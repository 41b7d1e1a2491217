"""What can't be compiled says so: the user's line, and what to write instead."""

from __future__ import annotations

import inspect
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

X = np.array([0.5, -1.25, 2.0])
W = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)


def reads(what: str) -> Callable[[Any], Any]:
    """Return a function that reads a value, in a line of its own."""

    def by_if(x: Any) -> Any:
        if x.sum() < 3:
            return x
        return -x

    def by_while(x: Any) -> Any:
        while (x * x).sum() > 0.1:
            x = x / 2
        return x

    def by_assignment(x: Any) -> Any:
        table = np.zeros(3)
        table[...] = x
        return table

    def by_entry(x: Any) -> Any:
        table = np.zeros(3)
        table[0] = x[0]
        return table

    def caught(x: Any) -> Any:
        try:
            return x * float(x.sum())
        except Exception:
            return x * 2

    found: dict[str, Callable[[Any], Any]] = {
        "bool": lambda x: bool(x.sum()),
        "float": lambda x: float(x.sum()),
        "int": lambda x: int(x.sum()),
        "item": lambda x: x.sum().item(),
        "tolist": lambda x: x.tolist(),
        "asarray": lambda x: np.asarray(x.detach() if isinstance(x, tg.Tensor) else x),
        "array": lambda x: np.array([x.sum(), 1.0]) if isinstance(x, np.ndarray) else np.array(x),
        "if": by_if,
        "while": by_while,
        "in": lambda x: x if 0.5 in x else -x,
        "max of Python's": lambda x: max(x),
        "sorted": lambda x: sorted(x),
        "format": lambda x: f"{x.sum():.3f}",
        "assignment": by_assignment,
        "entry": by_entry,
        "caught": caught,
        "numpy": lambda x: x.numpy() * 2 if isinstance(x, tg.Tensor) else float(x[0]),
    }
    return found[what]


READS = [
    "bool", "float", "int", "item", "tolist", "asarray", "array", "if", "while", "in", "max of Python's", "sorted",
    "format", "assignment", "entry", "caught", "numpy",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["array", "tensor"])
@pytest.mark.parametrize("what", READS)
def test_a_value_that_is_read(what: str, kind: str) -> None:
    function = reads(what)
    with pytest.raises(CompileError) as caught:
        tg.compile(function)(X if kind == "array" else tg.tensor(X))
    lines, start = inspect.getsourcelines(function)
    places = [f"{__file__}:{n}" for n in range(start, start + len(lines))]
    assert any(place in str(caught.value) for place in places), caught.value
    assert "a program can't depend on a value that Python reads" in str(caught.value)


def test_captured_tensors_are_not_read_either() -> None:
    for read in (lambda: W.sum().item(), lambda: float(W.detach().sum()), lambda: W.tolist(), lambda: W.numpy() + 1):
        with pytest.raises(CompileError, match=r"test_errors.*a program can't depend"):
            tg.compile(read)()


def test_iteration_is_over_parts_not_values() -> None:
    f = tg.compile(lambda x: sum([part * n for n, part in enumerate(x, 1)]), exact=True)
    for factor in (1, 2):
        assert same(f(X * factor), sum([part * n for n, part in enumerate(X * factor, 1)]))
        assert same(f(tg.tensor(X * factor)), tg.tensor(sum([p * n for n, p in enumerate(X * factor, 1)])))


def test_hooks() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    w.register_hook(lambda g: g * 2)

    def step(x: Any) -> None:
        (w * x).sum().backward()

    with pytest.raises(CompileError, match=r"hook, <lambda> of .*test_errors\.py:\d+"):
        tg.compile(step)(X)
    assert w.grad is None


@pytest.mark.parametrize("name", ["fill", "put", "view", "flat", "tobytes", "resize", "ctypes", "base"])
def test_what_arrays_have_and_programs_do_not(name: str) -> None:
    with pytest.raises(CompileError, match=rf"\.{name} of an array at .*test_errors.*x\[index\] = value"):
        tg.compile(lambda x: getattr(x, name)())(X)
    with pytest.raises(AttributeError):
        tg.compile(lambda x: x.nowhere)(X)


@pytest.mark.parametrize("function", [np.trim_zeros, np.real_if_close])
def test_a_view_that_the_entries_decide_on(function: Callable[[Any], Any]) -> None:
    with pytest.raises(CompileError, match=rf"np\.{function.__name__} at .*test_errors.*a value that Python reads"):
        tg.compile(lambda x: function(x * (x > 0)) * 2)(X)


@pytest.mark.parametrize("function", [np.array2string, np.array_repr, np.array_str])
def test_a_text_of_an_array(function: Callable[[Any], Any]) -> None:
    with pytest.raises(CompileError, match=rf"np\.{function.__name__} at .*test_errors.*outside the compiled function"):
        tg.compile(lambda x: (function(x * 2), x)[1])(X)


WRITES: dict[str, Callable[[Any], Any]] = {
    "entry": lambda x: x.__setitem__(0, 5.0),
    "whole": lambda x: x.__setitem__(Ellipsis, 5.0),
    "operator": lambda x: x.__imul__(2),
    "out": lambda x: np.multiply(x, 2, out=x),
}


@pytest.mark.parametrize("what", WRITES)
def test_an_array_argument_that_is_written_into(what: str) -> None:
    def writes(values: Any) -> Any:
        WRITES[what](values)
        return values * 2

    x = X.copy()
    with pytest.raises(CompileError, match=r"argument 'values'.*return the new value"):
        tg.compile(writes)(x)
    assert same(x, X)


def test_a_view_of_an_argument_that_is_written_into() -> None:
    def writes(x: Any) -> Any:
        row = x[1:]
        row[0] = 5
        return x

    x = X.copy()
    with pytest.raises(CompileError, match=r"view.*x\[i, j\] = v|argument"):
        tg.compile(writes)(x)
    assert same(x, X)


def test_an_array_outside_that_is_written_into() -> None:
    log = np.zeros(3)

    def writes(x: Any) -> Any:
        np.multiply(x, 2, out=log)
        return x * 3

    with pytest.raises(CompileError, match="writes into an array"):
        tg.compile(writes)(X)
    assert same(log, np.zeros(3))


def test_random_numbers() -> None:
    generator = np.random.default_rng(0)
    for draws in (
        lambda x: x * generator.normal(size=3),
        lambda x: 0 * x * generator.normal(size=3),  # the first result does not show it
        lambda x: 0 * x * np.random.normal(size=3),
    ):
        with pytest.raises(CompileError, match=r"draws random numbers.*pass them as an argument"):
            tg.compile(draws)(X)


def test_text_of_an_array() -> None:
    for shown in (lambda x: str(x), lambda x: repr(x), lambda x: f"{x}"):
        with pytest.raises(CompileError):
            tg.compile(shown)(X)
        with pytest.raises(CompileError):
            tg.compile(shown)(tg.tensor(X))


def test_results_that_are_no_arrays_are_checked() -> None:
    calls: list[int] = []
    for result in (lambda: len(calls), lambda: [0] * len(calls), lambda: {"calls": str(len(calls))}):

        def counted(x: Any, result: Any = result) -> Any:
            calls.append(1)
            return x * 2, result()

        with pytest.raises(CompileError, match=r"changes a list.*return the new value"):
            tg.compile(counted)(X)
        assert calls == []


def test_a_count_of_calls() -> None:
    calls: list[int] = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return x * len(calls)

    for _ in range(2):
        with pytest.raises(CompileError, match=r"changes a list.*return the new value"):
            tg.compile(counted)(X)
        assert calls == []


def test_effects_of_python_happen_while_tracing_only(capsys: pytest.CaptureFixture[str]) -> None:
    """As documented: once, at the first call."""

    def noisy(x: Any) -> Any:
        print(type(x).__name__)
        return x * 2

    f = tg.compile(noisy)
    for _ in range(5):
        f(X)
    assert capsys.readouterr().out == "Traced\n"


class Running(tg.nn.Module):
    def __init__(self) -> None:
        self.mean = tg.tensor(0.0)

    def __call__(self, x: Any) -> Any:
        self.mean = 0.9 * self.mean + 0.1 * x.mean()
        return x * self.mean


def test_what_is_kept_of_a_trace() -> None:
    module, kept, log, last = Running(), [0.5], {}, None  # type: ignore[var-annotated]
    deep: Any = [[types.SimpleNamespace(kept=[])]]

    def rebinds(x: Any) -> Any:
        nonlocal last
        last = x * 2
        return last

    keeping: dict[str, Callable[[Any], Any]] = {
        r"sets the attribute 'mean'.*tensor": module,
        "changes a list.*return the new value": lambda x: kept.append(x * 2),
        "changes a dict.*return the new value": lambda x: log.update(loss=x * 2),
        r"computed at .*test_errors\.py:\d+, in rebinds is kept.*Return it": rebinds,
        r"computed at .*test_errors\.py:\d+, in <lambda> is kept.*Return it": lambda x: deep[0][0].kept.append(x * 2),
    }
    for what, function in keeping.items():
        with pytest.raises(CompileError, match=what):
            tg.compile(function)(tg.tensor(X))
    assert kept == [0.5]
    assert log == {}
    assert last is None
    assert module.mean.item() == 0.0
    assert same(module(tg.tensor(X)), tg.tensor(X * (0.1 * X.mean())))  # the module works as ever


def test_arguments_that_can_not_be_told_apart() -> None:
    circle = types.SimpleNamespace()
    circle.itself = circle
    for x in (object(), circle, (i for i in range(3))):
        with pytest.raises(CompileError, match=r"argument of type|list"):
            tg.compile(lambda x, other: x)(X, x)


def test_the_function_s_own_errors_come_through() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="shapes"):
            tg.compile(lambda x: tg.tensor(np.ones(2)) + x)(X)
    with pytest.raises(TypeError, match="missing"):
        tg.compile(lambda x, y: x)(X)


def test_options_are_named() -> None:
    options: dict[str, Any] = {"exakt": True}
    with pytest.raises(TypeError, match="exakt"):
        tg.compile(lambda x: x, **options)


def test_a_constant_that_is_written_into_while_tracing() -> None:
    def twice(x: Any) -> Any:
        mask = np.zeros(3)
        mask[0] = 1
        first = x * mask
        mask[1] = 1
        return first, x * mask

    with pytest.raises(CompileError, match=r"written into after it was read.*test_errors.*copy"):
        tg.compile(twice)(X * 0)


class Held:
    def __init__(self, loss: Any) -> None:
        self.loss = loss


RESULTS: dict[str, Callable[[Any], Any]] = {
    "generator": lambda x: (part for part in [x * 2]),
    "iterator": lambda x: iter([x * 2]),
    "object": lambda x: Held(x * 2),
    "function": lambda x: lambda: x * 2,
}


@pytest.mark.parametrize("what", RESULTS)
def test_results_that_would_keep_what_was_traced(what: str) -> None:
    with pytest.raises(CompileError, match=r"returns a .*; return arrays and numbers, in tuples, lists and dicts"):
        tg.compile(RESULTS[what])(X)


def test_an_argument_that_is_gone_through_once() -> None:
    with pytest.raises(CompileError, match=r"list_iterator.*pass list\(\.\.\.\).*test_errors\.py:\d+"):
        tg.compile(lambda parts: sum(parts))(iter([X, X]))


@pytest.mark.parametrize("kind", [OrderedDict, partial(defaultdict, list), deque])
def test_results_in_other_containers(kind: Any) -> None:
    name = getattr(kind, "__name__", "defaultdict")
    entries = (lambda y: [y]) if kind is deque else (lambda y: {"y": y})
    for x in (X, tg.tensor(X)):
        with pytest.raises(CompileError, match=rf"returns a {name}.*make the {name} of them outside"):
            tg.compile(lambda x: kind(entries(x * 2)))(x)


def test_what_the_library_refuses_it_refuses_while_tracing_and_later() -> None:
    logits = np.zeros((4, 3))
    f = tg.compile(lambda labels: tg.cross_entropy(tg.as_tensor(logits), labels))
    wrong, right = np.array([0, 2, 3, 1]), np.array([0, 2, 0, 1])
    for labels in (wrong, right, wrong, right):
        if labels is wrong:
            with pytest.raises(ValueError, match=r"label 3 at \(2,\) names no class"):
                f(labels)
        else:
            assert f(labels).item() == pytest.approx(np.log(3))
    with pytest.raises(ValueError, match="probabilities, from 0 to 1"):
        tg.compile(tg.binary_cross_entropy)(tg.tensor([1.5]), np.ones(1))


def test_tensors_made_of_arguments() -> None:
    made: list[Callable[[Any], Any]] = [
        lambda x: tg.tensor(x) * 2,
        lambda x: tg.tensor([x, x * 2]),
        lambda x: tg.tensor(x, dtype="float32"),
    ]
    for f in made:
        compiled = tg.compile(f)
        for x in (X, X + 1, tg.tensor(X)):
            assert same(compiled(x), f(x))
    with pytest.raises(CompileError, match=r"an array is made at .*test_errors.*Use x as it is"):
        tg.compile(lambda x: np.asarray(x) * 2)(X)


def test_what_is_no_function() -> None:
    with pytest.raises(TypeError, match="takes a function, got 3"):
        tg.compile(3)  # type: ignore[call-overload]
