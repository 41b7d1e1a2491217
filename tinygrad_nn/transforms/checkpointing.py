"""Memory for time: a part of the graph that is not kept, but computed again by the backward pass."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from .. import errors
from ..engine.grad_mode import enable_grad, recording, users_code
from ..engine.node import Node, count, history, record
from ..engine.outputs import item
from ..engine.reverse import pullback
from ..engine.trees import filled, leaves, map_leaves
from ..tensor.handle import Tensor, alias, make, node_of


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with the same values and derivatives, whose intermediate arrays are not kept.

    The backward pass calls it again: that costs one more forward pass, and a chain of n such parts
    keeps their inputs and one part's intermediates, instead of all. So it must compute the same
    again: draw no random numbers, change no tensor, and read nothing that changes before the backward
    pass. Arguments and results may be nested; tensors that it reads from outside, such as
    parameters, get their gradients too. Raises GradientError if the second call reads other tensors
    or returns other shapes.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> tg.checkpoint(lambda x: (x * x).exp() * x)(x).backward()
    >>> bool(x.grad.data == 9 * np.exp(4.0))
    True
    """

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not recording.get():
            return function(*args, **kwargs)
        args, kwargs = map_leaves(_same_value, (args, kwargs))
        output, results, outside = _recorded(function, args, kwargs)
        places = [i for i, (_, made) in enumerate(results) if made]
        if not places:
            return output
        found = [x for x, _ in results]
        arrays = [found[i].data for i in places]
        whole = record(_Part(function, args, kwargs, places), outside, outside, arrays[0])
        whole.shape = tuple([y.shape for y in arrays])
        for place, i in enumerate(places):
            found[i] = make(arrays[place], item(whole, place, arrays[place]))
        return filled(output, iter(found))

    return called


def _same_value(x: Any) -> Any:
    """Return a handle of its own, which keeps this value when the caller's is rebound."""
    return alias(x) if isinstance(x, Tensor) else x


def _recorded(function: Any, args: Any, kwargs: Any) -> tuple[Any, list[tuple[Any, bool]], tuple[Node, ...]]:
    """Return what the function returned, its leaves and whether they were recorded just now, and the
    nodes from outside that those came from.
    """
    first = count()
    with enable_grad(), users_code():
        output = function(*args, **kwargs)
    results = [
        (x, isinstance(x, Tensor) and node_of(x) is not None and node_of(x).number > first) for x in leaves(output)
    ]
    order = history([node_of(x) for x, made in results if made], since=first)
    outside = tuple([node for node in order if node.number < first])
    return output, results, outside


class _Part:
    """The operation that stands for a checkpointed part: its rules compute it again and pull back through it."""

    name, masks, pointwise, linear, multiple_outputs, tangent_rules = "checkpoint", True, False, False, True, ()

    def __init__(self, function: Any, args: Any, kwargs: Any, places: list[int]) -> None:
        self.function, self.args, self.kwargs, self.places = function, args, kwargs, places

    def lift_saved(self, node: Node, lift: Any) -> Any:
        return node.saved

    @property
    def rules(self) -> Iterator[_Rule]:
        """A rule per tensor from outside; those of one pass share what the first of them computes."""
        shared: list[dict[Node, Any]] = []
        return (_Rule(self, place, shared) for place in itertools.count())

    def cotangents(self, g: tuple[Any, ...], outside: tuple[Node, ...]) -> dict[Node, Any]:
        """Return the cotangent of each node from outside, given those of the results."""
        create_graph = isinstance(g[0], Tensor)
        since = count()
        _, results, again = _recorded(self.function, self.args, self.kwargs)
        made = [results[i][0] for i in self.places if i < len(results) and results[i][1]]
        if set(again) != set(outside) or [x.shape for x in made] != [c.shape for c in g]:
            raise errors.GradientError(
                "a checkpointed function read other tensors, or returned other shapes, when it was called again for "
                "the backward pass; let it depend on its arguments and on tensors that stay as they are alone"
            )
        seeds: dict[Any, Any] = {}
        for x, c in zip(made, g, strict=True):
            seeds[node_of(x)] = seeds[node_of(x)] + c if node_of(x) in seeds else c
        return pullback(
            seeds, set(outside), make, retain_graph=create_graph, create_graph=create_graph, since=since
        )  # fmt: skip


class _Rule:
    """The rule for one tensor from outside."""

    into = zero_safe = None

    def __init__(self, part: _Part, place: int, shared: list[dict[Node, Any]]) -> None:
        self.part, self.place, self.shared, self.argument = part, place, shared, f"tensor {place} from outside"

    def pull(self, g: tuple[Any, ...], outside: tuple[Node, ...]) -> Any:
        """Return the cotangent of this tensor."""
        if not self.shared:
            self.shared.append(self.part.cotangents(g, outside))
        node = outside[self.place]
        return self.shared[0].pop(node)
