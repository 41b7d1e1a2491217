"""The terms that sum to a gradient: one for each use of a tensor, with the path that it came along."""

from __future__ import annotations

import functools
import operator
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import errors
from ..tensor.handle import Tensor
from .text import brief

if TYPE_CHECKING:  # `import tinygrad_nn` needs this file for `grad_terms`, but not those
    from .nodes import Contribution, GraphNode

LIVE: weakref.WeakSet[Any] = weakref.WeakSet()  # the graphs that are still alive


# By the id of a leaf's tensor, as long as it lives, what the last pass added to its gradient: the contributions, their
# sum before and after hooks, and what `.grad` held before.
_LEAVES: dict[int, tuple[list[Contribution], Any, Any, Any]] = {}


def remember(node: GraphNode) -> None:
    """Keep the contributions to a leaf's gradient, as long as the leaf lives or until it is watched again."""
    tensor = node.tensor
    if tensor is not None:
        if id(tensor) not in _LEAVES:
            weakref.finalize(tensor, _LEAVES.pop, id(tensor), None).atexit = False
        held = None if tensor.grad is None else tensor.grad.data
        _LEAVES[id(tensor)] = node.contributions, node.arrived, node.seen, held


class Term(NamedTuple):
    """One summand of a gradient: its `value`, of the tensor's shape, and the `path` it came along.

    `path` names the nodes from the use of the tensor to the output, on the shortest path if there are several; `ways`
    is the number of paths, 2**63 at most. `argument` is the operation's name for the tensor in this use.
    """

    value: Any
    path: tuple[str, ...]
    ways: int
    argument: str


class Terms(tuple[Term, ...]):
    """The terms of a gradient, in the order in which they were added."""

    @property
    def total(self) -> Any:
        """The sum of the terms' values, added up in their order: the gradient, bit for bit unless hooks round it."""
        return np.asarray(functools.reduce(operator.add, [term.value for term in self]))

    @property
    def cancellation(self) -> float:
        """How much the terms cancel: the sum of their sizes over the size of their sum; 1 if not at all, inf for 0.

        Sizes are sums of absolute entries: at 1e6 the gradient has lost six decimal digits.
        """
        size, parts = float(np.abs(self.total).sum()), sum(float(np.abs(term.value).sum()) for term in self)
        return parts / size if size else np.inf if parts else 1.0

    def __str__(self) -> str:
        rows = [["value", "argument", "ways", "path"]]
        rows += [[brief(t.value), t.argument, str(t.ways), " -> ".join(t.path)] for t in self]
        return f"{errors.in_columns(rows)}\nsum: {brief(self.total)}, cancellation {self.cancellation:.3g}"


def grad_terms(self: Tensor) -> Terms:
    """Return the contributions that sum to this tensor's gradient, one for each use, in the order they were added.

    The backward pass has to be watched: call `backward` in the body of `tg.watch()`. What hooks of this tensor add to
    the sum is a term, too, and the last term is what `.grad` held before the pass. Raises GradientError if no watched
    pass came to this tensor, or if `.grad` has changed since the last one.

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
    found = _LEAVES.get(id(self))
    for node in [graph.get(self) for graph in LIVE] if found is None else ():
        if node is not None and node.contributions:
            found = node.contributions, node.arrived, node.seen, None
    if found is None:
        raise errors.GradientError(
            "no watched backward pass came to this tensor; call backward inside `with tg.watch():`, and for a tensor "
            "that was computed keep the graph: `with tg.watch() as graph:`"
        )
    contributions, arrived, seen, held = found
    terms = [Term(part.value, part.path, part.ways, part.argument) for part in contributions]
    if arrived is not None:
        terms.append(Term(seen - arrived, ("added by its hooks",), 1, "hook"))
    if self.grad is not None and self.grad.data is not held:  # `autograd.grad` and `tg.graph` leave it as it was
        whole = seen if held is None else seen + held
        if not np.array_equal(whole, self.grad.data, equal_nan=True):
            raise errors.GradientError(
                "`.grad` has changed since the pass that was watched; call grad_terms() before that, or put the last "
                "backward inside `with tg.watch():` as well"
            )
        if held is not None:
            terms.append(Term(held, ("held in .grad before",), 1, ".grad"))
    return Terms(terms)


Tensor.grad_terms = grad_terms  # type: ignore[method-assign]
