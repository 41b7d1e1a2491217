"""Recurrences by the formulas of one step, unit by unit: what the recurrent operations are held against."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def sums(w: Array, x: Array, b: Any) -> Array:
    """Return what each unit of each gate adds up. Shapes: (gates * H, I), (I,) -> (gates * H,)."""
    return [math.fsum([*(row * x), 0 if b is None else b[k]]) for k, row in enumerate(w)]


def gru_unit(a: Any, b: Any, h: float) -> Any:
    r, z = sigma(a[0] + b[0]), sigma(a[1] + b[1])
    n = math.tanh(a[2] + r * b[2])
    return [(1 - z) * n + z * h], [b[2], r, z, n]


def lstm_unit(a: Any, b: Any, h: float, c: float) -> Any:
    i, f, g, o = sigma(a[0] + b[0]), sigma(a[1] + b[1]), math.tanh(a[2] + b[2]), sigma(a[3] + b[3])
    c = f * c + i * g
    return [o * math.tanh(c), c], [i, f, g, o]


UNITS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "rnn_tanh": (1, 0, lambda a, b, h: ([math.tanh(a[0] + b[0])], [])),
    "rnn_relu": (1, 0, lambda a, b, h: ([max(a[0] + b[0], 0.0)], [])),
    "gru": (1, 4, gru_unit),
    "lstm": (2, 4, lstm_unit),
}


def forward(name: str) -> Any:
    """Return the recurrence as a function of the operation's inputs."""
    states, gates, unit = UNITS[name]

    def computed(
        x: Array, state: Array, w: Array, v: Array, b: Any = None, c: Any = None, reverse: bool = False
    ) -> Any:
        steps, batch, hidden = len(x), x.shape[1], v.shape[1]
        found = np.zeros((states + gates, steps, batch, hidden), np.result_type(x, 1.0))
        for n in range(batch):
            held = state.reshape(states, batch, hidden)[:, n]
            for t in range(steps)[::-1] if reverse else range(steps):
                parts = [np.reshape(sums(*each), (-1, hidden)) for each in [(w, x[t, n], b), (v, held[0], c)]]
                now = [unit(*[part[:, k] for part in parts], *held[:, k]) for k in range(hidden)]
                found[:, t, n] = np.transpose([[*new, *values] for new, values in now])
                held = found[:states, t, n]
        return (*found[:states], *([found[states:]] if gates else []))

    return computed


def gru_back(g: float, e: Any, u: Any, h: float) -> Any:
    """Return the cotangents of what the gates add up, of the part of the state, and the rest of the state's."""
    q, r, z, n = u
    dn, dz = (g * (1 - z) + e[3]) * (1 - n * n), (g * (h - n) + e[2]) * z * (1 - z)
    dq, dr = dn * r + e[0], (dn * q + e[1]) * r * (1 - r)
    return [dq, dr, dz, dn], [dr, dz, dq], [g * z]


def lstm_back(g: Any, e: Any, u: Any, c: float, before: float) -> Any:
    (g, gc), (i, f, a, o), s = g, u, math.tanh(c)
    gc = gc + g * o * (1 - s * s)
    slopes = [i * (1 - i), f * (1 - f), 1 - a * a, o * (1 - o)]
    d = [(p + q) * k for p, q, k in zip([gc * a, gc * before, gc * i, g * s], e, slopes)]
    return d, d, [0.0, gc * f]


def backward(name: str) -> Any:
    """Return the reverse pass as a function of that operation's inputs."""

    def computed(g: Array, state: Array, v: Array, *rest: Any, reverse: bool = False) -> Any:
        if name == "rnn":
            slope, state, kept, more = state, np.zeros(g.shape[1:]), [g], []
            gates, gates_g = g[None], None
        else:
            values, gates, *more = rest
            kept, gates_g = [values], more[-1] if len(more) == (1 if name == "gru" else 2) else None
        steps, batch, hidden = g.shape
        of_x, of_h = np.zeros((len(gates), *g.shape)), np.zeros((len(v) // hidden, *g.shape))
        states = 2 if name == "lstm" else 1
        first, last = np.zeros((states, batch, hidden)), state.reshape(states, batch, hidden)[-1]
        steps_back = list(range(steps) if reverse else range(steps)[::-1])
        for n in range(batch):
            c = np.zeros((states, hidden))
            for place, t in enumerate(steps_back):
                c[0] += g[t, n]
                if name == "lstm" and more:
                    c[1] += more[0][t, n]
                rest_of = np.zeros_like(c)
                earlier = last[n] if place == steps - 1 else kept[0][steps_back[place + 1], n]
                for k in range(hidden):
                    e = np.zeros(4) if gates_g is None else gates_g[:, t, n, k]
                    if name == "rnn":
                        d = [c[0, k] * slope[t, n, k]]
                        found: Any = d, d, [0.0]
                    elif name == "gru":
                        found = gru_back(c[0, k], e, gates[:, t, n, k], earlier[k])
                    else:
                        found = lstm_back(c[:, k], e, gates[:, t, n, k], kept[0][t, n, k], earlier[k])
                    of_x[:, t, n, k], of_h[:, t, n, k], rest_of[:, k] = found
                c = rest_of
                c[0] += sums(v.T, of_h[:, t, n].ravel(), None)
            first[:, n] = c
        return of_x, first[0] if states == 1 else first

    return computed


REFERENCES: dict[str, Any] = {name: forward(name) for name in UNITS} | {
    f"{name}_backward": backward(name) for name in ("rnn", "gru", "lstm")
}
