"""The page of subgradient conventions says what is declared, and what the engine does."""

from __future__ import annotations

import pytest

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.engine.rules import Rule
from tinygrad_nn.reference import conventions

ROWS = list(conventions.conventions())
COMPOSED = {
    "leaky_relu(x, -0.5)": 0.0,
    "elu(x, 2.0)": 1.0,
    "clip(x, -1, 1)": [0.0, 1.0, 0.0],
    "max(x)": [0.5, 0.5, 0.0],
    "min(x)": [1 / 3, 1 / 3, 1 / 3, 0.0],
    "ptp(x)": [-1.0, 0.5, 0.5],
    "sort(x)[0]": [0.5, 0.5, 0.0],
    "median(x)": [0.5, 0.5, 0.0],
    "cummax(x)[-1]": [0.5, 0.5, 0.0],
    "max_pool1d(x, 2)": [0.5, 0.5, 1.0, 0.0],
    "std(x)": [0.0, 0.0, 0.0],
    "linalg.norm(x)": [0.0, 0.0],
    "linalg.norm(x, np.inf)": [0.5, -0.5, 0.0],
    "interp(x, [0, 1, 2], [0, 2, 3])": 1.0,
    "interp(x, [0, 1, 2], [0, 2, 0])": 0.0,
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.operation} at {row.point}")
def test_gradients_are_those_declared_or_known(row: conventions.Convention) -> None:
    if row.operation in COMPOSED:
        assert row.gradients == (COMPOSED[row.operation],)
        return
    declared = OPERATIONS[row.operation].kinks[row.point if len(row.point) > 1 else row.point[0]]
    assert row.gradients == (declared if len(row.point) > 1 else (declared,))


def test_every_public_operations_points_are_on_the_page() -> None:
    declared = {name for name, op in OPERATIONS.items() if op.kinks and hasattr(tg, name)}
    assert declared | COMPOSED.keys() == {row.operation for row in ROWS}


def test_the_page_is_what_backward_gives() -> None:
    """Each line again, from the printed text: operands that require grad together, and each beside constants."""
    lines = [line for line in conventions.page().splitlines() if line.split()[0] in OPERATIONS]
    assert len(lines) >= 10
    for line in lines:
        name, points, together, *alone = [part for part in line.split("  ") if part.strip()]
        operands = [float(part.partition(" = ")[2]) for part in points.split(", ")]
        leaves = [tg.tensor(x, requires_grad=True) for x in operands]
        getattr(tg, name)(*leaves).backward()
        assert [0.0 if x.grad is None else x.grad.item() for x in leaves] == [float(g) for g in together.split(", ")]
        for number, text in enumerate(alone[0].split(", ") if alone else []):
            x = tg.tensor(operands[number], requires_grad=True)
            y = getattr(tg, name)(*[x if i == number else other for i, other in enumerate(operands)])
            found = tg.autograd.grad(y, x)[0] if y.requires_grad else None
            assert (0.0 if found is None else found.item()) == float(text)


def test_the_page_shows_another_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    relu = OPERATIONS["relu"]
    monkeypatch.setattr(relu, "rules", (Rule(lambda g, y: g * (y >= 0), "x", relu.slots),))
    (line,) = [line for line in conventions.page().splitlines() if line.startswith("relu")]
    assert line.split() == ["relu", "x", "=", "0", "1"]
