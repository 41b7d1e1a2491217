"""Recurrences over all steps and their reverse passes, on plain arrays.

Arrays of gates are (gates, T, N, H), for T steps of N sequences with H hidden units, so each gate is one block. The
input's part of all steps is a single product, written into the array of the gates; each step adds the hidden state's
part in place.

A reverse pass returns the cotangents of the gates before their nonlinearity, and of the initial state: all other
gradients are products of these. Slopes are computed from the gates' values, as in PyTorch: near 1 they have the digits
of 1 - gate. `g_gates`, the cotangents of the gates' values, is None if none arrived.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def order(steps: int, reverse: bool) -> Any:
    """Return the indices of the steps, backwards if `reverse`."""
    return range(steps)[::-1] if reverse else range(steps)


def rows(x: Any) -> Any:
    """Return the last axes of all steps as one matrix. Shapes: (..., T, N, H) -> (..., T * N, H)."""
    return x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])


def by_gate(x: Any, gates: int) -> Any:
    """Return a weight or bias gate by gate. Shapes: (gates * H, ...) -> (gates, H, ...)."""
    return x.reshape(gates, x.shape[0] // gates, *x.shape[1:])


def previous(y: Any, h: Any, reverse: bool) -> Any:
    """Return the state that each step begins with. Shapes: (T, N, H), (N, H) -> (T, N, H)."""
    return np.concatenate([y[1:], h[None]] if reverse else [h[None], y[:-1]], axis=0)


def _put_inputs(out: Any, x: Any, weight: Any, bias: Any) -> None:
    """Write the input's part of each gate. Shapes: (T, N, I), (gates, H, I), (gates, H) -> (gates, T, N, H)."""
    np.matmul(rows(x), weight.mT, out=rows(out))
    if bias is not None:
        out += bias[:, None, None]


def _sigmoid(x: Any) -> None:
    """Replace x by sigmoid(x), in place. With tanh it would take half the time, but lose small values."""
    with np.errstate(over="ignore"):
        np.exp(np.multiply(x, -1, out=x), out=x)  # np.negative is wrong for some strided arrays (16 and 64 bytes)
    x += 1
    np.divide(1, x, out=x)


def rnn(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool, relu: bool) -> Any:
    """Return the states, (T, N, H)."""
    y, part, v = np.empty((*x.shape[:2], h.shape[-1]), x.dtype), np.empty_like(h), np.ascontiguousarray(w_hh.T)
    _put_inputs(y[None], x, w_ih[None], None if b_ih is None else (b_ih + b_hh)[None])
    for t in order(len(x), reverse):
        y[t] += np.matmul(h, v, out=part)
        h = np.maximum(y[t], 0, out=y[t]) if relu else np.tanh(y[t], out=y[t])
    return y


def rnn_backward(g: Any, slope: Any, w_hh: Any, reverse: bool) -> tuple[Any, Any]:
    """Return the cotangents, (1, T, N, H) and (N, H), given the activation's slope at each step."""
    d, c = np.empty_like(g)[None], np.zeros_like(g[0])
    for t in order(len(g), not reverse):
        c += g[t]
        np.matmul(np.multiply(c, slope[t], out=d[0, t]), w_hh, out=c)
    return d, c


def gru(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool) -> tuple[Any, Any]:
    """Return the states, (T, N, H), and the hidden part q of the gate n with the gates r, z and n, (4, T, N, H).

    In this order q, r and z, which read the hidden state, are next to each other, and so are r, z and n.
    """
    y, gates = np.empty((*x.shape[:2], h.shape[-1]), x.dtype), np.empty((4, *x.shape[:2], h.shape[-1]), x.dtype)
    b_q = 0
    if b_ih is not None:
        b_ih, b_hh = np.array(by_gate(b_ih, 3)), by_gate(b_hh, 3)
        b_ih[:2] += b_hh[:2]
        b_q = b_hh[2]
    _put_inputs(gates[1:], x, by_gate(w_ih, 3), b_ih)
    v = np.ascontiguousarray(by_gate(w_hh, 3).mT)
    part = np.empty((3, *h.shape), x.dtype)
    for t in order(len(x), reverse):
        (q, r, z, n), rz = gates[:, t], gates[1:3, t]
        np.matmul(h, v, out=part)
        np.add(part[2], b_q, out=q)
        rz += part[:2]
        _sigmoid(rz)
        n += np.multiply(r, q, out=part[2])
        np.tanh(n, out=n)
        np.subtract(h, n, out=y[t])
        h = y[t]
        h *= z
        h += n
    return y, gates


def gru_backward(
    g: Any, h: Any, w_hh: Any, y: Any, gates: Any, g_gates: Any = None, reverse: bool = False
) -> tuple[Any, Any]:
    """Return the cotangents, (4, T, N, H) and (N, H)."""
    d, v, c = np.empty_like(gates), np.roll(by_gate(w_hh, 3), 1, axis=0), np.zeros_like(h)
    parts = np.empty_like(d[:3, 0])
    steps = order(len(y), not reverse)
    for t, earlier in zip(steps, [*steps[1:], None], strict=True):
        (q, r, z, n), rz, s = gates[:, t], gates[1:3, t], parts[:2]
        dq, dr, dz, dn = d[:, t]
        c += g[t]
        np.subtract(h if earlier is None else y[earlier], n, out=dz)
        dz *= c
        np.subtract(1, z, out=dn)
        dn *= c
        if g_gates is not None:
            d[2:, t] += g_gates[2:, t]
        dn *= np.subtract(1, np.multiply(n, n, out=s[0]), out=s[0])
        np.multiply(dn, r, out=dq)
        np.multiply(dn, q, out=dr)
        if g_gates is not None:
            d[:2, t] += g_gates[:2, t]
        np.subtract(1, rz, out=s)
        s *= rz
        d[1:3, t] *= s
        c *= z
        c += np.add.reduce(np.matmul(d[:3, t], v, out=parts), axis=0)
    return d, c


def lstm(x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool) -> tuple[Any, Any, Any]:
    """Return the states and cells, (T, N, H) each, and the gates i, f, g and o, (4, T, N, H)."""
    shape, (h, c) = (*x.shape[:2], state.shape[-1]), state
    y, cells, gates, part = (np.empty(s, x.dtype) for s in (shape, shape, (4, *shape), (4, *h.shape)))
    _put_inputs(gates, x, by_gate(w_ih, 4), None if b_ih is None else by_gate(b_ih + b_hh, 4))
    v = np.ascontiguousarray(by_gate(w_hh, 4).mT)
    for t in order(len(x), reverse):
        now = gates[:, t]
        now += np.matmul(h, v, out=part)
        i, f, g, o = now
        _sigmoid(now[:2])
        _sigmoid(o)
        np.tanh(g, out=g)
        c = np.multiply(f, c, out=cells[t])
        c += np.multiply(i, g, out=part[0])
        h = np.multiply(o, np.tanh(c, out=part[0]), out=y[t])
    return y, cells, gates


def lstm_backward(
    g: Any, state: Any, w_hh: Any, cells: Any, gates: Any, g_cells: Any = None, g_gates: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Return the cotangents, (4, T, N, H) and (2, N, H)."""
    d, v, (c, e) = np.empty_like(gates), by_gate(w_hh, 4), (back := np.zeros_like(state))
    s, parts = np.empty_like(gates[:, 0]), np.empty_like(gates[:, 0])
    steps = order(len(cells), not reverse)
    for t, earlier in zip(steps, [*steps[1:], None], strict=True):
        i, f, u, o = now = gates[:, t]
        di, df, du, do = then = d[:, t]
        c += g[t]
        y = np.tanh(cells[t], out=s[0])
        np.multiply(c, y, out=do)
        np.subtract(1, np.multiply(y, y, out=s[1]), out=s[1])
        s[1] *= o
        e += np.multiply(c, s[1], out=s[1])
        if g_cells is not None:
            e += g_cells[t]
        np.multiply(e, u, out=di)
        np.multiply(e, state[1] if earlier is None else cells[earlier], out=df)
        np.multiply(e, i, out=du)
        if g_gates is not None:
            then += g_gates[:, t]
        np.subtract(1, now, out=s)
        s *= now
        np.subtract(1, np.multiply(u, u, out=s[2]), out=s[2])
        then *= s
        e *= f
        np.add.reduce(np.matmul(then, v, out=parts), axis=0, out=c)
    return d, back
