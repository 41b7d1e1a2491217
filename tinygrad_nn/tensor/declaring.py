"""How operations are declared, and the closures that users call: the only hot code there is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any, Protocol, cast

import numpy as np

from .. import errors
from ..engine.arrays import TracedArray, as_array
from ..engine.grad_mode import recording
from ..engine.node import Node, new, record
from ..engine.node import count as next_number
from ..engine.operation import Operation, failed
from ..engine.outputs import item
from ..engine.rules import parameter_names
from ..engine.watching import watcher
from ..engine.zero_safe import idling
from .handle import NUMPY_FUNCTIONS, Tensor, make

_REFLECTED = frozenset(
    [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "divmod",
        "pow",
        "matmul",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
    ]
)
COMPOSITES: dict[str, Callable[..., Any]] = {}
PUBLIC: dict[str, Any] = {}
_NUMBERS = frozenset({int, float, bool, complex, np.ndarray, np.float64, np.float32, np.bool_})


class Differentiable(Protocol):
    """What declaring an operation returns: the function to call, and where its rules go.

    `kernel` is the operation as rules use it: arrays in, an array out; a Tensor in, a Tensor out.
    """

    __name__: str
    operation: Operation

    def __call__(self, *args: Any, **parameters: Any) -> Tensor:
        """Return the operation's result, recorded if an input requires grad."""

    def vjp(self, *rules: Any, into: Any = None, zero_safe: Any = None, idle: Any = None) -> Any:
        """Attach one rule per input, None where there is no derivative; return the first."""

    def jvp(self, *rules: Any) -> None:
        """Attach what pushes each input's tangent `t` in forward mode: optional, and never another formula."""

    def kernel(self, *args: Any, **parameters: Any) -> Any:
        """Return the result as rules need it: of the kind that the inputs are."""


def constant(x: Any) -> Any:
    """Return an operand that is not a Tensor as what NumPy should see; Python numbers stay weak."""
    if type(x) in _NUMBERS and (type(x) is not np.ndarray or (x.dtype.kind in "fiub" and x.dtype.isnative)):
        return x
    if isinstance(x, TracedArray):
        return x
    if x is None or isinstance(x, str):
        raise TypeError(errors.unsupported_values(repr(x)))
    return as_array(x)


def _is_numeric(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray, np.generic, int, float, complex, list, tuple))


def _unrecorded(dtype: Any) -> None:
    """Refuse a complex result of inputs that require grad; integers and booleans end the graph."""
    if dtype.kind == "c":
        raise errors.DtypeError(errors.no_gradient_dtype(dtype))


# An operation's call is a closure built for its arity: a chain of small operations spends most of
# its time here, so what `record` and `make` do is written out where it is hottest.


def _call_one(op: Operation) -> Callable[[Any], Tensor]:
    forward = op.forward
    keep_x, keep_y = op.keeps((True,))[0][:2]

    def call(x: Any, /) -> Tensor:
        mode = recording.get()
        if mode is not True and mode is not False:
            return cast(Tensor, _watch(mode, op, (x,), {}))
        try:
            if type(x) is Tensor:
                data = x._array
                parent = x._node
            else:
                data, parent = constant(x), None
            y = forward(data)
        except Exception as error:
            failed(error, op.name, [x])
            raise
        if parent is None or not mode:
            return make(y, None)
        if y.dtype.kind != "f":
            _unrecorded(y.dtype)
            return make(y, None)
        return make(y, record(op, (parent,), (data if keep_x else None, y if keep_y else None), y))

    return call


def _call_two(op: Operation) -> Callable[[Any, Any], Tensor]:
    forward = op.forward
    first, second, both = [op.keeps(wanted)[0][:3] for wanted in ((True, False), (False, True), (True, True))]
    saves_nothing = not any(both)

    def call(a: Any, b: Any, /) -> Tensor:
        mode = recording.get()
        if mode is not True and mode is not False:
            return cast(Tensor, _watch(mode, op, (a, b), {}))
        try:
            if type(a) is Tensor:
                x = a._array
                p = a._node
            else:
                p = None
                x = a if type(a) is float else constant(a)
            if type(b) is Tensor:
                z = b._array
                q = b._node
            else:
                q = None
                z = b if type(b) is float else constant(b)
            y = forward(x, z)
        except Exception as error:
            failed(error, op.name, [a, b])
            raise
        t: Tensor = new(Tensor)
        t._array = y
        t._grad = t.name = None
        if (p is None and q is None) or not mode:
            t._node = None
            return t
        dtype = y.dtype
        if dtype.kind != "f":
            _unrecorded(dtype)
            t._node = None
            return t
        node = t._node = Node()
        node.operation = op
        node.parents = (p, q)
        if saves_nothing:
            node.saved = ()
        else:
            keep_x, keep_z, keep_y = both if p is not None and q is not None else first if q is None else second
            node.saved = (x if keep_x else None, z if keep_z else None, y if keep_y else None)
        node.shape = y.shape
        node.dtype = dtype
        node.number = next_number()
        node.handle = node.hooks = None
        return t

    return call


def _call_plain(op: Operation) -> Callable[..., Tensor]:
    def call(*args: Any, **parameters: Any) -> Tensor:
        mode = recording.get()
        if mode is not True and mode is not False:
            return cast(Tensor, _watch(mode, op, args, parameters))
        try:
            inputs, values = op.bind(args, parameters)
            return make(op.run([x._array if type(x) is Tensor else constant(x) for x in inputs], values), None)
        except Exception as error:
            failed(error, op.name, args)
            raise

    return call


def _operands(op: Operation, inputs: Iterable[Any]) -> tuple[list[Any], list[Node | None]]:
    """Return the inputs' arrays, and the nodes of those that a gradient can go back to."""
    arrays: list[Any] = []
    parents: list[Node | None] = []
    for x in inputs:
        if type(x) is Tensor:
            arrays.append(x._array)
            parents.append(x._node)
        else:
            arrays.append(x if x is None and len(arrays) >= op.required else constant(x))
            parents.append(None)
    for place in op.constant_places:
        parents[place] = None
    return arrays, parents


def _saved(op: Operation, arrays: list[Any], y: Any, values: Mapping[str, Any], wanted: tuple[bool, ...]) -> Any:
    """Return what the wanted inputs' rules read, and None in the other places of the layout."""
    if not op.rules:
        raise errors.GradientError(errors.no_rule(op.name))
    keeps, more = op.keeps(wanted)
    everything = [arrays, y] if op.variadic else [*arrays, y]
    if more:
        shapes = [a.shape if type(a) is np.ndarray else np.shape(a) for a in arrays]
        everything += [shapes] if op.variadic else shapes
        everything += [wanted, *values.values()]
    return tuple([value if keep else None for value, keep in zip(everything, keeps)])


def _call_any(op: Operation) -> Callable[..., Tensor]:
    def call(*args: Any, **parameters: Any) -> Tensor:
        mode = recording.get()
        if mode is not True and mode is not False:
            return cast(Tensor, _watch(mode, op, args, parameters))
        try:
            inputs, values = op.bind(args, parameters)
            arrays, parents = _operands(op, inputs)
            y = op.run(arrays, values)
        except Exception as error:
            failed(error, op.name, args)
            raise
        return make(y, _recorded(op, mode, arrays, parents, values, y))

    return call


def _call_several(op: Operation) -> Callable[..., tuple[Tensor, ...]]:
    """Return the call of an operation with several outputs: one node for all, and an item node for each."""

    def call(*args: Any, **parameters: Any) -> tuple[Tensor, ...]:
        mode = recording.get()
        if mode is not True and mode is not False:
            return cast(tuple[Tensor, ...], _watch(mode, op, args, parameters))
        try:
            inputs, values = op.bind(args, parameters)
            arrays, parents = _operands(op, inputs)
            ys = op.run(arrays, values)
        except Exception as error:
            failed(error, op.name, args)
            raise
        return _outputs(ys, _recorded(op, mode, arrays, parents, values, ys))

    return call


def _recorded(op: Operation, mode: Any, arrays: Any, parents: list[Node | None], values: Any, y: Any) -> Node | None:
    """Return the node of what an operation computed, None if no gradient can go back."""
    wanted = tuple([p is not None for p in parents])
    if True not in wanted or not mode:
        return None
    if op.several:
        if not y:
            return None
        whole = record(op, tuple(parents), _saved(op, arrays, y, values, wanted), y[0])
        whole.shape = tuple([part.shape for part in y])
        return whole
    saved = _saved(op, arrays, y, values, wanted)
    if y.dtype.kind != "f":
        _unrecorded(y.dtype)
        return None
    return record(op, tuple(parents), saved, y)


def _outputs(ys: Any, whole: Node | None) -> tuple[Tensor, ...]:
    """Return the outputs as NumPy does: in a tuple, or with names, such as `.eigenvalues`."""
    nodes = [item(whole, i, y) if whole is not None and y.dtype.kind == "f" else None for i, y in enumerate(ys)]
    tensors = [make(y, node) for y, node in zip(ys, nodes, strict=True)]
    return cast(Any, type(ys))(*tensors) if hasattr(ys, "_fields") else tuple(tensors)


def _watch(mode: Any, op: Operation, args: Any, parameters: dict[str, Any]) -> Any:
    """Return an operation's result while somebody watches, who is asked for operands and result."""
    try:
        inputs, values = op.bind(args, parameters)
        arrays, parents = _operands(op, [mode.operand(x) for x in inputs])
        y = mode.forward(op, arrays, values)
    except Exception as error:
        failed(error, op.name, args)
        raise
    if not op.differentiable:
        parents = [None] * len(parents)
    node = _recorded(op, mode, arrays, parents, values, y)
    mode.recorded(op, arrays, values, node, y)
    return _outputs(y, node) if op.several else make(y, node)


def _publish(
    name: str, call: Any, numpy: Iterable[Any], method: bool, operator: str | None, doc: str | None, public: bool = True
) -> None:
    """Give a function its name, and let `tg`, NumPy, the Tensor and its operators find it."""
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc or call.__doc__
    if method and name in vars(Tensor) and getattr(getattr(Tensor, name), "__qualname__", None) != name:
        raise ValueError(f"Tensor.{name} means something else already; pass method=False, or another name")
    for function in numpy:
        if NUMPY_FUNCTIONS.setdefault(function, call).__name__ == name:
            NUMPY_FUNCTIONS[function] = call
    if public:
        PUBLIC[name] = call
    if method:
        setattr(Tensor, name, call)
    if operator in ("eq", "ne"):
        setattr(Tensor, f"__{operator}__", lambda a, b: call(a, b) if _is_numeric(b) else NotImplemented)
    elif operator is not None:
        setattr(Tensor, f"__{operator}__", call)
        if operator in _REFLECTED:
            setattr(Tensor, f"__r{operator}__", lambda self, other: call(other, self))
        if operator in _REFLECTED - {"divmod"}:
            setattr(Tensor, f"__i{operator}__", lambda self, other: self._rebind(call(self, other)))


def _finished(call: Any, op: Operation) -> Differentiable:
    """Return the function with its operation, and with the form of it that rules use."""

    def kernel(*args: Any, **parameters: Any) -> Any:
        if any(isinstance(x, Tensor) for x in args):
            return call(*args, **parameters)
        watching = watcher()
        if watching is not None:
            inputs, values = op.bind(args, parameters)
            return watching.forward(op, list(inputs), values)
        return op.forward(*args, **parameters)

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
    """Declare an operation on corresponding entries; one rule per operand, or none at all.

    `domain` is where its tests draw operands; `kinks` maps operands to the subgradients there. An
    operation whose output may leave out a nan of its operands `masks`.
    """
    is_ufunc = isinstance(ufunc, np.ufunc)
    arity = ufunc.nin if is_ufunc else len(parameter_names(ufunc))
    name = name or ufunc.__name__
    arguments = ("x",) if arity == 1 else ("a", "b")
    op = Operation(name, ufunc, arguments, {}, pointwise=True, masks=masks, domain=domain, kinks=kinks)
    op.set_rules(rules or (None,) * arity)
    if not op.differentiable:
        call = _call_plain(op)
    elif any(rule is None or set(rule.reads) - {*arguments, "y"} for rule in op.rules):
        call = _call_any(op)
    else:
        call = _call_one(op) if arity == 1 else _call_two(op)
    known = [ufunc] if is_ufunc else list(numpy)
    text = next((f.__doc__ or "" for f in known), "")
    first = next((line.strip() for line in text.splitlines() if line and "(" not in line), "")
    doc = f"{first}\n\n    Shapes broadcast: {', '.join(['(...)'] * arity)} -> (...)."
    _publish(name, call, known, method, operator, doc if is_ufunc else ufunc.__doc__ or doc)
    return _finished(call, op)


def primitive(
    *,
    numpy: Iterable[Any] = (),
    method: bool = True,
    operator: str | None = None,
    name: str | None = None,
    variadic: bool = False,
    several: bool = False,
    linear: bool = False,
    pointwise: bool = False,
    masks: bool = False,
    domain: tuple[float, float] = (-2.0, 2.0),
    samples: Iterable[Any] = (),
    kinks: Mapping[Any, Any] | None = None,
    **normalise: Callable[[Any, Any], Any],
) -> Callable[[Callable[..., Any]], Differentiable]:
    """Declare the decorated function on arrays as an operation; its rules follow by `.vjp`.

    Positional-only parameters are the inputs, the others parameters. A keyword named like one
    of those gives the function `(value, inputs) -> value` that normalises it, once. A `variadic`
    operation takes a sequence of inputs, one with `several` outputs returns a tuple; its rules get
    their cotangents as a tuple. An operation whose output may leave out a nan of its inputs `masks`.
    One that is `linear` in all its inputs together pushes tangents by itself; others may say by `jvp`
    what pushes each input's tangent `t`, or else their rules are transposed.

    `vjp(rule, ...)` may say how a zero cotangent stays zero where the rule multiplies it with inf or
    nan: by `zero_safe=sum_of_products`, or by `idle`, a function like a rule that tells where all
    the cotangents that an entry depends on are zero. `into` adds into a cotangent, in place.
    """

    def declare(forward: Callable[..., Any]) -> Differentiable:
        parameters = signature(forward).parameters.values()
        arguments = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        optional = sum(p.kind is p.POSITIONAL_ONLY and p.default is None for p in parameters)
        defaults = {p.name: p.default for p in parameters if p.kind is not p.POSITIONAL_ONLY}
        public = name or forward.__name__
        op = Operation(
            public, forward, arguments, defaults, optional=optional, variadic=variadic, several=several,
            linear=linear, pointwise=pointwise, masks=masks, domain=domain, normalise=normalise,
            samples=samples, kinks=kinks,
        )  # fmt: skip
        call: Any = _call_several(op) if several else _call_any(op)

        def vjp(*rules: Any, into: Any = None, zero_safe: Any = None, idle: Any = None) -> Any:
            op.set_rules(rules, zero_safe if idle is None else idling(idle, op.layout))
            if into is not None:
                op.rules[0].add_by(into, op.layout)
            return rules[0]

        _publish(public, call, numpy, method, operator, forward.__doc__, not forward.__name__.startswith("_"))
        call.vjp, call.jvp = vjp, lambda *rules: op.set_tangent_rules(rules)
        return _finished(call, op)

    return declare


def composite(
    *,
    numpy: Iterable[Any] = (),
    method: bool = True,
    operator: str | None = None,
    name: str | None = None,
    samples: Iterable[Any] = (),
) -> Callable[[Callable[..., Any]], Any]:
    """Publish the decorated function, a composition of operations that needs no rule of its own."""

    def declare(function: Any) -> Any:
        public = name or function.__name__

        @functools.wraps(function)
        def call(*args: Any, **parameters: Any) -> Any:
            try:
                return function(*args, **parameters)
            except Exception as error:
                failed(error, public, args)
                raise

        _publish(public, call, numpy, method, operator, None, not function.__name__.startswith("_"))
        call.samples = tuple(samples)  # type: ignore[attr-defined]
        call.inputs = max((len(inputs) for inputs, _ in call.samples), default=1)  # type: ignore[attr-defined]
        COMPOSITES[public] = call
        return call

    return declare
