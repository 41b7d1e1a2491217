"""The record of one operation, and the closures that users call: the only hot code there is."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature, signature
from typing import Any, Protocol, cast

import numpy as np

from . import errors
from .node import Node, new, record, recording
from .node import count as next_number
from .tensors import NUMPY_FUNCTIONS, Tensor, as_array, make

OPERATIONS: dict[str, Operation] = {}
COMPOSITES: dict[str, Callable[..., Any]] = {}
_NUMBERS = frozenset({int, float, bool, complex, np.ndarray, np.float64, np.float32, np.bool_})


class Differentiable(Protocol):
    """What declaring an operation returns: the function to call, and where its rules go.

    `kernel` is the operation as rules use it: arrays in, an array out; a Tensor in, a Tensor out.
    """

    __name__: str
    operation: Operation

    def __call__(self, *args: Any, **parameters: Any) -> Tensor:
        """Return the operation's result, recorded if an input requires grad."""

    def vjp(self, *rules: Any, into: Any = None, pointwise: bool = ...) -> Any:
        """Attach one rule per input, None where there is no derivative; return the first."""

    def kernel(self, *args: Any, **parameters: Any) -> Any:
        """Return the result as rules need it: of the kind that the inputs are."""


class Rule:
    """One derivative rule: `pull(g, saved)` returns the cotangent of `argument`.

    `reads` are the names in the rule's parameter list, which decide what a node keeps.
    `pointwise` rules are `g` times a local derivative that reads arrays; the engine makes them
    zero-safe. `into(buffer, g, saved)`, where there is one, adds the cotangent into a buffer.
    """

    __slots__ = ("argument", "into", "pointwise", "pull", "reads")

    def __init__(self, function: Callable[..., Any], argument: str, layout: tuple[str, ...], pointwise: bool):
        self.argument = argument
        self.reads = tuple(n for n in _parameters(function) if n not in ("g", "index_of_input"))
        unknown = set(self.reads) - set(layout)
        if unknown:
            raise TypeError(f"a rule reads {sorted(unknown)}, but it may only read g, {', '.join(layout)}")
        self.pull = _reading(function, [layout.index(n) for n in self.reads])
        self.pointwise = pointwise and bool(self.reads)
        self.into: Callable[..., None] | None = None


def _parameters(function: Any) -> tuple[str, ...]:
    code = function.__code__
    return tuple(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _reading(rule: Callable[..., Any], places: list[int]) -> Callable[[Any, Any], Any]:
    """Return the rule as a function of the cotangent and of all that its node kept."""
    match places:
        case []:
            return lambda g, saved: rule(g)
        case [i]:
            return lambda g, saved: rule(g, saved[i])
        case [i, j]:
            return lambda g, saved: rule(g, saved[i], saved[j])
    return lambda g, saved: rule(g, *[saved[i] for i in places])


def _adding(into: Callable[..., None], layout: tuple[str, ...]) -> Callable[[Any, Any, Any], None]:
    places = [layout.index(name) for name in _parameters(into)[2:]]
    return lambda buffer, g, saved: into(buffer, g, *[saved[i] for i in places])


def _same_source(a: Any, b: Any) -> bool:
    """Return whether both were written at the same place, as when a notebook cell runs again."""
    places = [(getattr(f, "__module__", f), getattr(f, "__qualname__", f)) for f in (a, b)]
    return places[0] == places[1]


class _RuleForEach:
    """The rule of an operation on any number of inputs: it is told which one by `index_of_input`."""

    def __init__(self, function: Callable[..., Any], layout: tuple[str, ...]) -> None:
        self.function, self.layout, self.made = function, layout, list[Rule]()
        self.reads = self._rule(0).reads

    def _rule(self, index: int) -> Rule:
        def told(g: Any, *values: Any) -> Any:
            return self.function(g, index, *values)

        rule = Rule(self.function, f"input {index}", self.layout, pointwise=False)
        rule.pull = _reading(told, [self.layout.index(n) for n in rule.reads])
        return rule

    def __iter__(self) -> Iterator[Rule]:
        for index in itertools.count():
            if index == len(self.made):
                self.made.append(self._rule(index))
            yield self.made[index]


class Operation:
    """One operation: its forward on raw arrays, its rules, and everything derived from them.

    `layout` names what a node can keep, in order: the inputs, the output `y`, the inputs' shapes,
    `wanted` (which inputs require grad), and the parameters.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        arguments: tuple[str, ...],
        defaults: Mapping[str, Any],
        *,
        optional: int = 0,
        variadic: bool = False,
        pointwise: bool = False,
        masks: bool = False,
        normalise: Mapping[str, Callable[[Any, Any], Any]] | None = None,
        samples: Iterable[Any] = (),
        kinks: Mapping[Any, Any] | None = None,
    ) -> None:
        self.name, self.forward, self.arguments = name, forward, arguments
        self.defaults, self.variadic, self.pointwise = dict(defaults), variadic, pointwise
        self.domain, self.masks = (-2.0, 2.0), masks
        self.normalise, self.samples, self.kinks = dict(normalise or {}), tuple(samples), dict(kinks or {})
        shapes = (f"{arguments[0]}_shapes",) if variadic else tuple(f"{a}_shape" for a in arguments)
        self.layout = (*arguments, "y", *shapes, "wanted", *self.defaults)
        self.rules: Any = ()
        self.required = len(arguments) - optional
        self.has_defaults = Parameter.empty not in self.defaults.values()
        given: dict[str, Any] = dict.fromkeys(arguments[: self.required], Parameter.empty)
        given |= dict.fromkeys(arguments[self.required :], None) | self.defaults
        kind = Parameter.POSITIONAL_OR_KEYWORD
        self.signature = Signature([Parameter(n, kind, default=default) for n, default in given.items()])
        self.constant_places: tuple[int, ...] = ()
        self._kept: dict[Any, tuple[tuple[bool, ...], bool]] = {}
        known = OPERATIONS.get(name)
        if known is not None and not _same_source(known.forward, forward):
            raise ValueError(f"an operation named {name!r} is declared already; choose another name")
        OPERATIONS[name] = self

    @property
    def differentiable(self) -> bool:
        """True if any input has a rule."""
        return any(rule is not None for rule in itertools.islice(self.rules, len(self.arguments)))

    def set_rules(self, rules: tuple[Callable[..., Any] | None, ...], pointwise: bool) -> None:
        """Attach one rule per input, or one for all inputs of a variadic operation."""
        if self.variadic:
            self.rules = _RuleForEach(cast(Any, rules[0]), self.layout)
            return
        if len(rules) != len(self.arguments):
            raise TypeError(f"{self.name} has inputs {self.arguments}; give one rule for each, or None")
        self.rules = tuple(
            None if rule is None else Rule(rule, argument, self.layout, pointwise)
            for argument, rule in zip(self.arguments, rules, strict=True)
        )
        self.constant_places = tuple(place for place, rule in enumerate(rules) if rule is None)

    def keeps(self, wanted: tuple[bool, ...]) -> tuple[tuple[bool, ...], bool]:
        """Return, for each place in `layout`, whether the wanted inputs' rules read it, and whether any
        of the places after the output is read.
        """
        key = any(wanted) if self.variadic else wanted
        if key not in self._kept:
            if self.variadic:
                names = set(self.rules.reads)
            else:
                names = {n for rule, w in zip(self.rules, wanted, strict=True) if w for n in rule.reads}
            keeps = tuple(n in names for n in self.layout)
            self._kept[key] = keeps, any(keeps[len(self.arguments) + 1 :])
        return self._kept[key]

    def lift_saved(self, node: Node, lift: Callable[[Any, Node | None], Any]) -> Iterator[Any]:
        """Yield what the node kept, arrays among its inputs and its output as Tensors."""
        parents, saved = node.parents or (), node.saved or ()
        inputs = len(self.arguments)
        for place, value in enumerate(saved):
            if value is None or place > inputs:
                yield value
            elif place == inputs:
                yield lift(value, node)
            elif self.variadic:
                yield tuple(map(lift, value, parents))
            else:
                yield lift(value, parents[place]) if isinstance(value, (np.ndarray, np.generic)) else value

    def bind(self, args: tuple[Any, ...], parameters: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the inputs, and every parameter by name. Raises TypeError as Python does."""
        n = len(self.arguments)
        if len(args) == n and not parameters and self.has_defaults and not self.variadic:
            return args, self.defaults.copy()
        named = dict(zip(self.defaults, args[n:], strict=False))
        values = {**self.defaults, **named, **parameters}
        regular = len(values) == len(self.defaults) and self.required <= len(args) <= n + len(named)
        if regular and self.has_defaults and named.keys().isdisjoint(parameters):
            inputs = [*args[:n], *[None] * (n - len(args))]
        else:
            bound = self.signature.bind(*args, **parameters)
            bound.apply_defaults()
            everything = list(bound.arguments.values())
            inputs, values = everything[:n], dict(zip(self.defaults, everything[n:], strict=True))
        return list(inputs[0]) if self.variadic else inputs, values

    def run(self, arrays: list[Any], values: dict[str, Any]) -> Any:
        """Return the forward's result; `values` are normalised in place, here and nowhere else."""
        try:
            for name, normal in self.normalise.items():
                values[name] = normal(values[name], arrays)
            return self.forward(arrays, **values) if self.variadic else self.forward(*arrays, **values)
        except Exception as error:
            _failed(error, self.name, arrays)
            raise


def constant(x: Any) -> Any:
    """Return an operand that is not a Tensor as what NumPy should see; Python numbers stay weak."""
    if type(x) in _NUMBERS and (type(x) is not np.ndarray or (x.dtype.kind in "fiub" and x.dtype.isnative)):
        return x
    if x is None or isinstance(x, str):
        raise TypeError(errors.unsupported_values(repr(x)))
    return as_array(x)


def _is_numeric(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray, np.generic, int, float, complex, list, tuple))


def _failed(error: Exception, name: str, inputs: Iterable[Any]) -> None:
    error.add_note(errors.where_in_operation(error, name, inputs))


def _unrecorded(dtype: Any) -> None:
    """Refuse a complex result of inputs that require grad; integers and booleans end the graph."""
    if dtype.kind == "c":
        raise errors.DtypeError(errors.no_gradient_dtype(dtype))


def _call_one(op: Operation) -> Callable[[Any], Tensor]:
    forward = op.forward
    keep_x, keep_y = op.keeps((True,))[0][:2]

    def call(x: Any, /) -> Tensor:
        if type(x) is Tensor:
            data = x._array
            parent = x._node
        else:
            data, parent = constant(x), None
        try:
            y = forward(data)
        except Exception as error:
            _failed(error, op.name, [data])
            raise
        if parent is None or not recording.get():
            return make(y, None)
        if y.dtype.kind != "f":
            _unrecorded(y.dtype)
            return make(y, None)
        saved = (data if keep_x else None, y if keep_y else None)
        return make(y, record(op, (parent,), saved, y))

    return call


def _call_two(op: Operation) -> Callable[[Any, Any], Tensor]:
    forward = op.forward
    first, second, both = [op.keeps(wanted)[0][:3] for wanted in ((True, False), (False, True), (True, True))]
    saves_nothing = not any(both)

    def call(a: Any, b: Any, /) -> Tensor:
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
        try:
            y = forward(x, z)
        except Exception as error:
            _failed(error, op.name, [x, z])
            raise
        t: Tensor = new(Tensor)
        t._array = y
        t.grad = t.name = None
        if (p is None and q is None) or not recording.get():
            t._node = None
            return t
        dtype = y.dtype
        if dtype.kind != "f":
            _unrecorded(dtype)
            t._node = None
            return t
        node = t._node = new(Node)
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
        inputs, values = op.bind(args, parameters)
        return make(op.run([x._array if type(x) is Tensor else constant(x) for x in inputs], values), None)

    return call


def _call_any(op: Operation) -> Callable[..., Tensor]:
    required, alone = op.required, op.variadic

    def call(*args: Any, **parameters: Any) -> Tensor:
        inputs, values = op.bind(args, parameters)
        arrays, parents = [], []
        for x in inputs:
            if type(x) is Tensor:
                arrays.append(x._array)
                parents.append(x._node)
            else:
                arrays.append(x if x is None and len(arrays) >= required else constant(x))
                parents.append(None)
        y = op.run(arrays, values)
        for place in op.constant_places:
            parents[place] = None
        wanted = tuple([p is not None for p in parents])
        if True not in wanted or not recording.get():
            return make(y, None)
        if not op.rules:
            raise errors.GradientError(errors.no_rule(op.name))
        if y.dtype.kind != "f":
            _unrecorded(y.dtype)
            return make(y, None)
        keeps, more = op.keeps(wanted)
        everything = [arrays, y] if alone else [*arrays, y]
        if more:
            shapes = [np.shape(a) for a in arrays]
            everything += [shapes, wanted, *values.values()] if alone else [*shapes, wanted, *values.values()]
        saved = tuple([value if keep else None for value, keep in zip(everything, keeps, strict=False)])
        return make(y, record(op, tuple(parents), saved, y))

    return call


def _publish(name: str, call: Any, numpy: Iterable[Any], method: bool, operator: str | None, doc: str | None) -> None:
    """Give a function its name, and let NumPy, the Tensor and its operators find it."""
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc or call.__doc__
    NUMPY_FUNCTIONS.update(dict.fromkeys(numpy, call))
    if method:
        setattr(Tensor, name, call)
    if operator in ("eq", "ne"):
        setattr(Tensor, f"__{operator}__", lambda a, b: call(a, b) if _is_numeric(b) else NotImplemented)
    elif operator is not None:
        setattr(Tensor, f"__{operator}__", call)
        if operator not in ("neg", "pos", "abs", "lt", "le", "gt", "ge", "invert"):
            setattr(Tensor, f"__r{operator}__", lambda self, other: call(other, self))
            setattr(Tensor, f"__i{operator}__", lambda self, other: self._rebind(call(self, other)))


def _finished(call: Any, op: Operation) -> Differentiable:
    """Return the function with its operation, and with the form of it that rules use."""

    def kernel(*args: Any, **parameters: Any) -> Any:
        if any(isinstance(x, Tensor) for x in args):
            return call(*args, **parameters)
        return op.forward(*args, **parameters)

    call.operation, call.kernel = op, kernel
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
    arity = ufunc.nin if is_ufunc else len(_parameters(ufunc))
    name = name or ufunc.__name__
    arguments = ("x",) if arity == 1 else ("a", "b")
    op = Operation(name, ufunc, arguments, {}, pointwise=True, masks=masks, kinks=kinks)
    op.domain = domain
    op.set_rules(rules or (None,) * arity, pointwise=True)
    if not op.differentiable:
        call = _call_plain(op)
    elif any("wanted" in rule.reads for rule in op.rules if rule is not None):
        call = _call_any(op)
    else:
        call = _call_one(op) if arity == 1 else _call_two(op)
    first = next((line for line in (ufunc.__doc__ or "").splitlines() if line and "(" not in line), "")
    doc = f"{first}\n\n    Shapes broadcast: {', '.join(['(...)'] * arity)} -> (...)."
    _publish(name, call, [ufunc] if is_ufunc else numpy, method, operator, doc if is_ufunc else ufunc.__doc__)
    return _finished(call, op)


def primitive(
    *,
    numpy: Iterable[Any] = (),
    method: bool = True,
    operator: str | None = None,
    name: str | None = None,
    variadic: bool = False,
    pointwise: bool = False,
    masks: bool = False,
    samples: Iterable[Any] = (),
    kinks: Mapping[Any, Any] | None = None,
    **normalise: Callable[[Any, Any], Any],
) -> Callable[[Callable[..., Any]], Differentiable]:
    """Declare the decorated function on arrays as an operation; its rules follow by `.vjp`.

    Positional-only parameters are the inputs, the others parameters. A keyword named like one
    of those gives the function `(value, inputs) -> value` that normalises it, once. An operation
    whose output may leave out a nan of its inputs `masks`, which keeps zero cotangents zero.
    """

    def declare(forward: Callable[..., Any]) -> Differentiable:
        parameters = signature(forward).parameters.values()
        arguments = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        optional = sum(p.kind is p.POSITIONAL_ONLY and p.default is None for p in parameters)
        defaults = {p.name: p.default for p in parameters if p.kind is not p.POSITIONAL_ONLY}
        public = name or forward.__name__
        op = Operation(
            public, forward, arguments, defaults, optional=optional, variadic=variadic, pointwise=pointwise,
            masks=masks, normalise=normalise, samples=samples, kinks=kinks,
        )  # fmt: skip
        call: Any = _call_any(op)

        def vjp(*rules: Any, into: Callable[..., None] | None = None, pointwise: bool = pointwise) -> Any:
            op.set_rules(rules, pointwise)
            if into is not None:
                op.rules[0].into = _adding(into, op.layout)
            return rules[0]

        _publish(public, call, numpy, method, operator, forward.__doc__)
        call.vjp = vjp
        return _finished(call, op)

    return declare


def sample(*inputs: Any, **parameters: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return one case for an operation's tests: a tuple stands for drawn values of that shape."""
    return inputs, parameters


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
                _failed(error, public, args)
                raise

        _publish(public, call, numpy, method, operator, None)
        call.samples = tuple(samples)  # type: ignore[attr-defined]
        COMPOSITES[public] = call
        return call

    return declare
