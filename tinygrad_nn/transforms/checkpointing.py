"""Checkpointing: a part of the graph is not kept, but computed again by the backward pass. Less memory, more time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import errors
from ..engine.grad_mode import enable_grad, inside_rule, recording, setting
from ..engine.node import Node, history, next_number, record
from ..engine.outputs import Whole, item
from ..engine.rules import RuleForEach
from ..engine.trees import filled, leaves, map_leaves
from ..engine.watching import watcher
from ..tensor.handle import Tensor, alias, make, node_of
from .linearization import pulled
from .purity import generator_states, restoring


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with the same values and derivatives that does not keep its intermediate arrays.

    The backward pass calls `function` again, which costs one more forward pass. A chain of n such parts keeps the
    inputs of all, but the intermediates of only one at a time. The second call must compute the same. Its modules,
    `np.random`, and generators that it is given or that its code names draw the same random numbers again; it may draw
    no others, change no tensor, and read nothing that changes before the backward pass. Arguments and results may be
    nested. Captured tensors, such as parameters, get gradients too. Raises GradientError if the second call reads other
    tensors or returns other values. Under `tg.compile` the intermediates are kept.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> tg.checkpoint(lambda x: (x * x).exp() * x)(x).backward()
    >>> bool(x.grad.data == 9 * np.exp(4.0))
    True
    """

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not recording.get() or watcher() is not None:
            return function(*args, **kwargs)
        states = generator_states(function, args, kwargs)
        # Other handles, which keep these values when the caller rebinds the tensors.
        args, kwargs = map_leaves(lambda x: alias(x) if isinstance(x, Tensor) else x, (args, kwargs))
        result, values, outputs, inputs = _run(function, args, kwargs)
        if not outputs:
            return result
        arrays = [values[i].data for i in outputs]
        part = _Part(function, args, kwargs, outputs, states, arrays)
        whole = record(part, inputs, (inputs, part), arrays[0])
        whole.shape = tuple([y.shape for y in arrays])
        for number, (i, y) in enumerate(zip(outputs, arrays, strict=True)):
            values[i] = make(y, item(whole, number, y))
        return filled(result, iter(values))

    return called


def _run(function: Any, args: Any, kwargs: Any) -> tuple[Any, list[Any], list[int], tuple[Node, ...]]:
    """Return the result, its leaves, the indices of leaves that this run recorded, and the older nodes that it read."""
    first = next_number()
    with enable_grad(), setting(inside_rule, False):  # the part is not a rule: it may read a Tensor's array
        result = function(*args, **kwargs)
    values = list(leaves(result))
    nodes: list[Any] = [node_of(x) if isinstance(x, Tensor) else None for x in values]
    outputs = [i for i, node in enumerate(nodes) if node is not None and node.number > first]
    order = history([nodes[i] for i in outputs], since=first)
    return result, values, outputs, tuple([node for node in order if node.number < first])


def _pulled(g: Whole, index_of_input: int, inputs: tuple[Node, ...], part: _Part) -> Any:
    """Return the cotangent of one input; the first call in a backward pass computes the cotangents of all inputs."""
    g.common = g.common or part.cotangents(g, inputs)
    return g.common.pop(inputs[index_of_input])


class _Part:
    """The operation that a checkpointed part is recorded as: its rules run the part again and pull back through it."""

    name, masks, pointwise, linear, multiple_outputs, tangent_rules = "checkpoint", True, False, False, True, ()
    arguments, slots, variadic, defaults = ("inputs",), ("inputs", "part"), True, ()  # inputs: nodes that it read
    rules = RuleForEach(_pulled, slots)

    def __init__(self, function: Any, args: Any, kwargs: Any, outputs: Any, states: Any, arrays: Any) -> None:
        self.function, self.args, self.kwargs, self.outputs, self.states = function, args, kwargs, outputs, states
        self.entries = [_some(y) for y in arrays]

    def lift_saved(self, node: Node, lift: Any) -> Any:
        return node.saved

    def cotangents(self, g: tuple[Any, ...], inputs: tuple[Node, ...]) -> Any:
        """Return the cotangent of each input, given those of the outputs."""
        create_graph, since = isinstance(g[0], Tensor), next_number()
        with restoring(self.function, self.args, self.kwargs, states=self.states):
            _, values, recorded, read = _run(self.function, self.args, self.kwargs)
        outputs = [values[i] for i in self.outputs if i in recorded]
        same = set(read) == set(inputs) and [y.shape for y in outputs] == [c.shape for c in g]
        if not same or not all(map(agree, [_some(y.data) for y in outputs], self.entries)):
            raise errors.GradientError(
                "a checkpointed function read other tensors, or returned other values, when it was called again for "
                "the backward pass; let it depend only on its arguments and on tensors that don't change, and draw "
                "random numbers only in modules or from NumPy's generators that it is given or that its code names"
            )
        # Nodes before `since` are the caller's: their cotangents are returned, and the caller's pass continues there.
        return pulled(outputs, g, set(inputs), create_graph, create_graph, since)


def _some(y: Any) -> Any:
    """Return about 64 entries of an array, by which a call that computes something else is recognised."""
    return y.flat[:: y.size // 64 + 1]


def agree(new: np.ndarray, old: np.ndarray) -> bool:
    """Return whether arrays are equal up to rounding, which depends on the number of BLAS threads, say."""
    tolerance = np.sqrt(np.finfo(np.result_type(old, 1.0)).eps) * np.max(abs(old), initial=0, where=np.isfinite(old))
    return new.shape == old.shape and np.allclose(new, old, 0, tolerance, equal_nan=True)
