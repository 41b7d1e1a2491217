"""Functions of functions, in JAX's words: grad, vjp, jvp, jacobian, hessian, hvp, and checkpoint.

Arguments may be numbers, arrays, Tensors, Modules (of which the parameters are differentiated by), or nested lists,
tuples and dicts of them; derivatives have the same nesting, that of a Module being a dict by name, and are zeros where
nothing depends on the argument. Transforms nest to any order. Arguments that require grad stay connected: derivatives
by them are themselves recorded, except under `tg.no_grad()`. The function is taken for one of values: what its modules
change in a forward pass, running statistics and random generators, is put back, so each evaluation draws the same; a
step that trains calls `backward()`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import errors
from ..engine.trees import aligned, filled
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from .linearization import Run


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Any:
    """Return the function that computes the derivative of `function`, whose result is one number.

    With several `argnums` the derivative is a tuple. With `has_aux` the function returns
    `(value, aux)` and the gradient function `(gradient, aux)`.

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
    """Return the function that computes `(value, gradient)`; see `tg.grad`.

    >>> import tinygrad_nn as tg
    >>> value, slope = tg.value_and_grad(lambda x: x**3)(2.0)
    >>> value.item(), slope.item()
    (8.0, 12.0)
    """

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        run = Run(function, args, kwargs, argnums, has_aux)
        if not isinstance(run.output, Tensor):
            raise TypeError(errors.returns_no_tensor(type(run.output).__name__))
        gradient = run.by_argument(run.pull([None], retain_graph=run.connected))
        return run.detached((run.output, *run.aux) if has_aux else run.output), gradient

    return both


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return the function's value, and the map from a cotangent of it to those of all primals, a tuple.

    The map may be called again. With `has_aux` the function returns `(value, aux)`, and `aux` is the third result.

    >>> import tinygrad_nn as tg
    >>> value, pull = tg.vjp(lambda x, y: x * y, 3.0, 4.0)
    >>> [float(g) for g in pull(1.0)]
    [4.0, 3.0]
    """
    run = Run(function, primals, {}, range(len(primals)), has_aux)

    def pull(cotangent: Any) -> Any:
        cotangents = [as_tensor(x) for x in aligned(cotangent, run.output)]
        return run.by_argument(run.pull(cotangents))

    return run.detached(run.output), pull, *run.detached(run.aux)


def jvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """Return the function's value at the primals, and its derivative along the tangents: forward mode.

    `primals` and `tangents` are sequences with an entry per argument, of the same nesting. With
    `has_aux` the function returns `(value, aux)`, and `aux` is the third result.

    >>> import tinygrad_nn as tg
    >>> value, slope = tg.jvp(lambda x: x**3, (2.0,), (1.0,))
    >>> float(value), float(slope)
    (8.0, 12.0)
    """
    if not isinstance(primals, (list, tuple)) or not isinstance(tangents, (list, tuple)):
        raise TypeError("primals and tangents are tuples with an entry per argument; write (x,) for a single one")
    run = Run(function, tuple(primals), {}, range(len(primals)), has_aux)
    pushed = run.push(aligned(tangents, run.inputs))
    return run.detached(run.output), filled(run.output, iter(pushed)), *run.detached(run.aux)


def jacobian(function: Callable[..., Any], argnums: int | Sequence[int] = 0, mode: str | None = None) -> Any:
    """Return the function that computes all derivatives. Shapes: output (m...), input (n...) -> (m..., n...).

    `mode` is "forward", a pass per entry of the input, or "reverse", a pass per entry of the output;
    by default the one with fewer passes. A nested output gives its nesting, with that of the inputs inside.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    tg.tensor([[2., 0.],
               [0., 4.]], dtype='float64')
    """
    if mode not in (None, "forward", "reverse"):
        raise ValueError(f"mode must be 'forward', 'reverse', or None for the cheaper one, not {mode!r}")

    def derivatives(*args: Any, **kwargs: Any) -> Any:
        run = Run(function, args, kwargs, argnums, False)
        entries = [sum(t.size for t in ts) for ts in (run.variables, run.results)]
        forward = mode == "forward" if mode else entries[0] < entries[1]
        return filled(run.output, iter([run.by_argument(row) for row in run.jacobians(forward)]))

    return derivatives


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Any:
    """Return the function that computes all second derivatives of a scalar. Shapes: (n...) -> (n..., n...).

    For nested inputs the result has their nesting twice: the first for the rows, the second inside.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    tg.tensor([[ 6.,  0.],
               [ 0., 12.]], dtype='float64')
    """
    return jacobian(grad(function, argnums), argnums)


def hvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
    """Return the Hessian of a scalar function times the tangents, an entry per primal, without the Hessian.

    Forward mode over reverse mode: about the cost of four gradients.

    >>> import tinygrad_nn as tg
    >>> x, direction = tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0])
    >>> (product,) = tg.hvp(lambda x: (x**3).sum(), (x,), (direction,))
    >>> product
    tg.tensor([ 6., 12.], dtype='float64')
    """
    return tuple(jvp(grad(function, range(len(primals))), primals, tangents)[1])
