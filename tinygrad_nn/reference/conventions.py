"""Subgradient conventions: what the gradient is at kinks and ties, `python -m tinygrad_nn.conventions`.

It is the subgradient of smallest norm over the operands that require grad: tied operands share it, and at a kink it
is 0 if 0 lies between the slopes. The points are declared with the operations; the engine computes the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_nn import ops
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.errors import in_columns
from tinygrad_nn.ops.activation import elu, leaky_relu
from tinygrad_nn.ops.numpy.cumulative import cummax
from tinygrad_nn.ops.windows.pooling import max_pool1d
from tinygrad_nn.transforms.functions import grad

_COMPOSED: dict[str, tuple[Callable[..., Any], Any]] = {
    "leaky_relu(x, -0.5)": (lambda x: leaky_relu(x, -0.5), 0.0),
    "elu(x, 2.0)": (lambda x: elu(x, 2.0), 0.0),
    "clip(x, -1, 1)": (lambda x: np.clip(x, -1, 1), [-1.0, 0.0, 1.0]),
    "max(x)": (np.max, [1.0, 1.0, 0.0]),
    "min(x)": (np.min, [0.0, 0.0, 0.0, 1.0]),
    "ptp(x)": (np.ptp, [0.0, 1.0, 1.0]),
    "sort(x)[0]": (lambda x: np.sort(x)[0], [0.0, 0.0, 1.0]),
    "median(x)": (np.median, [1.0, 1.0, 0.0]),
    "cummax(x)[-1]": (lambda x: cummax(x)[-1], [1.0, 1.0, 0.0]),
    "max_pool1d(x, 2)": (lambda x: max_pool1d(x.reshape(1, 1, -1), 2), [1.0, 1.0, 3.0, 2.0]),
    "std(x)": (np.std, [1.0, 1.0, 1.0]),
    "linalg.norm(x)": (np.linalg.norm, [0.0, 0.0]),
    "linalg.norm(x, np.inf)": (lambda x: np.linalg.norm(x, np.inf), [1.0, -1.0, 0.0]),
    "interp(x, [0, 1, 2], [0, 2, 3])": (lambda x: np.interp(x, [0.0, 1.0, 2.0], [0.0, 2.0, 3.0]), 1.0),
    "interp(x, [0, 1, 2], [0, 2, 0])": (lambda x: np.interp(x, [0.0, 1.0, 2.0], [0.0, 2.0, 0.0]), 1.0),
}


class Convention(NamedTuple):
    """A point where an operation's derivative jumps: the gradients of all operands, and of each beside constants."""

    operation: str
    point: tuple[Any, ...]
    gradients: tuple[Any, ...]
    alone: tuple[Any, ...]


def conventions() -> Iterator[Convention]:
    """Yield a row for each point that the public operations declare, and for some compositions of them."""
    public = ops.functions()
    for name in [name for name in OPERATIONS if name in public]:
        for key in OPERATIONS[name].kinks:
            yield _found(name, public[name], key if isinstance(key, tuple) else (key,))
    for name, (function, point) in _COMPOSED.items():
        yield _found(name, function, (point,))


def _found(name: str, function: Callable[..., Any], point: tuple[Any, ...]) -> Convention:
    operands = [np.asarray(x, float) for x in point]

    def total(*xs: Any) -> Any:
        return function(*xs).sum()

    def found(argnums: Any) -> tuple[Any, ...]:
        return tuple([g.tolist() for g in grad(total, argnums)(*operands)])

    each = range(len(operands))
    return Convention(name, point, found(each), tuple([found([i])[0] for i in each]))


def page() -> str:
    """Return the conventions as text, one line for each."""
    lines = [("operation", "at", "gradient", "beside constants")]
    for row in conventions():
        several = len(row.point) > 1
        names = ("a", "b") if several else ("x",)
        where = ", ".join(f"{name} = {_text(x)}" for name, x in zip(names, row.point, strict=True))
        alone = ", ".join(map(_text, row.alone)) if several else ""
        lines.append((row.operation, where, ", ".join(map(_text, row.gradients)), alone))
    return in_columns(lines)


def _text(x: Any) -> str:
    return f"[{', '.join(map(_text, x))}]" if isinstance(x, list) else f"{x:.3g}"


if __name__ == "__main__":
    print(page())
