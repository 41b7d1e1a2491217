"""One run of a function, and the derivatives of its results: the basis of every transform."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import errors
from ..engine.cotangents import fitting
from ..engine.forward import pushforward
from ..engine.grad_mode import enable_grad, recording
from ..engine.node import history
from ..engine.reverse import pullback
from ..engine.trees import filled, leaves, map_leaves
from ..ops.elementwise import positive
from ..ops.joining import stack
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor, make, node_of, seed_of
from .purity import restoring


class Scope:
    """`saved` of a run's variables, entered while it computes. Outside, nobody differentiates with respect to them."""

    _entered = 0

    def __enter__(self) -> None:
        self._entered += 1

    def __exit__(self, *exception: object) -> None:
        self._entered -= 1


class Run:
    """One run of a function on its own variables, and the derivatives of its results.

    `variables` lists the tensors to differentiate with respect to, `results` those that the function returned. The run
    is `connected` if the results also depend on tensors that require grad and are not its own: the caller's, or an
    outer transform's. Then its graph is not freed, and derivatives are themselves recorded, so that the caller can
    differentiate through them.
    """

    def __init__(self, function: Any, args: Any, kwargs: Any, argnums: int | Sequence[int], has_aux: bool) -> None:
        self.argnums = argnums
        numbers = _positions(argnums, len(args))
        self._scope = Scope()
        self.inputs: Any = map_leaves(lambda x: _variable(x, self._scope), tuple([args[n] for n in numbers]))
        self.variables: list[Tensor] = list(leaves(self.inputs))
        replaced = dict(zip(numbers, self.inputs, strict=True))
        with restoring(function, args, kwargs), enable_grad(), self._scope:
            result = function(*[replaced.get(n, a) for n, a in enumerate(args)], **kwargs)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError("a function with has_aux=True must return (value, aux)")
        self.output: Any = result[0] if has_aux else result
        self.aux: list[Any] = [result[1]] if has_aux else []
        self.results: list[Any] = list(leaves(self.output))
        for result in self.results:
            if not isinstance(result, Tensor):
                raise TypeError(errors.returns_no_tensor(type(result).__name__))
        self._roots = [node_of(y) for y in self.results if y.requires_grad]
        self._own = {node_of(x) for x in self.variables}
        others = [node.saved for node in history(self._roots) if node.operation is None and node not in self._own]
        self.connected: bool = any(not isinstance(saved, Scope) or saved._entered for saved in others)

    def records(self, given: Sequence[Any] = ()) -> bool:
        """Return whether derivatives along the given directions must be recorded."""
        connected = self.connected or any(isinstance(t, Tensor) and t.requires_grad for t in given)
        return connected and bool(recording.get())

    def detached(self, tree: Any) -> Any:
        """Return results without this run's graph, unless the run is connected: then the caller needs the graph."""
        return tree if self.records() else map_leaves(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)

    def by_argument(self, values: Sequence[Any]) -> Any:
        """Return `values`, one per variable, in the nesting of the arguments: one tree, or a tuple of trees."""
        trees = filled(self.inputs, iter(values))
        return trees if isinstance(self.argnums, Sequence) else trees[0]

    def pull(self, cotangents: Sequence[Any], retain_graph: bool = True) -> list[Tensor]:
        """Return the cotangent of each variable, given one cotangent per result; None means 1."""
        recorded = self.records(cotangents)
        with self._scope:
            found = pulled(self.results, cotangents, self._own, retain_graph, recorded)
        return [_as_tensor(found.get(node_of(x)), x) for x in self.variables]

    def push(self, tangents: Iterable[Any]) -> list[Tensor]:
        """Return the tangent of each result, given one tangent per variable. Raises ValueError if one doesn't fit."""
        pairs = zip(tangents, self.variables, strict=True)
        tangents = [fitting(as_tensor(t), x, make, "tangent", "its primal") for t, x in pairs]
        recorded = self.records(tangents)
        given = {node_of(x): t if recorded else t.data for x, t in zip(self.variables, tangents, strict=True)}
        with self._scope:
            found = pushforward(self._roots, given, make, create_graph=recorded)
        return [_as_tensor(found.get(node_of(y)), y) for y in self.results]

    def jacobians(self, forward: bool) -> list[list[Tensor]]:
        """Return each result's derivative for each variable, with a pass per entry of the variables or the results."""
        starts = self.variables if forward else self.results
        evaluated = self.push if forward else self.pull
        passes = [[evaluated(_basis(starts, n, i)) for i in range(t.size)] for n, t in enumerate(starts)]

        def joined(k: int, j: int) -> Tensor:
            shape, dtype = (*self.results[k].shape, *self.variables[j].shape), self.variables[j].dtype
            parts = [pushed[k] for pushed in passes[j]] if forward else [pulled[j] for pulled in passes[k]]
            return stack(parts, -1 if forward else 0).reshape(shape) if parts else make(np.zeros(shape, dtype), None)

        return [[joined(k, j) for j in range(len(self.variables))] for k in range(len(self.results))]


def pulled(outputs: Any, gradients: Any, targets: Any, retain_graph: bool, create_graph: bool, since: int = 0) -> Any:
    """Return the targets' cotangents, given the outputs': None means 1; those of outputs with one node are added."""
    seeds: dict[Any, Any] = {}
    for output, gradient in zip(outputs, gradients, strict=True):
        node, seed = node_of(output), seed_of(output, gradient, create_graph)
        if node is not None:
            seeds[node] = seeds[node] + seed if node in seeds else seed
    return pullback(seeds, targets, make, retain_graph=retain_graph, create_graph=create_graph, since=since)


def _positions(argnums: int | Sequence[int], count: int) -> list[int]:
    """Return the positions of the variables among `count` arguments. Raises TypeError or ValueError."""
    given = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    if not all(isinstance(n, (int, np.integer)) for n in given):
        raise TypeError(
            "argnums are positions of arguments to differentiate with respect to: a whole number or a sequence "
            f"of them, not {argnums!r}; make one dict of arguments that are passed by name: it is a single argument"
        )
    numbers = [n + count if n < 0 else n for n in given]
    if len(set(numbers)) != len(numbers) or any(not 0 <= n < count for n in numbers):
        raise ValueError(f"argnums {argnums} must name different arguments among the {count} positional ones")
    return numbers


def _as_tensor(derivative: Any, like: Tensor) -> Tensor:
    """Return a derivative as a Tensor: zeros for None, where nothing is connected."""
    return as_tensor(np.zeros(like.shape, like.dtype) if derivative is None else derivative)


def _basis(tensors: list[Tensor], index: int, entry: int) -> list[Tensor]:
    """Return zeros like the tensors, with a 1 in one entry of the tensor at the index."""
    zeros = [np.zeros(t.shape, t.dtype) for t in tensors]
    zeros[index].reshape(-1)[entry] = 1
    return [make(x, None) for x in zeros]


def _variable(x: Any, scope: Scope) -> Tensor:
    """Return the tensor that the function gets for an argument, with its own node even if it is passed twice."""
    t = as_tensor(x)
    if t.requires_grad and recording.get():
        return positive(t)
    variable = Tensor(t.data, requires_grad=True)
    node_of(variable).saved = scope
    return variable
