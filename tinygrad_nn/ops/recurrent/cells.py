"""Recurrent layers as operations: each returns the states of all steps, and the gates, given all inputs.

One call is one node, and one line of a compiled program, however long the sequence is. So is its reverse pass, whose
cotangents the rules of all inputs share; the gradients of weights are products over all steps at once. For higher
derivatives, where cotangents are Tensors, the recurrence is recorded step by step in elementary operations.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ...engine.arrays import raw
from ...engine.grad_mode import enable_grad
from ...engine.node import next_number, record
from ...engine.outputs import Whole
from ...engine.reverse import pullback
from ...tensor.declaring import Differentiable, primitive, sample
from ...tensor.handle import Tensor, make, node_of
from ..activation import relu
from ..elementwise import sigmoid, tanh
from ..fused import linear
from ..joining import stack
from . import kernels
from .kernels import by_gate, order, previous, rows


def _in_one_dtype(kernel: Callable[..., Any], arrays: tuple[Any, ...], *settings: Any) -> Any:
    """Return the results of a kernel for arrays in one dtype; float16 is computed in float32 and rounded once."""
    given = [a if a is None else np.asarray(a) for a in arrays]
    dtype = np.result_type(*[a for a in given if a is not None])
    wide = np.result_type(dtype, np.float32)
    found = kernel(*[a if a is None else a.astype(wide, copy=False) for a in given], *settings)
    return tuple([y.astype(dtype, copy=False) for y in (found if isinstance(found, tuple) else (found,))])


# Reverse passes have no rules: they are never called with Tensors.


@primitive(name="rnn_backward", method=False, multiple_outputs=True)
def _rnn_backward(g: Any, slope: Any, w_hh: Any, /, reverse: bool = False) -> Any:
    """Return the cotangents of the activation's input, and of the first state. Shapes: -> (1, T, N, H), (N, H)."""
    return _in_one_dtype(kernels.rnn_backward, (g, slope, w_hh), reverse)


@primitive(name="gru_backward", method=False, multiple_outputs=True)
def _gru_backward(
    g: Any, state: Any, w_hh: Any, y: Any, gates: Any, g_gates: Any = None, /, reverse: bool = False
) -> Any:
    """Return the cotangents of the gates before their nonlinearity, and of the first state."""
    return _in_one_dtype(kernels.gru_backward, (g, state, w_hh, y, gates, g_gates), reverse)


@primitive(name="lstm_backward", method=False, multiple_outputs=True)
def _lstm_backward(
    g: Any, state: Any, w_hh: Any, cells: Any, gates: Any, g_cells: Any = None, g_gates: Any = None, /,
    reverse: bool = False,
) -> Any:  # fmt: skip
    """Return the cotangents of the gates before their nonlinearity, and of the first state and cell."""
    return _in_one_dtype(kernels.lstm_backward, (g, state, w_hh, cells, gates, g_cells, g_gates), reverse)


def _gru_step(a: Any, b: Any, h: Any) -> Any:
    (ar, az, an), (br, bz, q) = np.split(a, 3, axis=-1), np.split(b, 3, axis=-1)
    r, z = sigmoid(ar + br), sigmoid(az + bz)
    n = tanh(an + r * q)
    return (n + z * (h - n),), (q, r, z, n)


def _lstm_step(a: Any, b: Any, h: Any, c: Any) -> Any:
    parts: Any = np.split(a + b, 4, axis=-1)
    i, f, o = [sigmoid(parts[k]) for k in (0, 1, 3)]
    g = tanh(parts[2])
    c = f * c + i * g
    return (o * tanh(c), c), (i, f, g, o)


def _stepwise(step: Any, reverse: bool, x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> list[Any]:
    """Return the outputs of a recurrence in elementary operations."""
    states, parts = [state] if state.ndim == 2 else list(state), linear(x, w_ih, b_ih)
    found = []
    for t in order(len(x), reverse):
        states, gates = step(parts[t], linear(states[0], w_hh, b_hh), *states)
        found.append((states, gates))
    found = found[::-1] if reverse else found
    outputs = [stack([states[i] for states, _ in found]) for i in range(len(states))]
    return outputs + ([stack([stack(gates) for _, gates in found], axis=1)] if gates else [])


def _pulled(step: Any, g: Any, inputs: list[Any], reverse: bool) -> list[Any]:
    """Return the cotangents of all inputs, None where an input is, recorded as functions of inputs and cotangents."""
    with enable_grad():
        own: list[Any] = [x if x is None else _own(x) for x in inputs]
        since = next_number()
        outputs = _stepwise(step, reverse, *own)
    nodes = [x if x is None else node_of(x) for x in own]
    seeds = {node_of(y): c for y, c in zip(outputs, g, strict=True)}
    found = pullback(seeds, {n for n in nodes if n}, make, retain_graph=True, create_graph=True, since=since)
    return [n if n is None else found[n] for n in nodes]


def _own(x: Any) -> Any:
    """Return a Tensor of the same value with its own node, computed from the node of `x` if there is one."""
    recorded = isinstance(x, Tensor) and node_of(x) is not None
    return np.positive(x) if recorded else make(raw(x), record(None, (), (), raw(x)))


def _shared(compute: Callable[..., Any], g: Any, *read: Any) -> Any:
    """Return what all rules of one pass need, computed only once from the cotangents and what the rules read."""
    known = getattr(g, "common", None)
    if known is not None and all(map(operator.is_, known[0], read)):
        return known[1]
    found = compute(g, *read)
    if isinstance(g, Whole):
        g.common = read, found
    return found


def _arrived(g: Any, index: int) -> Any:
    """Return the cotangent of an output, None if it would be zeros."""
    return g[index] if not isinstance(g, Whole) or index in g.arrived else None


def _layer(
    name: str, kernel: Callable[..., Any], settings: tuple[bool, ...], step: Callable[..., Any],
    back: Callable[..., Any], lead: int = 0,
) -> Differentiable:  # fmt: skip
    """Declare a layer. Shapes: (T, N, I), (N, H), (kH, I), (kH, H), (kH,), (kH,) -> those of its kernel; k: its gates.

    `step` returns the new states, and the gates, from the input's part, the hidden state's part and the states; `back`
    is the reverse pass: it returns the cotangents of the gates and of the first state. The first `lead` gates don't
    read the input, and their weights come last; the last `lead` gates don't read the state.
    """

    @primitive(name=name, method=False, multiple_outputs=True)
    def _states(
        x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, /, reverse: bool = False
    ) -> Any:
        """Return the states of all steps, and what the reverse pass reads: the cell states, if any, and the gates."""
        return _in_one_dtype(kernel, (x, state, w_ih, w_hh, b_ih, b_hh), reverse, *settings)

    def common(g: Any, x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, y: Any, reverse: bool) -> Any:
        if isinstance(g[0], Tensor):
            return _pulled(step, g, [x, state, w_ih, w_hh, b_ih, b_hh], reverse)
        return back(g, state, w_hh, y, reverse)

    def rule(index: int, product: Callable[..., Any]) -> Callable[..., Any]:
        def pull(g: Any, x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, y: Any, reverse: bool) -> Any:
            found = _shared(common, g, x, state, w_ih, w_hh, b_ih, b_hh, y, reverse)
            if isinstance(g[0], Tensor):
                return found[index]
            d, first = found
            d, e = (d[lead:], d[:-lead]) if lead else (d, d)
            return product(d, e, first, x, w_ih, state, y[0], reverse)

        return pull

    def of_weight(d: Any, e: Any, first: Any, x: Any, w: Any, state: Any, y: Any, reverse: bool) -> Any:
        return _flat(rows(e).mT @ rows(previous(y, state if state.ndim == 2 else state[0], reverse)), lead)

    _states.vjp(
        rule(0, lambda d, e, first, x, w, *_: np.add.reduce(rows(d) @ by_gate(w, len(d)), axis=0).reshape(x.shape)),
        rule(1, lambda d, e, first, *_: first),
        rule(2, lambda d, e, first, x, *_: _flat(rows(d).mT @ rows(x))),
        rule(3, of_weight),
        rule(4, lambda d, *_: _flat(np.add.reduce(d, axis=(1, 2)))),
        rule(5, lambda d, e, *_: _flat(np.add.reduce(e, axis=(1, 2)), lead)),
    )
    return _states


def _flat(x: Any, lead: int = 0) -> Any:
    """Return gates joined in one axis, the first `lead` at its end. Shapes: (gates, H, ...) -> (gates * H, ...)."""
    x = np.roll(x, -lead, axis=0) if lead else x
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


rnn_tanh: Final = _layer(
    "rnn_tanh", kernels.rnn, (False,), lambda a, b, h: ((tanh(a + b),), ()),
    lambda g, state, w, y, reverse: _rnn_backward.kernel(g[0], 1 - y[0] * y[0], w, reverse=reverse),
)  # fmt: skip
rnn_relu: Final = _layer(
    "rnn_relu", kernels.rnn, (True,), lambda a, b, h: ((relu(a + b),), ()),
    lambda g, state, w, y, reverse: _rnn_backward.kernel(g[0], (y[0] > 0).astype(y[0].dtype), w, reverse=reverse),
)  # fmt: skip
gru: Final = _layer(
    "gru", kernels.gru, (), _gru_step,
    lambda g, state, w, y, reverse: _gru_backward.kernel(g[0], state, w, *y, _arrived(g, 1), reverse=reverse), lead=1,
)  # fmt: skip
lstm: Final = _layer(
    "lstm", kernels.lstm, (), _lstm_step,
    lambda g, state, w, y, reverse: _lstm_backward.kernel(
        g[0], state, w, *y[1:], *[_arrived(g, i) for i in (1, 2)], reverse=reverse
    ),
)  # fmt: skip


# Samples for tests: a tuple stands for random values of that shape.


def _samples(gates: int, *states: int) -> list[Any]:
    """Return samples for this number of gates and of states."""
    found = []
    for steps, n, inputs, h, biases, reverse in [(2, 2, 1, 2, 2, False), (2, 1, 2, 1, 0, True), (1, 0, 2, 2, 2, False)]:
        weights = [(gates * h, inputs), (gates * h, h)]
        found.append(sample((steps, n, inputs), (*states, n, h), *weights, *[(gates * h,)] * biases, reverse=reverse))
    return found


rnn_tanh.samples = rnn_relu.samples = _samples(1)
gru.samples, lstm.samples = _samples(3), _samples(4, 2)
_SEQUENCE, _GATES, _EMPTY = (3, 2, 2), (4, 3, 2, 2), (1, 0, 2)
_rnn_backward.samples = [sample(_SEQUENCE, _SEQUENCE, (2, 2)), sample(_EMPTY, _EMPTY, (2, 2), reverse=True)]
_gru_backward.samples = [
    sample(_SEQUENCE, (2, 2), (6, 2), _SEQUENCE, _GATES, _GATES), sample(_EMPTY, (0, 2), (6, 2), _EMPTY, (4, *_EMPTY)),
]  # fmt: skip
_lstm_backward.samples = [
    sample(_SEQUENCE, (2, 2, 2), (8, 2), _SEQUENCE, _GATES, _SEQUENCE, _GATES, reverse=True),
    sample(_EMPTY, (2, 0, 2), (8, 2), _EMPTY, (4, *_EMPTY)),
]  # fmt: skip
