"""What a gradient is the sum of: one term for each use of a tensor, and the way that it came."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import errors
from ..tensor.handle import Tensor
from .kept import listed
from .nodes import LIVE, Contribution, GraphNode, told

_LEAVES: dict[int, tuple[weakref.ref[Tensor], GraphNode]] = {}  # by the tensor's id, as long as the tensor lives


def remember(node: GraphNode) -> None:
    """Keep what a leaf's gradient is the sum of, as long as the leaf lives or until it is watched again."""
    tensor = node.tensor
    if tensor is not None:
        key = id(tensor)
        node.held = None if tensor.grad is None else tensor.grad.data
        _LEAVES[key] = weakref.ref(tensor, lambda _: _LEAVES.pop(key, None)), node


@dataclass(frozen=True)
class Term:
    """One summand of a gradient: its `value`, of the tensor's shape, and the `path` it came along.

    `path` names the nodes from the use of the tensor to the output, the shortest way where there are several; `ways`
    says how many there are. `argument` is the operation's name for the tensor in this use.
    """

    value: Any
    path: tuple[str, ...]
    ways: int
    argument: str


class Terms(tuple[Term, ...]):
    """The terms of a gradient, in the order in which they were added."""

    @property
    def total(self) -> Any:
        """The sum of the terms' values, added up in their order: the gradient, bit for bit."""
        total = self[0].value
        for term in self[1:]:
            total = total + term.value
        return np.asarray(total)

    @property
    def cancellation(self) -> float:
        """How much the terms cancel: the sum of their sizes over the size of their sum, 1 if they do not, inf at 0.

        Sizes are sums of absolute entries: at 1e6 the gradient has lost six decimal digits.
        """
        size, parts = float(np.abs(self.total).sum()), sum(float(np.abs(term.value).sum()) for term in self)
        return parts / size if size else np.inf if parts else 1.0

    def __str__(self) -> str:
        rows = [["value", "argument", "ways", "path"]]
        rows += [[told(t.value), t.argument, str(t.ways), " -> ".join(t.path)] for t in self]
        return f"{listed(rows)}\nsum: {told(self.total)}, cancellation {self.cancellation:.3g}"


def grad_terms(self: Tensor) -> Terms:
    """Return the contributions that this tensor's gradient is the sum of, one for each use, in the order of adding.

    The backward pass has to be watched: call `backward` in the body of `tg.watch()`. If `.grad` held something before
    the pass, that is the last term. Raises GradientError where no watched pass came to this tensor.

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
    held = _LEAVES.get(id(self), (None, None))[1]
    node = held or next((n for graph in LIVE if (n := graph.get(self)) is not None), None)
    if node is None or not node.contributions:
        raise errors.GradientError(
            "no watched backward pass came to this tensor; call backward inside `with tg.watch():`, and for a tensor "
            "that was computed keep the graph: `with tg.watch() as graph:`"
        )
    ways = _ways(node)
    terms = Terms(_term(contribution, ways) for contribution in node.contributions)
    if node.held is not None and self.grad is not None and not np.array_equal(terms.total, self.grad.data):
        terms = Terms([*terms, Term(node.held, ("held in .grad before",), 1, ".grad")])
    return terms


Tensor.grad_terms = grad_terms  # type: ignore[method-assign]


def _term(contribution: Contribution, ways: dict[GraphNode, tuple[int, int, GraphNode | None]]) -> Term:
    """Return a contribution with the shortest way to the output, and the number of all ways."""
    node, path = contribution.source, []
    count = 1 if node is None else ways[node][1]
    while node is not None:
        path.append(node.name)
        node = ways[node][2]
    return Term(contribution.value, tuple(path) or ("the output itself",), count, contribution.argument)


def _ways(node: GraphNode) -> dict[GraphNode, tuple[int, int, GraphNode | None]]:
    """Return how far it is to the output from each node on the way there, how many ways lead there, and the next."""
    found, left = dict.fromkeys([node]), [node]
    while left:
        for contribution in left.pop().contributions:
            if contribution.source is not None and contribution.source not in found:
                found[contribution.source] = None
                left.append(contribution.source)
    ways: dict[GraphNode, tuple[int, int, GraphNode | None]] = {}
    for one in sorted(found, key=lambda n: n.number, reverse=True):  # sources were computed later
        steps = [(0, 1, None) if c.source is None else (*ways[c.source][:2], c.source) for c in one.contributions]
        near = min(steps, key=lambda step: step[0] + (step[2] is not None))
        ways[one] = near[0] + (near[2] is not None), sum(step[1] for step in steps), near[2]
    return ways
