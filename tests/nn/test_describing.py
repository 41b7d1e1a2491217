"""An error in a network names the layer, what it was given, and the shapes on the way there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg


def note_of(function: Any, *inputs: Any) -> str:
    with pytest.raises((ValueError, IndexError)) as caught:
        function(*inputs)
    (note,) = [note for note in caught.value.__notes__ if note.startswith("in layer")]
    return note


def test_the_layer_and_the_shapes_before_it_are_named() -> None:
    inner = tg.nn.Sequential(tg.nn.Linear(3, 1, seed=1))
    model = tg.nn.Sequential(tg.nn.Linear(2, 5, seed=0), tg.nn.ReLU(), inner)
    before = "in layer 2.0: Linear(in_features=3, out_features=1), given (4, 5)"
    after = "; the whole Sequential was given (4, 2)"
    X = np.ones((4, 2))
    assert note_of(model, X) == f"{before}; on the way there: linear (4, 5), relu (4, 5){after}"
    with tg.no_grad():
        assert note_of(model, X) == before + after
    assert note_of(inner, X) == "in layer 0: Linear(in_features=3, out_features=1), given (4, 2)" + after


def test_a_module_alone_and_one_of_ones_own() -> None:
    class Mine(tg.nn.Module):
        def __init__(self) -> None:
            self.w = tg.tensor(np.ones(3), requires_grad=True)

        def forward(self, a: Any, *, b: Any) -> Any:
            return a * self.w + b

    assert note_of(lambda x: Mine()(x, b=np.ones(4)), np.ones(3)) == (
        "in layer Mine(), given (3,), (4,); on the way there: multiply (3,)"
    )
    layers = tg.nn.Sequential(Mine())
    assert "is given" not in note_of(tg.nn.Linear(2, 2, seed=0), np.ones(3))
    with pytest.raises(TypeError):  # a mistake in the call, not in shapes
        layers(np.ones(3))


STEPS: dict[str, Any] = {
    "an operator": lambda h, x: h + x,
    "the same, turned": lambda h, x: x + h,
    "a product": lambda h, x: h @ np.ones((3, 3)),
    "a method": lambda h, x: h.reshape(3, 3),
    "a function of NumPy's": lambda h, x: np.concatenate([h, x], axis=0),
    "an index": lambda h, x: h[:, 7],
}


@pytest.mark.parametrize("step", STEPS)
def test_the_way_to_what_a_modules_own_code_computes_is_told(step: str) -> None:
    class Mine(tg.nn.Module):
        def __init__(self) -> None:
            self.linear = tg.nn.Linear(4, 5, seed=0)

        def forward(self, x: Any) -> Any:
            return STEPS[step](self.linear(x).reshape(2, 5), x)

    told = note_of(Mine(), tg.tensor(np.ones((2, 4))))
    assert told == "in layer Mine, given (2, 4); on the way there: linear (2, 5), reshape (2, 5)"


def test_code_whose_globals_have_no_package_keeps_its_own_error() -> None:
    space: dict[str, Any] = {}
    exec("step = lambda h, x: h + x", space)

    class Mine(tg.nn.Module):
        def forward(self, x: Any) -> Any:
            return space["step"](x * 2, np.ones(3))

    assert note_of(Mine(), np.ones(2)) == "in layer Mine(), given (2,)"
    x = tg.tensor(np.ones(2), requires_grad=True)
    assert note_of(Mine(), x) == "in layer Mine(), given (2,); on the way there: multiply (2,)"


def test_many_steps_are_shortened_and_the_trace_of_a_compiled_step_says_it_too() -> None:
    model = tg.nn.Sequential(*[tg.nn.ReLU() for _ in range(12)], tg.nn.Linear(3, 1, seed=0))
    x = tg.tensor(np.ones((4, 2)), requires_grad=True)
    assert note_of(model, x * 1).count("relu") == 8
    assert "way there: ..., relu" in note_of(model, x * 1)
    assert "in layer 12: Linear" in note_of(tg.compile(lambda x: model(x)), np.ones((4, 2)))


def test_a_layer_that_holds_others_is_named_with_its_settings() -> None:
    """Its repr goes on over several lines, of which the note has the first, and its brackets are closed."""
    layer = tg.nn.MultiheadAttention(4, 2, seed=0)
    with pytest.raises(ValueError, match="attn_mask has shape") as caught:
        layer(*[np.ones((3, 5, 4))] * 3, attn_mask=np.zeros((2, 2)))
    assert (
        "MultiheadAttention(embed_dim=4, num_heads=2, batch_first=False), given (3, 5, 4)" in caught.value.__notes__[-1]
    )
    with pytest.raises(ValueError, match="mismatch") as caught:
        tg.nn.Sequential(tg.nn.Linear(2, 3, seed=0))(np.ones((1, 4)))
    assert "; the whole Sequential was given (1, 4)" in caught.value.__notes__[-1]
