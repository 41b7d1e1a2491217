"""Running a function once on stand-ins, so that all it computes becomes the lines of a program."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ...engine.arrays import ArrayProxy, raw
from ...engine.cotangents import Cotangents
from ...engine.grad_mode import recording
from ...engine.operation import Operation
from ...engine.watching import Watcher, watched
from ...errors import CompileError
from ...tensor.handle import Tensor, make
from ..numpy_calls import GETITEM, GUARD, SHAPE
from ..program import Function, Line, Span, Value, concrete, mapped, over_leaves, values_in
from ..refusals import constant_written, hook_in_trace, recorded_outside, value_read
from .proxies import Buffer, Number, Traced, in_package, users_line


@dataclass(eq=False)
class Handle:
    """A tensor that the function read or rebound, and what it was before.

    What stands for an argument has a `place` among the arguments; `lasts` is whether somebody besides
    the trace holds the tensor.
    """

    tensor: Tensor
    array: Any
    node: Any
    gradient: Tensor | None
    place: int | None = None
    stand_in: Traced | None = None
    gradients_stand_in: Traced | None = None
    reads_gradient: bool = False
    sets_gradient: bool = False
    rebound: bool = False

    @property
    def rebinds(self) -> bool:
        """Whether the function gave the tensor another array; another thread may do so meanwhile."""
        return self.rebound or isinstance(self.tensor._array, ArrayProxy)

    @property
    def owner(self) -> Any:
        """The tensor, or the place of the argument that it stands for."""
        return self.tensor if self.place is None else self.place

    @property
    def lasts(self) -> bool:
        """Whether somebody besides the trace holds the tensor."""
        sources = (self.stand_in is not None) + (self.gradients_stand_in is not None)
        return sys.getrefcount(self.tensor) > _ONE_HOLDER + sources

    def restore(self) -> None:
        """Give the tensor back what it was."""
        if self.rebinds:
            self.tensor._array = self.array
        if self.sets_gradient:
            self.tensor._grad = self.gradient
        self.tensor._node = self.node


@dataclass(eq=False)
class Source:
    """Where an input of the program is found at each replay, and what stood for it when it was traced.

    An "argument" has its place among the arguments as `key`. The "array" or the "gradient" is that of a
    tensor, the `owner`, or of the argument in that place. A "hyperparameter" and a "state" are an optimiser's.
    """

    value: Value
    kind: str
    owner: Any = None
    key: Any = None
    stand_in: Any = None


@dataclass(eq=False)
class Target:
    """Where an output of the program goes after each replay."""

    value: Any
    kind: str
    owner: Any = None
    key: Any = None


@dataclass
class Progress:
    """Whether the function still runs, whether something invalid was computed, as 0 * inf is, and what was refused.

    `span` is the run of an operation that lines belong to now.
    """

    open: bool = True
    singular: bool = False
    refusal: CompileError | None = None
    span: Span | None = None


@dataclass(eq=False)
class Pass:
    """One backward pass: the numbers of its first line and of the one after its last, and its seeds by their roots.

    `adjoints` are pairs: an adjoint, and the value of which it is one.
    """

    start: int
    stop: int
    roots: dict[Value, Value]
    adjoints: list[tuple[Value, Value]] = field(default_factory=list)


class Tracer(Watcher):
    """Who turns what is computed into lines, while a function runs on stand-ins for arrays and numbers."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.sources: list[Source] = []
        self.constants: dict[int, tuple[np.ndarray, Value]] = {}
        self.handles: dict[int, Handle] = {}
        self.viewed: set[Value] = set()
        self.numbers: dict[Any, Number] = {}
        self.states: dict[int, tuple[Any, Any, list[dict[str, Any]]]] = {}
        self.settings: dict[int, tuple[Any, dict[str, Any]]] = {}
        self.answered: set[tuple[Value, Any]] = set()
        self.of_node: dict[Any, Value] = {}
        self.operations: dict[Value, str] = {}
        self.passes: list[Pass] = []
        self.detached: list[tuple[Value, Value]] = []
        self.progress = Progress()

    # What the function computes.

    def call(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a call on stand-ins, note it as a line, and return stand-ins for its result."""
        if not self.progress.open:
            raise CompileError(
                f"an array of a program that was traced is used again at {users_line()}: what a compiled step keeps in "
                "a list or an attribute is not an array; return it from the step instead"
            )
        kwargs = {name: x for name, x in kwargs.items() if x is not np._NoValue}
        weak = function.form in ("ufunc", "operator", "where", "guard", "astype")
        args, kwargs = _unwrapped(args, self, weak), _unwrapped(kwargs, self, weak)
        with np.errstate(invalid="call", divide="ignore", over="ignore", call=self._alarmed):
            result = function.apply(*mapped(concrete, args), **mapped(concrete, kwargs))
        several = isinstance(result, (tuple, list))
        parts = result if several else [result]
        if not all(isinstance(part, (np.ndarray, np.generic, int, float)) for part in parts):
            raise CompileError(
                f"{function.text} at {users_line()} returns something that is no array; compute it outside the "
                "compiled function"
            )
        line = Line(function, args, kwargs, (), users_line(), several, self.progress.span)
        reads = list(line.reads())
        made = []
        for part in parts:
            same = next((v for v in reads if v.concrete is part and isinstance(part, np.ndarray)), None)
            base = same or self._viewed_by(part, reads)
            if base is not None:
                self.viewed.add(base.root)
            made.append(Value(part, base=base))
            made[-1].fleeting = True
            made[-1].known |= bool(reads) and not isinstance(part, np.ndarray) and all(v.known for v in reads)
        line.outputs = tuple(made)
        self.lines.append(line)
        if _has_a_shape_of_its_own(line):
            self._guard_shapes(made)
        stand_ins = [self.stand_in(v) for v in made]
        if not several:
            return stand_ins[0]
        return type(result)(*stand_ins) if hasattr(result, "_fields") else type(result)(stand_ins)

    def _guard_shapes(self, made: list[Value]) -> None:
        """Let the program be for arrays of these shapes alone."""
        for value in made:
            if value.shape:
                shape = Value(value.shape)
                self.lines.append(Line(SHAPE, (value,), {}, (shape,), users_line()))
                self._guard(shape, value.shape)

    def refusal(self, reason: str) -> CompileError:
        """Return the error to raise, and remember it: NumPy, or the function, may catch it."""
        self.progress.refusal = CompileError(reason)
        return self.progress.refusal

    def _alarmed(self, kind: str, flag: int) -> None:
        self.progress.singular = True

    def stand_in(self, value: Value) -> Any:
        """Return what stands for a value: an array, or a number of Python's."""
        return Number(self, value) if value.dtype is None else Traced(self, value)

    def _viewed_by(self, part: Any, reads: list[Value]) -> Value | None:
        if not isinstance(part, np.ndarray) or part.flags.owndata:
            return None
        return next((v for v in reads if v.is_array and np.may_share_memory(v.concrete, part)), None)

    def constant(self, array: np.ndarray) -> Value:
        """Return the value of an array that is not traced: as it is now, whatever is written into it later.

        Raises CompileError if it was written into since it was read: the function may have read that, too.
        """
        if id(array) not in self.constants:
            frozen = array.flags.owndata and not array.flags.writeable
            self.constants[id(array)] = array, Value(array if frozen else _snapshot(array))
        value = self.constants[id(array)][1]
        floats = array.dtype.kind in "fcmM"
        if array.dtype.kind != "O" and not np.array_equal(array, value.concrete, equal_nan=floats):
            raise CompileError(constant_written(users_line()))
        return value

    def assumed(self, value: Value) -> bool:
        """Let the program stop where a truth that the library relied on does not hold, and return it."""
        truth = bool(value.concrete)
        self._guard(value, truth)
        return truth

    def guarded(self, value: Value, answer: Any) -> Any:
        """Let the program be for this answer about a number alone, and return it."""
        self._guard(value, answer)
        return answer

    def _guard(self, value: Value, answer: Any) -> None:
        if (value, answer) not in self.answered:
            self.answered.add((value, answer))
            self.lines.append(Line(GUARD, (value, answer), {}, (), users_line()))

    # What the library asks its watcher.

    def operand(self, x: Any) -> Any:
        """Return what stands for an operand."""
        if not isinstance(x, Tensor):
            return x
        array = self.array(x)
        if array is x._array:
            return x
        twin = make(array, x._node)
        twin.name = x.name
        return twin

    def forward(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Return what an operation computes, line by line or as one line of its own."""
        refused, outer = self.progress.refusal, self.progress.span
        given = {} if operation.variadic else dict(zip(operation.arguments, arrays, strict=True))
        self.progress.span = Span(operation, outer, _names(given | parameters))
        try:
            return operation.run(arrays, parameters)
        except Exception as error:
            if not _is_of_the_trace(error):
                raise
            self.progress.refusal = refused
            return self.opaque(operation, arrays, parameters)
        finally:
            self.progress.span = outer

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        """Note which operation computed what, from what without a way back for gradients, and the node of it."""
        parents = (None,) * len(arrays) if node is None else node.parents
        read = [x for i, x in enumerate(arrays) if parents[i] is None and i not in operation.constant_inputs]
        for part in y if operation.several else (y,):
            if isinstance(part, Traced):
                self.operations.setdefault(part.value, operation.name)
                if operation.differentiable:
                    self.detached += [(part.value, x.value) for x in read if isinstance(x, Traced)]
        if node is not None and isinstance(y, Traced):
            self.of_node[node] = y.value

    def cotangents(self, seeds: Any, lift: Any, create_graph: bool) -> Cotangents:
        """Return cotangents that are noted as they leave; note where the backward pass begins."""
        now = len(self.lines)
        known = {self.of_node[node]: _value(seed) for node, seed in seeds.items() if node in self.of_node}
        roots = {y: x if isinstance(x, Value) else self.constant(np.asarray(x)) for y, x in known.items()}
        self.passes.append(Pass(now, now, roots))
        return _Noted(self, seeds, lift, create_graph)

    def cotangent(self, node: Any, g: Any) -> None:
        """Note which value is the adjoint of which."""
        value = _value(g)
        self.passes[-1].stop = len(self.lines)
        primal = self.of_node.get(node) or _leaf(node)
        if isinstance(value, Value) and primal is not None:
            self.passes[-1].adjoints.append((value, primal))

    def opaque(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Compute an operation that can't be taken apart as one line: a call of its forward."""
        args = (list(arrays),) if operation.variadic else tuple(arrays)
        refused = self.progress.refusal
        try:
            values = operation.normalised(parameters, arrays)
        except CompileError:
            self.progress.refusal = refused
            operation.normalised(_known(parameters), _known(arrays))  # says what is wrong with them, if that is why
            raise
        return self.call(Function(f"op_{operation.name}", operation.forward, "operation"), args, values)

    def into(self, rule: Any, held: Any, g: Any, saved: Any) -> Any:
        """Return a cotangent with what a rule adds into it, line by line or as one line."""
        refused = self.progress.refusal
        total = Buffer(self, held.value if isinstance(held, Traced) else self.constant(np.asarray(held)))
        try:
            rule.into(total, g, saved)
            return Traced(self, total.value)
        except Exception as error:
            if not _is_of_the_trace(error):
                raise
            self.progress.refusal = refused

        def computed(held: Any, *more: Any) -> Any:
            total = np.array(held)
            rule.into_function(total, *more)
            return total

        read = [saved[place] for place in rule.into_slots]
        return self.call(Function("op_add_into", computed, "into", rule.into_function), (held, g, *read), {})

    def array(self, tensor: Any) -> Any:
        """Return what stands for a tensor's array."""
        held = tensor._array
        if isinstance(held, ArrayProxy):
            if isinstance(held, Traced) and tensor.name:
                held.value.name = held.value.name or tensor.name
            return held
        handle = self.handle(tensor)
        if handle.stand_in is None:
            if tensor._node is not None and tensor._node.operation is not None:
                raise CompileError(recorded_outside(users_line()))
            value = Value(np.asarray(held), tensor.name or "")
            self.sources.append(Source(value, "array", handle.owner))
            handle.stand_in = Traced(self, value)
            if tensor._node is not None:
                self.of_node[tensor._node] = value
        return handle.stand_in

    def handle(self, tensor: Any, place: int | None = None) -> Handle:
        """Return what is known of a tensor that the function reads or rebinds."""
        if id(tensor) not in self.handles:
            self.handles[id(tensor)] = Handle(tensor, tensor._array, tensor._node, tensor._grad, place)
        return self.handles[id(tensor)]

    def gradient(self, tensor: Any) -> Any:
        """Return what stands for a tensor's gradient."""
        handle = self.handle(tensor)
        if handle.sets_gradient:
            return tensor._grad
        handle.reads_gradient = True
        if handle.gradient is None:
            return None
        if handle.gradients_stand_in is None:
            value = Value(handle.gradient._array, f"d{tensor.name or ''}")
            self.sources.append(Source(value, "gradient", handle.owner))
            handle.gradients_stand_in = Traced(self, value)
        return make(handle.gradients_stand_in, None)

    def rebinds(self, tensor: Any) -> None:
        """Note what the tensor was, and that its array is now the function's."""
        self.handle(tensor).rebound = True

    def sets_gradient(self, tensor: Any) -> None:
        """Note what the tensor was, and that its gradient is now the function's."""
        self.handle(tensor).sets_gradient = True

    def read(self, tensor: Any, what: str) -> Any:
        """Raise CompileError, unless the library itself asks for one number: the program is then for that number."""
        array = self.array(tensor)
        if array.size != 1 or not in_package(3):
            raise self.refusal(value_read(what, users_line()))
        self.guarded(array.value, array.value.concrete.item())
        return array.value.concrete

    def hyperparameter(self, owner: Any, name: str, value: Any) -> Any:
        """Return what stands for an optimiser's number."""
        if isinstance(value, tuple):
            return tuple([self._number(owner, name, place, x) for place, x in enumerate(value)])
        return self._number(owner, name, None, value)

    def _number(self, owner: Any, name: str, place: int | None, value: float) -> Number:
        key = (id(owner), name, place)
        if key not in self.numbers:
            one = name if place is None else f"{name.removesuffix('s')}{place + 1}"
            self.numbers[key] = Number(self, Value(value, one))
            self.sources.append(Source(self.numbers[key].value, "hyperparameter", owner, (name, place)))
        return self.numbers[key]

    def state(self, owner: Any, state: Any) -> Any:
        """Return what stands for an optimiser's state."""
        if id(owner) not in self.states:
            entries = [
                {name: self._of_state(owner, i, name, x) for name, x in entry.items()} for i, entry in enumerate(state)
            ]
            self.states[id(owner)] = (owner, [dict(entry) for entry in entries], entries)
            self.settings[id(owner)] = owner, _settings(owner)
        return self.states[id(owner)][2]

    def _of_state(self, owner: Any, place: int, name: str, x: Any) -> Any:
        value = Value(x, f"{name}{place + 1}")
        self.sources.append(Source(value, "state", owner, (place, name)))
        return self.stand_in(value)

    @contextmanager
    def running(self) -> Any:
        """Trace what is computed in the body; afterwards every tensor is what it was before."""
        try:
            with watched(self.switched(bool(recording.get()))):
                yield
        finally:
            self.progress.open = False

    def restore(self) -> None:
        """Give every tensor that the function touched back what it was."""
        for handle in self.handles.values():
            handle.restore()


def _settings(owner: Any) -> dict[str, Any]:
    """Return an optimiser's plain attributes that are no hyperparameters: those of a class of the user's."""
    names = {name for kind in type(owner).__mro__ for name in vars(kind) if not name.startswith("__")} | {*vars(owner)}
    names -= owner.hyperparameters().keys()
    plain = {name: getattr(owner, name) for name in sorted(names)}
    return {name: x for name, x in plain.items() if isinstance(x, (int, float, str, type(None)))}


def _value(x: Any) -> Any:
    """Return the value of what is traced, anything else as it is."""
    x = x._array if isinstance(x, Tensor) else x
    return x.value if isinstance(x, (Traced, Number)) else x


def _names(given: dict[str, Any]) -> dict[Value, str]:
    """Return the names of what is traced among these."""
    return {value: name for name, x in given.items() if isinstance(value := _value(x), Value)}


def _leaf(node: Any) -> Value | None:
    """Return the value of a tensor that was made of an argument, by its node."""
    tensor = node.handle() if node.operation is None and node.handle is not None else None
    array = None if tensor is None else tensor._array
    return array.value if isinstance(array, Traced) else None


class _Noted(Cotangents):
    """The cotangents of a backward pass that is traced."""

    def __init__(self, tracer: Tracer, seeds: Any, lift: Any, create_graph: bool) -> None:
        super().__init__(seeds, lift, create_graph)
        self.tracer = tracer

    def leave(self, node: Any) -> Any:
        """Return a node's whole cotangent, having noted which value it is; what follows is the node's first rule."""
        if node in self:
            self.tracer.cotangent(node, self[node])
        g, operation = super().leave(node), node.operation
        kept = dict(zip(operation.slots, node.saved or (), strict=False)) if isinstance(operation, Operation) else {}
        self.names = _names(kept | {"g": g})
        self.begin_rule(node)
        return g

    def begin_rule(self, node: Any) -> None:
        """Let the lines that follow belong to a rule of this node, which `arrive` names, if it has any."""
        span = Span(node.operation, None, self.names, self.tracer.of_node.get(node))
        self.tracer.progress.span = span if isinstance(node.operation, Operation) else None

    def arrive(self, parent: Any, c: Any, node: Any, rule: Any) -> None:
        """Add what a rule has made to the parent's cotangent, outside of that rule; the next one follows."""
        if self.tracer.progress.span is not None:
            self.tracer.progress.span.argument = rule.argument
        self.tracer.progress.span = None
        super().arrive(parent, c, node, rule)
        self.begin_rule(node)

    def hooked(self, node: Any, g: Any) -> Any:
        """Refuse to call a hook with what only stands for a gradient."""
        if isinstance(raw(g), Traced):
            raise CompileError(hook_in_trace(next(iter(node.hooks.values()))))
        return super().hooked(node, g)

    def add_into(self, parent: Any, rule: Any, g: Any, saved: Any) -> None:
        """Let a rule add into a cotangent, which becomes lines of the program."""
        span, self.tracer.progress.span = self.tracer.progress.span, None
        self[parent] = self.tracer.into(rule, self[parent], g, saved)
        self.tracer.progress.span = span


def _is_of_the_trace(error: BaseException) -> bool:
    """Return whether an operation failed because it was given stand-ins."""
    if isinstance(error, AttributeError) and isinstance(error.obj, ArrayProxy):
        return True
    return isinstance(error, CompileError) or isinstance(error.__cause__, CompileError)


def _references_of_one_holder() -> int:
    handle = Handle(Tensor(0.0), None, None, None)
    return sys.getrefcount(handle.tensor)


_ONE_HOLDER = _references_of_one_holder()


def _has_a_shape_of_its_own(line: Line) -> bool:
    """Return whether the shape of what a line computes depends on entries, as that of x[x > 0] does."""
    function = line.function
    if function.text == GETITEM.text:
        return any(v.dtype is not None and v.dtype.kind == "b" for v in values_in(line.args[1]))
    name = function.text.removeprefix("op_").rpartition(".")[2]
    if name in ("repeat", "delete"):
        return any(values_in((line.args[1:], line.kwargs)))
    return name in _SHAPED_BY_ENTRIES


_SHAPED_BY_ENTRIES = frozenset({
    "nonzero", "flatnonzero", "argwhere", "compress", "extract", "bincount", "trim_zeros", "getitem",
    "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values",
    "union1d", "intersect1d", "setdiff1d", "setxor1d",
})  # fmt: skip


def _snapshot(array: np.ndarray) -> np.ndarray:
    """Return a copy that lies in memory as the array does: sums add up in an order that depends on it."""
    low, high = byte_bounds(array)
    if high - low > 2 * array.nbytes or array.dtype.hasobject:
        return array.copy(order="K")
    memory = np.empty(high - low, np.uint8)
    copy = np.ndarray(array.shape, array.dtype, memory, array.ctypes.data - low, array.strides)
    copy[...] = array
    return copy


def _known(tree: Any) -> Any:
    """Return nested arguments with what stand-ins stand for."""
    return over_leaves(lambda x: x.value.concrete if isinstance(x, ArrayProxy) else x, tree)  # type: ignore[attr-defined]


def _unwrapped(tree: Any, tracer: Tracer, weak: bool) -> Any:
    """Return nested arguments with values in place of stand-ins and of arrays that are not traced.

    A number stays one of the program's where it is an operand; a length or an axis is known.
    """

    def unwrapped(x: Any) -> Any:
        x = tracer.array(x) if isinstance(x, Tensor) else x
        if isinstance(x, Number) and not weak:
            return tracer.guarded(x.value, x.value.concrete)
        if isinstance(x, (Traced, Number)):
            return x.value
        return tracer.constant(x) if isinstance(x, np.ndarray) else x

    return over_leaves(unwrapped, tree)
