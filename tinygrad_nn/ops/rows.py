"""Functions of NumPy that one expression declares: a row has NumPy's function, and the lambda that computes it.

What they return is said in `descriptions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine.rules import parameter_names
from ..tensor.declaring import composite, primitive
from .descriptions import OF_ROWS


def described(function: Any, own: Any) -> Any:
    """Return the function with the name of NumPy's own, and with its description."""
    function.__name__, function.__doc__ = own.__name__, f"Return {OF_ROWS[own.__name__]}."
    return function


def composed(own: Any, function: Callable[..., Any], *, takes: str = "Tensor", **options: Any) -> Any:
    """Publish a composition of operations as NumPy's own function; no Tensor method unless `method=True`.

    Arguments without a default are converted as `composite` does for parameters of the type, or types, `takes`.
    """
    required = function.__code__.co_argcount - len(function.__defaults__ or ())
    function.__annotations__ = dict(zip(parameter_names(function)[:required], takes.split(", ") * required))
    return composite(**{"numpy": [own], "method": False, **options})(described(function, own))


def declared(own: Any, forward: Callable[..., Any], *rules: Any, zero_where: Any = None, **options: Any) -> Any:
    """Declare NumPy's own function as `primitive` does, with its rules. Without any, its derivative counts as zero."""
    call = primitive(**{"numpy": [own], **options})(described(forward, own))
    call.vjp(*(rules or [None] * len(call.operation.arguments)), zero_where=zero_where)
    return call
