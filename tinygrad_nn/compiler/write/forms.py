"""The stable forms that a program names: sigmoid, softmax and cross entropy, recognised by how they are computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..program import Function, Line, Value

# What a pattern binds: a call by its text, with operands that are patterns, names, or numbers.
_EXPONENTIAL = ("np.exp", ("np.negative", ("np.absolute", "x")))
_SHIFTED = ("np.exp", ("np.subtract", "x", ("np.maximum.reduce", "x")))
PATTERNS: dict[str, Any] = {
    "sigmoid": ("np.divide", ("np.where", ("np.less", "x", 0), _EXPONENTIAL, 1), ("np.add", 1, _EXPONENTIAL)),
    "softmax": ("np.divide", _SHIFTED, ("np.add.reduce", _SHIFTED)),
    "cross_entropy": (
        "np.subtract",
        ("np.reshape", ("np.log", ("np.add.reduce", _SHIFTED))),
        ("{0}[{1}]", ("np.reshape", _SHIFTED[1]), "places"),
    ),
}
DEFINITIONS = {
    "sigmoid": '''
def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)
''',
    "softmax": '''
def softmax(x, axis):
    """exp(x) / sum of exp(x), without overflow."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
''',
    "cross_entropy": '''
def cross_entropy(z, y):
    """-log(softmax(z)[y]) of each row, without overflow."""
    z = z - z.max(axis=-1, keepdims=True)
    return np.log(np.exp(z).sum(axis=-1)) - z[np.arange(len(y)), y]
''',
}


def matches(x: Any, pattern: Any, makers: dict[Value, Line], bound: dict[str, Any]) -> bool:
    """Return whether a value was computed as the pattern says, and bind what its names stand for."""
    if isinstance(pattern, str):
        return bound.setdefault(pattern, x) is x
    if not isinstance(pattern, tuple):
        return not isinstance(x, Value) and isinstance(x, (int, float)) and x == pattern
    line = makers.get(x) if isinstance(x, Value) else None
    if line is None or line.function.text != pattern[0]:
        return False
    if line.function.text.endswith(".reduce"):
        axis = line.kwargs.get("axis", 0)
        if not line.kwargs.get("keepdims") or bound.setdefault("axis", axis) != axis:
            return False
    statics = line.args[len(pattern) - 1 :]
    return not any(isinstance(x, Value) for x in statics) and all(
        matches(part, wanted, makers, bound) for part, wanted in zip(line.args, pattern[1:], strict=False)
    )


def call_by_name(line: Line, makers: dict[Value, Line]) -> None:
    """Call a stable form by its name."""
    for name, pattern in PATTERNS.items():
        bound: dict[str, Any] = {}
        if line.function.text != pattern[0] or not matches(line.outputs[0], pattern, makers, bound):
            continue
        args = [bound.pop("x")]
        if "places" in bound:
            labels = _labels(bound["places"], args[0].shape, makers)
            if labels is None:
                continue
            args.append(labels)
        axis = bound.get("axis")
        axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
        line.function, line.args = Function(name, line.function.apply), tuple(args)
        line.kwargs = {"axis": axis} if name == "softmax" else {}


def _labels(places: Any, shape: tuple[int, ...], makers: dict[Value, Line]) -> Value | None:
    """Return the labels of places in rows of k that are laid end to end, None if they were not made like that."""
    if len(shape) != 2 or not isinstance(places, Value) or places.shape != shape[:1]:
        return None
    if places not in makers:
        return Value(places.concrete % shape[1], "labels")
    line = makers[places]
    starts = [x for x in line.args if isinstance(x, Value) and x not in makers and _counts(x.concrete, shape)]
    others = [x for x in line.args if x not in starts]
    return others[0] if line.function.text == "np.add" and len(others) == 1 and isinstance(others[0], Value) else None


def _counts(x: Any, shape: tuple[int, ...]) -> bool:
    """Return whether an array holds where each row begins."""
    return np.array_equal(x, np.arange(0, shape[0] * shape[1], shape[1]))
