"""The terms that sum to a gradient: one for each use of a tensor, with the path that it came along."""

from __future__ import annotations

import functools
import operator
import weakref
from typing import Any, NamedTuple

import numpy as np

from .. import errors
from ..tensor.handle import Tensor


def brief(x: Any) -> str:
    """Return a value in a few characters: its numbers if they are few, else the least and the greatest."""
    if x is None or isinstance(x, tuple):
        return "; ".join(map(brief, x or ()))
    return _numbers(np.asarray(x).tolist()) if np.size(x) <= 4 else f"{x.min():.4g} .. {x.max():.4g}"


def _numbers(x: Any) -> str:  # ten times as fast as np.array2string
    if isinstance(x, list):
        return f"[{', '.join(map(_numbers, x))}]"
    return f"{x:.4g}" if isinstance(x, float) else str(x)


_PATHS = {"seed": "the output itself", "hook": "added by its hooks", ".grad": "held in .grad before"}


class Contribution(NamedTuple):
    """One summand of an adjoint: its `value`, computed by the rule of `source`, a GraphNode, for `argument`.

    `ways` is the number of paths from the output, 2**63 at most, `steps` the length of the shortest, `before` the
    source's contribution on that path. What no rule computed has no source; its argument is "seed" for the adjoint that
    a pass begins with, "hook" for what hooks added, ".grad" for what `.grad` held before.
    """

    value: Any
    source: Any
    argument: str
    rule: Any = None
    ways: int = 1
    steps: int = 0
    before: Contribution | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The names of the nodes on the shortest path to the output."""
        part: Contribution | None = self
        names = []
        while part is not None and part.source is not None:
            names.append(part.source.name)
            part = part.before
        return tuple(names) or (_PATHS[self.argument],)


class Pass(NamedTuple):
    """A watched pass at a leaf: the contributions, their sum before and after hooks, and what `.grad` held before."""

    contributions: list[Contribution]
    arrived: Any
    seen: Any
    held: Any

    @property
    def whole(self) -> Any:
        """What `.grad` is after the pass, if the pass fills it."""
        return self.seen if self.held is None else self.held + self.seen


# By the id of a leaf's tensor, as long as it lives: the passes that were added up in `.grad`, then the last pass.
_LEAVES: dict[int, list[Pass]] = {}


@np.errstate(all="ignore")
def remember(node: Any) -> None:
    """Keep the contributions to a leaf's gradient, as long as the leaf lives or until it is watched again."""
    tensor = node.tensor
    if tensor is not None:
        if id(tensor) not in _LEAVES:
            _LEAVES[id(tensor)] = []
            weakref.finalize(tensor, _LEAVES.pop, id(tensor), None)
        passes, held = _LEAVES[id(tensor)], None if tensor.grad is None else tensor.grad.data
        while passes and (held is None or not np.array_equal(passes[-1].whole, held, equal_nan=True)):
            passes.pop()
        passes.append(Pass(node.contributions, node.arrived, node.seen, held))


class Terms(tuple[Contribution, ...]):
    """The terms of a gradient, in the order in which they were added; what `.grad` held before is last.

    `total` is their sum, added up as the passes did: the gradient, bit for bit unless hooks round it.
    """

    total: Any

    @property
    @np.errstate(all="ignore")
    def cancellation(self) -> float:
        """How much the terms cancel: the sum of their sizes over the size of their sum; 1 if not at all, inf for 0.

        Sizes are sums of absolute entries: at 1e6 the gradient has lost six decimal digits.
        """
        size, parts = np.abs(self.total).sum(), sum(np.abs(term.value).sum() for term in self)
        return float(parts / size if size else np.inf if parts else 1)

    def __str__(self) -> str:
        rows = [["value", "argument", "ways", "path"]]
        rows += [[brief(t.value), t.argument, str(t.ways), " -> ".join(t.path)] for t in self]
        return f"{errors.in_columns(rows)}\nsum: {brief(self.total)}, cancellation {self.cancellation:.3g}"


@np.errstate(all="ignore")
def grad_terms(self: Tensor) -> Terms:
    """Return the contributions that sum to this tensor's gradient, one for each use, in the order they were added.

    The backward passes have to be watched: call `backward` in the body of `tg.watch()`. Of several passes that were
    added up in `.grad`, each has its terms. What hooks of this tensor add to the sum is a term, too, and the last term
    is what `.grad` held before. Raises GradientError if no watched pass came to this tensor, or if `.grad` has changed
    since the last one.

    >>> import tinygrad_nn as tg
    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> with tg.watch():
    ...     loss = x * x - 5.999 * x
    ...     loss.backward()
    >>> print(x.grad_terms())
    value   argument  ways  path
    -5.999  b         1     multiply2 -> loss
    3       a         1     multiply1 -> loss
    3       b         1     multiply1 -> loss
    sum: 0.001, cancellation 1.2e+04
    """
    passes, held = _LEAVES.get(id(self), []), None
    if not passes:
        raise errors.GradientError(
            "no watched backward pass came to this tensor; call backward inside `with tg.watch():`, and retain_grad "
            "before that if the tensor was computed"
        )
    if self.grad is None or self.grad.data is passes[-1].held:  # the pass filled no `.grad`
        passes = passes[-1:]
    elif np.array_equal(passes[-1].whole, self.grad.data, equal_nan=True):
        held = passes[0].held
    else:
        raise errors.GradientError(
            "`.grad` has changed since the pass that was watched; call grad_terms() before that, or put the last "
            "backward inside `with tg.watch():` as well"
        )
    found, total = list[Contribution](), held
    for one in passes:
        hooks = [] if one.arrived is None else [Contribution(one.seen - one.arrived, None, "hook")]
        found += (terms := [*one.contributions, *hooks])
        part = functools.reduce(operator.add, [term.value for term in terms])
        total = part if total is None else total + part
    result = Terms(found if held is None else [*found, Contribution(held, None, ".grad")])
    result.total = np.asarray(total)
    return result


Tensor.grad_terms = grad_terms  # type: ignore[method-assign]
