"""Functions of functions: `tg.grad(f)` and `tg.value_and_grad(f)`, in JAX's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import errors
from .autodiff import pullback
from .containers import leaves, map_leaves
from .creation import as_tensor
from .node import Node, history
from .ops.elementwise import positive
from .recording import enable_grad, recording
from .tensors import Tensor, make, seed_of


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Any:
    """Return the function that computes the derivative of `function`, whose result is one number.

    Arguments may be numbers, arrays, Tensors, or nested lists, tuples and dicts of them; the
    gradient has the same nesting, with zeros where nothing depends on the argument. With several
    `argnums` it is a tuple. With `has_aux` the function returns `(value, aux)` and the gradient
    function `(gradient, aux)`. Transforms nest to any order.

    >>> import tinygrad_nn as tg
    >>> float(tg.grad(tg.grad(lambda x: x**3))(2.0))
    12.0
    """
    both = value_and_grad(function, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, result = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return gradient


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """Return the function that computes `(value, gradient)`; see `tg.grad`."""
    given = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        numbers = [n + len(args) if n < 0 else n for n in given]
        if len(set(numbers)) != len(numbers) or any(not 0 <= n < len(args) for n in numbers):
            raise ValueError(f"argnums {argnums} must each name another of the {len(args)} positional arguments")
        inputs = {n: map_leaves(_variable, args[n]) for n in numbers}
        with enable_grad():
            result = function(*[inputs.get(n, a) for n, a in enumerate(args)], **kwargs)
        value, aux = result if has_aux else (result, None)
        if not isinstance(value, Tensor):
            raise TypeError(f"a function to differentiate returns a Tensor, got {type(value).__name__}")
        gradients, connected = _gradients(value, list(leaves(list(inputs.values()))))
        if not connected:
            value, aux = map_leaves(lambda x: x.detach() if isinstance(x, Tensor) else x, (value, aux))
        each = iter(gradients)
        trees = tuple(map_leaves(lambda _: next(each), inputs[n]) for n in numbers)
        return (value, aux) if has_aux else value, trees[0] if isinstance(argnums, int) else trees

    return both


def _variable(x: Any) -> Tensor:
    """Return what the function is to see of an argument: a node of its own, told from all others."""
    t = as_tensor(x)
    if t.requires_grad and recording.get():
        return positive(t)
    if t.dtype.kind != "f":
        raise errors.DtypeError(errors.no_gradient_dtype(t.dtype))
    return Tensor(t.data, requires_grad=True)


def _gradients(value: Tensor, inputs: list[Tensor]) -> tuple[list[Tensor], bool]:
    """Return the derivatives, and whether tensors of the caller's are in the graph.

    If they are, the gradients are recorded, so that an outer derivative sees through this one.
    """
    if value._node is None:
        return [make(np.zeros(x.shape, x.dtype), None) for x in inputs], False
    own: set[Node | None] = {x._node for x in inputs}
    foreign = any(node.operation is None and node not in own for node in history([value._node]))
    outer = foreign and recording.get()
    node, seed = seed_of(value, None, outer)
    found = pullback({node: seed}, own, make, retain_graph=foreign, create_graph=outer)  # type: ignore[arg-type]
    results = [found.get(x._node) if x._node is not None else None for x in inputs]
    zeros = [make(np.zeros(x.shape, x.dtype), None) for x in inputs]
    return [zero if g is None else g if outer else make(g, None) for g, zero in zip(results, zeros, strict=True)], outer
