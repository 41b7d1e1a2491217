"""Functions of functions, as in JAX: grad, value_and_grad, vjp, jvp, jacobian, hessian and hvp.

Arguments may be numbers, arrays, Tensors, Modules, or nested lists, tuples and dicts of these. Derivatives have the
same nesting; for a Module, they are a dict of the derivatives with respect to its parameters, by name. Where nothing
depends on an argument, its derivative is zeros. Transforms nest to any order. Arguments that require grad stay
connected: derivatives with respect to them are recorded, except under `tg.no_grad()`. Running statistics and random
generators of modules are put back afterwards, so each evaluation draws the same. To train, call `backward()`.
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
    """Return a function that computes the gradient of `function`, whose result is one number.

    `argnums` is the position of the argument to differentiate with respect to; for a sequence of positions the gradient
    is a tuple. With `has_aux`, `function` returns `(value, aux)`, and the result is `(gradient, aux)`. Shapes:
    (n...) -> (n...). Raises TypeError if `function` returns no Tensor, GradientError if it has several entries.

    >>> import tinygrad_nn as tg
    >>> float(tg.grad(tg.grad(lambda x: x**3))(2.0))
    12.0
    """
    both = value_and_grad(function, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, result = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return gradient


def value_and_grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Any:
    """Return a function for `(value, gradient)`, with `has_aux` `((value, aux), gradient)`; shapes, errors: `tg.grad`.

    >>> import tinygrad_nn as tg
    >>> value, slope = tg.value_and_grad(lambda x: x**3)(2.0)
    >>> value.item(), slope.item()
    (8.0, 12.0)
    """
    if not callable(function):
        raise TypeError(f"what is differentiated is a function, got {errors.given(function)}; write tg.grad(f)(x)")

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        run = Run(function, args, kwargs, argnums, has_aux)
        if not isinstance(run.output, Tensor):
            raise TypeError(errors.returns_no_tensor(type(run.output).__name__))
        gradient = run.by_argument(run.pull([None], retain_graph=run.connected))
        return run.detached((run.output, *run.aux) if has_aux else run.output), gradient

    return both


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return the function's value, and a function that maps its cotangent to a tuple of the primals' cotangents.

    The latter may be called repeatedly. Cotangents have the shapes of what they belong to. With `has_aux`, `function`
    returns `(value, aux)`; `aux` is the third result.

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

    `primals` and `tangents` are tuples or lists with one entry per argument, and nested alike. With `has_aux`,
    `function` returns `(value, aux)`, and `aux` is the third result. Tangents have the shapes of their primals.

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
    """Return a function that computes all first derivatives. Shapes: output (m...), input (n...) -> (m..., n...).

    `mode` is "forward", with a pass per entry of the input, or "reverse", with a pass per entry of the output; the
    default has fewer passes. If the output is nested, so is the result, with the nesting of the inputs inside.

    >>> import tinygrad_nn as tg
    >>> tg.jacobian(lambda x: x * x)(tg.tensor([1.0, 2.0]))
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
    """Return a function that computes all second derivatives of a scalar function. Shapes: (n...) -> (n..., n...).

    For nested inputs the result has their nesting twice: the outer for the rows, the inner for the columns.

    >>> import tinygrad_nn as tg
    >>> tg.hessian(lambda x: (x**3).sum())(tg.tensor([1.0, 2.0]))
    tg.tensor([[ 6.,  0.],
               [ 0., 12.]], dtype='float64')
    """
    return jacobian(grad(function, argnums), argnums)


def hvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
    """Return the Hessian of a scalar function times the tangents, one entry per primal, without computing the Hessian.

    This is forward mode over reverse mode, and costs about four gradients. Each entry has the shape of its primal.

    >>> import tinygrad_nn as tg
    >>> tg.hvp(lambda x: (x**3).sum(), (tg.tensor([1.0, 2.0]),), (tg.tensor([1.0, 1.0]),))
    (tg.tensor([ 6., 12.], dtype='float64'),)
    """
    return tuple(jvp(grad(function, range(len(primals))), primals, tangents)[1])
