"""Calls of recurrent operations, and of their reverse passes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tinygrad_nn.tensor.declaring import sample

from .arrays import Calls, Draw


@st.composite
def recurrent(draw: Draw, /, gates: int, *states: int) -> Any:
    steps, batch, inputs, hidden = [draw(st.integers(1, 3)) for _ in range(4)]
    weights = [(gates * hidden, inputs), (gates * hidden, hidden)]
    biases = [(gates * hidden,)] * 2 if draw(st.booleans()) else []
    x = (steps, draw(st.sampled_from([batch, batch, 0])), inputs)
    return sample(x, (*states, x[1], hidden), *weights, *biases, reverse=draw(st.booleans()))


@st.composite
def reversed_pass(draw: Draw, /, kind: str) -> Any:
    steps, batch, hidden = [draw(st.integers(1, 3)) for _ in range(3)]
    y, state, gates = (steps, batch, hidden), (batch, hidden), (4, steps, batch, hidden)
    reverse, none = draw(st.booleans()), list[Any]()
    if kind == "rnn":
        return sample(y, y, (hidden, hidden), reverse=reverse)
    if kind == "gru":
        return sample(
            y, state, (3 * hidden, hidden), y, gates, *draw(st.sampled_from([none, [gates]])), reverse=reverse
        )
    more = draw(st.sampled_from([none, [y], [y, gates]]))
    return sample(y, (2, *state), (4 * hidden, hidden), y, gates, *more, reverse=reverse)


CALLS: dict[str, Calls] = {
    **dict.fromkeys(["rnn_tanh", "rnn_relu"], recurrent(1)),
    "gru": recurrent(3),
    "lstm": recurrent(4, 2),
    **{f"{kind}_backward": reversed_pass(kind) for kind in ("rnn", "gru", "lstm")},
}
