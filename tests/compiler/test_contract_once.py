"""The contract, point 3: the function runs once, and that run computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, Y, ran
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.compiler.write.emit import Emitter

printed: list[str] = []


def note(text: str) -> None:
    printed.append(text)


def test_a_first_call_runs_the_function_once() -> None:
    def f(x: Any) -> Any:
        ran()
        return tg.grad(lambda v: (np.sin(v) * v).sum())(x)

    twin = Twin(f)
    assert [twin.equal(X * k) for k in (1.0, 2.0, 3.0)] == [1, 0, 0]
    assert twin.equal(X[0]) == 1


def test_what_called_functions_do_is_done_once() -> None:
    def f(x: Any) -> Any:
        note("in f")
        return x * 2

    printed.clear()
    twin: Any = tg.compile(f)
    for _ in range(3):
        twin(X)
    assert printed == ["in f"]


@pytest.mark.parametrize("kind", [tg.optim.SGD, tg.optim.Adam])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}])
def test_the_first_step_is_traced_as_any_other(kind: Any, options: dict[str, Any]) -> None:
    if options and kind is tg.optim.Adam:
        options = {"betas": (0.5, 0.75)}

    def made() -> tuple[Any, Any, Any]:
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = kind([w], lr=0.1, **options)

        def f(x: Any) -> Any:
            ran()
            loss = ((w * x) ** 2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return w, optimizer, f

    (w, optimizer, f), (other, expected, eager) = made(), made()
    twin = Twin(f, eager)
    for n in range(4):
        assert twin.equal(X + n) == (n == 0)
        assert same(w.data, other.data)
        assert same(w.grad, other.grad)
        assert same(optimizer.state, expected.state)


def test_one_object_in_two_places_is_part_of_the_signature() -> None:
    def f(x: Any, y: Any) -> Any:
        ran()
        return x * 2 if x is y else x - y

    twin = Twin(f)
    assert [twin.equal(X, X), twin.equal(X, Y), twin.equal(Y, Y), twin.equal(Y, X)] == [1, 1, 0, 0]
    t, u = tg.tensor(X), tg.tensor(Y)
    assert [twin.equal(t, t), twin.equal(t, u), twin.equal(u, u), twin.equal(u, t)] == [1, 1, 0, 0]
    parts = [X, Y]
    nested = Twin(lambda a, b: a[0] * 2 if a[0] is b["x"] else a[0] - b["x"])
    nested.equal(parts, {"x": X})
    nested.equal(parts, {"x": Y})
    nested.equal(parts, {"x": parts[0]})


def test_one_tensor_in_two_places_is_rebound_in_both() -> None:
    def f(a: Any, b: Any) -> Any:
        with tg.no_grad():
            a -= 1.0
        return b * 2

    twin = Twin(f, lambda a, b: f(a, b))
    t, u = tg.tensor([1.0, 2.0]), tg.tensor([1.0, 2.0])
    found, expected = twin.step(t, t), f(u, u)
    assert same(found, expected)
    found, expected = twin.step(t, t), f(u, u)
    assert same(found, expected)
    assert same(t.data, u.data)


def test_a_first_call_that_meets_zero_times_infinity_is_finished_and_leaves_no_program() -> None:
    def f(x: Any) -> Any:
        ran()
        return tg.grad(lambda v: np.where(v > 0, np.sqrt(np.where(v > 0, v, 0.0)), 0.0).sum())(x)

    twin = Twin(f)
    singular, regular = np.array([0.0, 4.0, 1.0]), np.array([1.0, 4.0, 9.0])
    with np.errstate(all="ignore"):
        assert twin.equal(singular) == 1
        assert twin.equal(singular) == 1, "no program was left"
        assert twin.equal(regular) == 1
        assert twin.equal(regular * 2) == 0
        assert twin.equal(singular) == 1, "an invalid operation: the function itself runs"


@pytest.mark.parametrize(("own", "mistaken"), [("np.sin(", "nowhere("), ("np.sin(", "np.sin((")])
def test_a_program_that_is_a_mistake_of_the_compilers_own_is_told(
    own: str, mistaken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Emitter.source
    monkeypatch.setattr(Emitter, "source", lambda *args, **options: source(*args, **options).replace(own, mistaken))
    step: Any = tg.compile(lambda x: np.sin(x) * 2)
    with pytest.warns(RuntimeWarning, match=r"without a program.*(Name|Syntax)Error.*report it") as told:
        assert same(step(X), np.sin(X) * 2)
    assert told[0].filename == __file__
    assert same(step(Y), np.sin(Y) * 2)
    assert not step.programs


def test_draws_of_the_traced_run_are_not_drawn_again() -> None:
    class Noise(tg.nn.Module):
        def __init__(self) -> None:
            self.generator = np.random.default_rng(5)

        def forward(self, x: Any) -> Any:
            return x + self.generator.normal(size=3)

    noise, other = Noise(), Noise()
    twin = Twin(lambda x: noise.forward(x), lambda x: other.forward(x))
    for _ in range(3):
        twin.equal(X)
    assert noise.generator.bit_generator.state == other.generator.bit_generator.state
