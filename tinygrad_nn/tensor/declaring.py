"""How operations are declared: everything else about them follows from the declaration."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import CO_VARARGS, formatannotation, signature
from typing import Any, Protocol, cast

import numpy as np

from .. import errors
from ..engine.grad_mode import recording
from ..engine.operation import Operation
from ..engine.rules import parameter_names
from ..engine.zero_safe import zero_safe_where
from .calls import call_any, call_one, call_two
from .creation import as_tensor
from .handle import NUMPY_FUNCTIONS, Tensor

_REFLECTED = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift".split()  # noqa: SIM905
_NUMERIC = (Tensor, np.ndarray, np.generic, int, float, complex, list, tuple)
COMPOSITES: dict[str, Callable[..., Any]] = {}
PUBLIC: dict[str, Any] = {}


def sample(*inputs: Any, **parameters: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return one case for an operation's tests; a tuple stands for an array of that shape with random values.

    >>> import tinygrad_nn as tg
    >>> tg.testing.sample((2, 3), axis=0)
    (((2, 3),), {'axis': 0})
    """
    return inputs, parameters


class Differentiable(Protocol):
    """A declared operation: a function to call, to which rules are attached.

    Rules call `kernel`, which returns an array for arrays, and a Tensor if an input is one. Assign the cases that the
    operation's tests try to `samples`.
    """

    __name__: str
    operation: Operation
    samples: Sequence[Any]

    def __call__(self, *args: Any, **parameters: Any) -> Tensor:
        """Return the operation's result, recorded if an input requires grad."""

    def vjp(self, *rules: Any, into: Any = None, zero_safe: Any = None, zero_where: Any = None) -> Any:
        """Attach one rule per input, None where there is no derivative; return the first."""

    def jvp(self, *rules: Any) -> None:
        """Attach one rule per input, which pushes its tangent `t` in forward mode. Optional: `vjp` implies it."""

    def kernel(self, *args: Any, **parameters: Any) -> Any:
        """Return the result as rules need it: an array for arrays, a Tensor if an input is one."""


def _publish(
    name: str, call: Any, numpy: Iterable[Any], method: bool, operator: str | None, doc: str | None, public: bool = True
) -> None:
    """Name a function, and register it for `tg`, NumPy's protocols, the Tensor and its operators."""
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc or call.__doc__
    if method and hasattr(Tensor, name) and getattr(getattr(Tensor, name), "__qualname__", None) != name:
        raise ValueError(f"Tensor.{name} means something else already; pass method=False, or another name")
    for function in numpy:
        if NUMPY_FUNCTIONS.setdefault(function, call).__name__ == name:
            NUMPY_FUNCTIONS[function] = call
    if public:
        PUBLIC[name] = call
    if method:
        setattr(Tensor, name, call)
    if operator in ("eq", "ne"):
        setattr(Tensor, f"__{operator}__", lambda a, b: call(a, b) if isinstance(b, _NUMERIC) else NotImplemented)
    elif operator is not None:
        setattr(Tensor, f"__{operator}__", call)
        if operator in _REFLECTED:
            setattr(Tensor, f"__r{operator}__", lambda self, other: call(other, self))
        if operator in _REFLECTED and operator != "divmod":
            setattr(Tensor, f"__i{operator}__", lambda self, other: self._rebind(call(self, other)))


def _finished(call: Any, op: Operation) -> Differentiable:
    """Return the function with its operation, and with the kernel that rules use."""

    def kernel(*args: Any, **parameters: Any) -> Any:
        for x in args:
            if type(x) is Tensor:
                return call(*args, **parameters)
        if (watching := recording.get()) is True or watching is False:
            return op.forward(*args, **parameters)
        inputs, values = op.bind(args, parameters)
        return watching.forward(op, list(inputs), values)

    call.operation, call.inputs, call.__signature__ = op, len(op.arguments), op.signature
    call.kernel = op.kernel = kernel
    return cast(Differentiable, call)


def elementwise(
    ufunc: Any,
    *rules: Callable[..., Any] | None,
    name: str | None = None,
    numpy: Iterable[Any] = (),
    operator: str | None = None,
    method: bool = True,
    masks: bool = False,
    domain: tuple[float, float] = (-2.0, 2.0),
    kinks: Mapping[Any, Any] | None = None,
) -> Differentiable:
    """Declare an operation that works entry by entry, with one rule per operand, or none at all.

    Its tests draw operands from the interval `domain`; `kinks` maps operands to the subgradients there. Pass
    `masks=True` if the output may leave out a nan of an operand.
    """
    is_ufunc = isinstance(ufunc, np.ufunc)
    arity = ufunc.nin if is_ufunc else len(parameter_names(ufunc))
    name = name or ufunc.__name__
    arguments = ("x",) if arity == 1 else tuple("abcdefgh"[:arity])
    op = Operation(name, ufunc, arguments, {}, pointwise=True, masks=masks)
    op.domain, op.kinks = domain, kinks or {}
    op.set_rules(rules or (None,) * arity)
    if arity > 2 or any(rule is None or set(rule.reads) - {*arguments, "y"} for rule in op.rules):
        call = call_any(op)
    else:
        call = call_one(op) if arity == 1 else call_two(op)
    known = [ufunc] if is_ufunc else list(numpy)
    doc = f"Return {name}({', '.join(arguments)}).\n\nShapes broadcast: {', '.join(['(...)'] * arity)} -> (...)."
    _publish(name, call, known, method, operator, doc if is_ufunc else ufunc.__doc__ or doc)
    return _finished(call, op)


def primitive(
    *,
    numpy: Iterable[Any] = (),
    method: bool = True,
    operator: str | None = None,
    name: str | None = None,
    variadic: bool = False,
    multiple_outputs: bool = False,
    linear: bool = False,
    pointwise: bool = False,
    masks: bool = False,
    domain: tuple[float, float] = (-2.0, 2.0),
    kinks: Mapping[Any, Any] | None = None,
    **normalise: Callable[[Any, Any], Any],
) -> Callable[[Callable[..., Any]], Differentiable]:
    """Declare the decorated function on arrays as an operation; attach its rules with `.vjp`.

    Positional-only parameters are the inputs, all others are parameters. A keyword with the name of a parameter gives
    the function `(value, inputs) -> value` that normalises it, once. A `variadic` operation takes a sequence of inputs.
    One with `multiple_outputs` returns a tuple, and its rules get the cotangents as a tuple. Pass `masks=True` if the
    output may leave out a nan of an input. Pass `linear=True` if the operation is linear in all its inputs together: it
    pushes tangents itself. For others, `.jvp` may attach a rule per input that pushes its tangent `t`; else the `vjp`
    rules are transposed.

    `vjp(rule, ...)` may say how a zero cotangent stays zero where the rule multiplies it by inf or nan. Pass
    `zero_safe=sum_of_products` if the rule adds up products of `g` and all the floating arrays that it reads; or pass
    `zero_where`, a function with parameters like a rule's that returns where all the cotangents that an entry depends
    on are zero. `into` adds into an existing cotangent in place.
    """

    def declare(forward: Callable[..., Any]) -> Differentiable:
        parameters = signature(forward).parameters.values()
        arguments = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        optional = sum(p.kind is p.POSITIONAL_ONLY and p.default is None for p in parameters)
        defaults = {p.name: p.default for p in parameters if p.kind is not p.POSITIONAL_ONLY}
        public = name or forward.__name__
        op = Operation(
            public, forward, arguments, defaults, optional=optional, variadic=variadic,
            multiple_outputs=multiple_outputs, linear=linear, pointwise=pointwise, masks=masks, normalise=normalise,
        )  # fmt: skip
        op.domain, op.kinks = domain, kinks or {}
        call: Any = call_any(op)

        def vjp(*rules: Any, into: Any = None, zero_safe: Any = None, zero_where: Any = None) -> Any:
            op.set_rules(rules, zero_safe if zero_where is None else zero_safe_where(zero_where, op.slots))
            if into is not None:
                op.rules[0].add_by(into, op.slots)
            return rules[0]

        _publish(public, call, numpy, method, operator, forward.__doc__, not forward.__name__.startswith("_"))
        call.vjp, call.jvp = vjp, lambda *rules: op.set_tangent_rules(rules)
        return _finished(call, op)

    return declare


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Tensor": as_tensor,
    "Tensor | None": lambda x: None if x is None else as_tensor(x),
    "Sequence[Tensor]": lambda xs: [as_tensor(x) for x in xs],
}


def _inputs(function: Any) -> tuple[list[tuple[int, str, Callable[[Any], Any]]], int]:
    """Return how to convert inputs, by their types, and how many are positional, whatever NumPy calls them."""
    names, types = parameter_names(function), function.__annotations__.items()  # as text: evaluating them takes 6 ms
    kinds = {n: re.sub(r"\w+\.|'", "", formatannotation(k)) for n, k in types if "Tensor" in str(k)}
    found = [(i, n, _CONVERSIONS[kinds[n]]) for i, n in enumerate(names) if kinds.get(n) in _CONVERSIONS]
    last = max([i for i, n in enumerate(names) if "Tensor" in kinds.get(n, "")], default=0)
    return found, sys.maxsize if function.__code__.co_flags & CO_VARARGS else last + 1


def composite(
    *, numpy: Iterable[Any] = (), method: bool = True, operator: str | None = None, name: str | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """Publish the decorated function, a composition of operations that needs no rule of its own.

    Arguments for parameters of type `Tensor`, `Tensor | None` and `Sequence[Tensor]` are converted to Tensors. Those
    for `Tensor | float` are passed as they are, so that numbers stay weak.
    """

    def declare(function: Any) -> Any:
        public = name or function.__name__
        conversions, inputs = _inputs(function)

        @functools.wraps(function)
        def call(*args: Any, **parameters: Any) -> Any:
            try:
                for index, argument, convert in conversions:
                    if argument in parameters:
                        parameters[argument] = convert(parameters[argument])
                    elif index < len(args) and type(args[index]) is not Tensor:
                        args = (*args[:index], convert(args[index]), *args[index + 1 :])
                return function(*args, **parameters)
            except Exception as error:
                errors.failed(error, public, args)
                raise

        _publish(public, call, numpy, method, operator, None, not function.__name__.startswith("_"))
        call.inputs = inputs  # type: ignore[attr-defined]
        COMPOSITES[public] = call
        return call

    return declare
