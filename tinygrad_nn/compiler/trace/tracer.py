"""Running a function once on proxies, so that all it computes becomes the lines of a program."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ...engine.arrays import ArrayProxy
from ...engine.cotangents import Cotangents
from ...engine.grad_mode import recording, setting
from ...engine.operation import Operation
from ...engine.rules import RuleForEach
from ...engine.watching import Watcher, watched, watcher
from ...engine.zero_safe import FLAG_TELLS
from ...errors import CompileError
from ...tensor.handle import Tensor, make
from ..numpy_calls import GETITEM, GUARD, OPERANDS, SHAPE, operand_count, shape_follows, takes_numbers
from ..program import Function, Line, Span, Value, concrete, mapped, over_leaves
from ..refusals import effect, recorded_outside, value_read
from .cotangents import NotedCotangents, names_of
from .draws import drawn_again
from .modules import Modules, held_by
from .proxies import PACKAGE, Buffer, Number, Traced, concretes, in_package, users_line, value_of
from .records import UNREAD, Handle, Location, Pass, Progress
from .snapshot import Snapshot

_calls: ContextVar[int] = ContextVar("calls", default=0)  # how many calls were noted in this context


class Tracer(Watcher):
    """The watcher that turns what is computed into lines, while a function runs on proxies for arrays and numbers."""

    def __init__(self, modules: Modules) -> None:
        self.lines: list[Line] = []
        self.inputs: dict[Any, Location] = {}  # by their places
        self.constants: dict[int, tuple[np.ndarray, Value]] = {}
        self.handles: dict[int, Handle] = {}
        self.viewed: set[Value] = set()
        self.states: dict[int, tuple[Any, Any, list[dict[str, Any]]]] = {}
        self.modules = modules
        self._references: list[weakref.ref[Traced]] = []
        self.generators: list[tuple[Any, Any]] = []
        self.rewound: list[dict[int, list[Any]]] = []  # by generator, what is drawn before it is given its state back
        self.made_inside: dict[int, Any] = {}
        self.answered: set[tuple[Value, type, Any]] = set()
        self.of_node: dict[Any, Value] = {}
        self.operations: dict[Value, str] = {}
        self.used: dict[Any, None] = {}
        self.passes: list[Pass] = []
        self.detached: list[tuple[Value, Value]] = []
        self.progress = Progress()

    # What the function computes.

    def call(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a call on proxies, note it as a line, and return proxies for its result."""
        self._refuse_strangers()
        given = function, args, kwargs
        kwargs = {name: x for name, x in kwargs.items() if x is not np._NoValue}
        args, kwargs = self._operands(function, args, kwargs)
        result = self._computed(function, args, kwargs)
        several = isinstance(result, (tuple, list))
        parts = result if several else [result]
        if not all(isinstance(part, (np.ndarray, np.generic, int, float, complex)) for part in parts):
            raise CompileError(
                f"{function.text} at {users_line()} returns something that is no array; compute it outside the "
                "compiled function"
            )
        line = Line(function, args, kwargs, (), users_line(), several, self.progress.span)
        line.outputs = tuple(self._outputs(parts, line.reads()))
        self.lines.append(line)
        if not shape_follows(line):
            self._guard_shapes(line)
        proxies = [self.proxy_of(v) for v in line.outputs]
        if not several:
            if line.outputs[0].base is not None and isinstance(given[1][0], Traced):
                proxies[0].window = given
            return proxies[0]
        return type(result)(*proxies) if hasattr(result, "_fields") else type(result)(proxies)

    def _refuse_strangers(self) -> None:
        """Raise CompileError where a proxy is used after its trace, or by a thread that does not trace."""
        if not self.traces() or _calls.get() != self.progress.calls:
            raise self._used_elsewhere(self.lines[-1].where if self.traces() else users_line())
        # In another context the two get out of step: what is set there is not seen here, and the other way round.
        self.progress.calls += 1
        _calls.set(self.progress.calls)

    def _used_elsewhere(self, line: str) -> CompileError:
        return self.refusal(
            "an array of the program is computed with in another thread or context, or when its trace is over, at "
            f"{line}: a program is what one thread computes in one call. Compute it in the function itself, and return "
            "what is needed later"
        )

    def traces(self) -> bool:
        """Return whether the function that is traced runs here and now: not in another thread, nor any more."""
        return self.progress.open and getattr(watcher(), "progress", None) is self.progress

    def _computed(self, function: Function, args: Any, kwargs: Any) -> Any:
        """Return what a call returns, having noted what went wrong in it."""
        modes: dict[str, Any] = dict(np.geterr())
        raising = {kind for kind, what in modes.items() if what == "raise"}
        self.progress.raising |= raising | {"invalid"} if FLAG_TELLS else raising  # the function itself sees to 0 * inf
        listener = np.geterrcall() if modes["invalid"] == "call" else None
        modes |= {kind: "call" if kind == "invalid" and FLAG_TELLS else "ignore" for kind in modes.keys() - raising}

        def alarmed(kind: str, flag: int) -> None:
            self.progress.singular = True
            if callable(listener):
                listener(kind, flag)

        try:
            with np.errstate(**modes, call=alarmed):
                return function.apply(*mapped(concrete, args), **mapped(concrete, kwargs))
        except Exception as error:
            self.progress.failed = error, users_line()
            raise

    def _operands(self, function: Function, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with values in place of proxies, and of arrays that are not traced.

        A number or a NumPy scalar stays one of the program's where it is an operand; where it is a length, an axis or
        the end of a slice, the program is for that number.
        """
        known = operand_count(function)
        operands = [self._unwrapped(x, i < known, takes_numbers(function, i)) for i, x in enumerate(args)]
        if function.kind in ("setitem", "add") or function is GETITEM:
            operands[1] = self._index(args[1])
        named = {name: self._unwrapped(x, name in OPERANDS, name in OPERANDS) for name, x in kwargs.items()}
        return tuple(operands), named

    def _index(self, index: Any) -> Any:
        """Return an index with values in place of proxies; the ends of slices are numbers that the program is for."""
        if isinstance(index, tuple):
            return tuple(map(self._index, index))
        index = self._unwrapped(index, not isinstance(index, slice), False)
        return over_leaves(lambda x: int(x) if isinstance(x, np.integer) else x, index)

    def _unwrapped(self, tree: Any, operand: bool, number: bool) -> Any:
        def unwrapped(x: Any) -> Any:
            x = self.array(x) if isinstance(x, Tensor) else x
            if isinstance(x, Number):
                own = x.tracer.progress is self.progress  # not of a trace that is over
                return x.value if number and own else x.number()
            if isinstance(x, Traced):
                return x.value if operand or x.shape else x.number()
            if isinstance(x, int) and type(x) is not bool:
                return int(x)  # of a class that may show in its own way
            return self.constant(x) if isinstance(x, np.ndarray) else x

        return over_leaves(unwrapped, tree)

    def _outputs(self, parts: Any, reads: list[Value]) -> Iterator[Value]:
        """Yield the values of what a call has computed."""
        for part in parts:
            base = next((v for v in reads if _looks_into(part, v)), None)
            if base is not None:
                self.viewed.add(base.root)
            value = Value(part, base=base, temporary=True)
            value.known |= bool(reads) and not value.shape and all(v.known for v in reads)
            yield value

    def _guard_shapes(self, line: Line) -> None:
        """Let the program be for what this line computes of these shapes alone."""
        for value in line.outputs:
            if value.shape:
                shape = Value(value.shape)
                self.lines.append(Line(SHAPE, (value,), {}, (shape,), users_line()))
                self.guarded(shape, value.shape)

    def refusal(self, reason: str) -> CompileError:
        """Return the error to raise, and remember it: NumPy, or the function, may catch it."""
        self.progress.refusal = CompileError(reason)
        return self.progress.refusal

    def proxy_of(self, value: Value) -> Any:
        """Return what stands for a value: an array, or a number of Python's."""
        return Number(self, value) if value.dtype is None else Traced(self, value)

    def hold(self, proxy: Traced) -> None:
        """Note an array, weakly."""
        self._references.append(weakref.ref(proxy))

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
            raise CompileError(
                "an array that the compiled function computes with, a constant of its program, was written into after "
                f"it was read, found at {users_line()}; write into a copy, x = x.copy(), before each use"
            )
        return value

    def guarded(self, value: Value, answer: Any) -> Any:
        """Let the program be for this answer about a number alone, and return it."""
        if self.progress.open and (value, type(answer), answer) not in self.answered:
            self.answered.add((value, type(answer), answer))  # True is 1, and says less
            self.lines.append(Line(GUARD, (value, answer), {}, (), users_line()))
        return answer

    def input(self, x: Any, name: str, kind: str, owner: Any, key: Any = None) -> Any:
        """Return the proxy of an array or number that the program finds in a place of its own at each replay."""
        location = Location(Value(x, name), kind, owner, key)
        location.value.known |= isinstance(x, np.generic)
        if location.place not in self.inputs:
            location.proxy = self.proxy_of(location.value)
            self.inputs[location.place] = location
        return self.inputs[location.place].proxy

    @property
    def sources(self) -> list[Location]:
        """Where the program's inputs are found."""
        return list(self.inputs.values())

    # What the library asks its watcher.

    def forward(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Return what an operation computes, line by line or as one line of its own."""
        outer, failed = self.progress.span, self.progress.failed
        given = {} if operation.variadic else dict(zip(operation.arguments, arrays, strict=True))
        self.progress.span = Span(operation, outer, names_of(given | parameters))
        try:
            y = self._attempted(lambda: operation.run(arrays, parameters))
            if y is _REFUSED:
                return self._opaque(operation, arrays, parameters)
            if _is_ours(operation.forward):  # which may catch what it can compute anew
                self.progress.failed = failed
            return y
        except Exception as error:
            self.progress.failed = self.progress.failed or (error, users_line())
            raise
        finally:
            self.progress.span = outer

    def _attempted(self, compute: Callable[[], Any]) -> Any:
        """Return what is computed on proxies, _REFUSED where that asks for what they can't tell."""
        refusal, failed = self.progress.refusal, self.progress.failed
        try:
            return compute()
        except Exception as error:
            if not _is_of_the_trace(error):
                raise
            self.progress.refusal, self.progress.failed = refusal, failed
            return _REFUSED

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        """Note which operation computed what, from what without a way back for gradients, and the node of it."""
        parents = (None,) * len(arrays) if node is None else node.parents
        read = [x for i, x in enumerate(arrays) if parents[i] is None and i not in operation.constant_inputs]
        if isinstance(operation, Operation):
            self.used[operation] = None
        for part in (parts := y if operation.multiple_outputs else (y,)):
            if isinstance(part, Traced):
                self.operations.setdefault(part.value, operation.name)
                if operation.differentiable:
                    self.detached += [(part.value, x.value) for x in read if isinstance(x, Traced)]
        if node is not None and isinstance(parts[0], Traced):
            self.of_node[node] = parts[0].value

    def cotangents(self, seeds: Any, lift: Any, create_graph: bool) -> Cotangents:
        """Return cotangents that are noted as they leave; note where the backward pass begins."""
        now = len(self.lines)
        known = {self.of_node[node]: value_of(seed) for node, seed in seeds.items() if node in self.of_node}
        roots = {y: x if isinstance(x, Value) else self.constant(np.asarray(x)) for y, x in known.items()}
        self.passes.append(Pass(now, now, roots))
        if not create_graph:  # a constant seed is a proxy, too: rules may index it by what is computed
            seeds = {node: Traced(self, self.constant(g)) if type(g) is np.ndarray else g for node, g in seeds.items()}
        return NotedCotangents(self, seeds, lift, create_graph)

    def cotangent(self, node: Any, g: Any) -> None:
        """Note which value is the adjoint of which."""
        value = value_of(g)
        self.passes[-1].stop = len(self.lines)
        primal = self.of_node.get(node) or _leaf(node)
        if isinstance(value, Value) and primal is not None:
            self.passes[-1].adjoints.append((value, primal))

    def _opaque(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Compute an operation that can't be taken apart as one line: a call of its forward."""
        args = (list(arrays),) if operation.variadic else tuple(arrays)
        values = self._attempted(lambda: operation.normalised(parameters, arrays))
        if values is _REFUSED:
            operation.normalised(concretes(parameters), concretes(arrays))  # says what is wrong, if that is why
            values = operation.normalised(parameters, arrays)
        return self.call(Function(f"op_{operation.name}", operation.forward, "operation"), args, values)

    def into(self, rule: Any, held: Any, g: Any, saved: Any) -> Any:
        """Return a cotangent with what a rule adds into it, line by line or as one line."""
        read = [saved[place] for place in rule.into_slots]
        total = Buffer(self, held.value if isinstance(held, Traced) else self.constant(np.asarray(held)))
        if self._attempted(lambda: rule.into(total, g, *read)) is not _REFUSED:
            return Traced(self, total.value)

        def computed(held: Any, *more: Any) -> Any:
            total = np.array(held)
            rule.into(total, *more)
            return total

        return self.call(Function("op_add_into", computed, "into", rule.into), (held, g, *read), {})

    def shadow(self, tensor: Any) -> Any:
        """Return the Tensor that stands for one from outside; what was made of proxies stands for itself."""
        if isinstance(tensor._array, ArrayProxy):
            if isinstance(tensor._array, Traced) and tensor.name:
                tensor._array.value.name = tensor._array.value.name or tensor.name
            return tensor
        if id(tensor) not in self.handles:
            node = tensor._node
            if node is not None and node.operation is not None:
                raise CompileError(recorded_outside(users_line()))
            proxy = self.input(np.asarray(tensor._array), tensor.name or "", "array", tensor)
            shadow = make(proxy, node)
            shadow.name, shadow._grad = tensor.name, UNREAD
            self.handles[id(tensor)] = Handle(tensor, shadow, tensor._grad)
            if node is not None:
                self.of_node[node] = proxy.value
        return self.handles[id(tensor)].shadow

    def created(self, tensor: Any) -> None:
        """Let a Tensor that the function makes stand for itself: what it is made of is a constant."""
        if not isinstance(tensor._array, ArrayProxy) and self.traces():
            tensor._array = Traced(self, self.constant(tensor._array))

    def argument(self, index: int, tensor: Tensor, name: str) -> Tensor:
        """Return the Tensor that the function is given in place of an argument."""
        proxy = self.input(np.asarray(tensor._array), tensor.name or name, "array", index)
        twin = make(proxy, None)
        twin.name, twin.requires_grad, twin._grad = tensor.name, tensor.requires_grad, UNREAD
        self.handles[id(twin)] = Handle(twin, twin, tensor._grad, index)
        return twin

    def array(self, tensor: Any) -> Any:
        """Return the proxy of a tensor's array."""
        return self.shadow(tensor)._array

    def value(self, x: Any) -> Value:
        """Return the value of a Tensor or a proxy, or of an array that is always the same."""
        x = self.array(x) if isinstance(x, Tensor) else x
        return x.value if isinstance(x, (Traced, Number)) else self.constant(np.asarray(x))

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient of a tensor: a proxy's, as long as the function has not set it."""
        gradient = self.shadow(tensor)._grad
        if gradient is not UNREAD:
            return gradient
        handle = self.handles[id(tensor)]
        handle.reads_gradient = True
        if handle.gradient is None:
            return None
        return make(self.input(handle.gradient._array, f"d{tensor.name or ''}", "gradient", handle.owner), None)

    def read(self, tensor: Any, what: str) -> Any:
        """Raise CompileError, unless the library itself asks for one number: the program is then for that number."""
        array = self.array(tensor)
        if array.size != 1 or not in_package(3):
            raise self.refusal(value_read(what, users_line()))
        array.number()
        return array.value.concrete

    def hyperparameter(self, owner: Any, name: str, value: Any) -> Any:
        """Return the proxy of a number of an optimiser's group; of one that the function has made, the number."""
        if id(owner) in self.made_inside:
            return value
        if not isinstance(value, tuple):
            return self.input(value, name, "hyperparameter", owner, (name, None))
        one = name.removesuffix("s")
        parts = [(x, f"{one}{i + 1}", "hyperparameter", owner, (name, i)) for i, x in enumerate(value)]
        return tuple([self.input(*part) for part in parts])

    def setting(self, owner: Any, name: str) -> None:
        """Refuse that the function sets an optimiser's number, or its state, unless it makes the optimiser."""
        if name not in vars(owner):
            self.made_inside[id(owner)] = owner
        if self.traces() and id(owner) not in self.made_inside:
            raise self.refusal(effect(f"sets {name.removeprefix('_')!r} of an optimiser at {users_line()}"))

    def is_made_inside(self, module: Any) -> bool:
        """Return whether the function has made a module: it held nothing when it was first met."""
        if id(module) not in self.modules.known and not held_by(module):
            self.made_inside[id(module)] = module
        return id(module) in self.made_inside

    def state(self, owner: Any, state: Any) -> Any:
        """Return proxies of an optimiser's state: of its initial state, where it keeps none yet."""
        if id(owner) in self.made_inside:
            return state
        self.modules.meet(owner)
        if id(owner) not in self.states:
            each = zip(owner.by_parameter(), state, strict=True)
            begun = [entry or own.initial_state(p._array) for (own, p), entry in each]
            entries = [
                {name: self.input(x, f"{name}{i + 1}", "state", owner, (i, name)) for name, x in entry.items()}
                for i, entry in enumerate(begun)
            ]
            self.states[id(owner)] = (owner, [dict(entry) for entry in entries], entries)
        return self.states[id(owner)][2]

    @contextmanager
    def rewinding(self) -> Iterator[None]:
        """Be told that generators get back the states that they had, once the body has drawn of them."""
        outer = self.rewound[-1] if self.rewound else {}
        self.rewound.append({key: [*calls] for key, calls in outer.items()})
        try:
            yield
        finally:
            self.rewound.pop()

    def drawn(self, result: Any, generator: Any, draw: Any) -> Any:
        """Return the proxy of what was drawn of a module's generator: an input, drawn anew at each replay."""
        if self.rewound:
            calls = self.rewound[-1].setdefault(id(generator.bit_generator), [])
            calls.append(draw)
            draw = functools.partial(drawn_again, tuple(calls))
        return self.input(result, "draw#", "draw", generator.holder, (generator.name, draw))

    def note_rules(self, snapshot: Snapshot) -> None:
        """Note what a program is for besides: the rules of the operations that it is made of."""
        for operation in self.used:  # one is planted in some contexts
            own = isinstance(operation.rules, tuple)
            snapshot.note(*(getattr, operation, "rules") if own else (rules_of, operation))

    def let_go(self) -> None:
        """Forget the proxies: whoever still holds one keeps what a program does not put there again."""
        for source in self.sources:
            source.proxy = None
        for held in (self.handles, self.of_node, self.made_inside, self.states):
            held.clear()  # in place: who watches under no_grad() shares them

    def _proxies(self) -> list[Traced]:
        """Return the arrays that are still held."""
        held = [(reference, proxy) for reference in self._references if (proxy := reference()) is not None]
        self._references[:] = [reference for reference, _ in held]
        return [proxy for _, proxy in held]

    def alive(self) -> str | None:
        """Return which line made an array that is still held, None if none is."""
        held = {proxy.value for proxy in self._proxies()}
        lines = (line.where for line in reversed(self.lines) if not held.isdisjoint(line.outputs))
        return next(lines, "the call") if held else None

    def windows(self, array: Traced) -> list[Traced]:
        """Return the other arrays that look into the memory of one, in the order in which they were made."""
        root, held = array.value, self._proxies() if array.value in self.viewed else []
        return [x for x in held if x is not array and x.value.is_array and x.value.root is root]

    @contextmanager
    def running(self) -> Any:
        """Trace what is computed in the body."""
        try:
            with watched(self.switched(bool(recording.get()))), setting(_calls, 0):
                yield
                if _calls.get() != self.progress.calls:
                    raise self._used_elsewhere(self.lines[-1].where)
        finally:
            self.progress.open = False


_REFUSED = object()


def rules_of(operation: Any) -> Any:
    """Return an operation's rules; while one is planted, those that count in this context."""
    rules = operation.rules
    return rules if isinstance(rules, (tuple, RuleForEach)) else tuple(islice(rules, len(operation.arguments)))


def _looks_into(part: Any, value: Value) -> bool:
    """Return whether a result is a view of a value, or that itself."""
    if not (isinstance(part, np.ndarray) and value.is_array):
        return False
    return part is value.concrete or (not part.flags.owndata and np.may_share_memory(value.concrete, part))


def _is_ours(function: Any) -> bool:
    return str(getattr(getattr(function, "__code__", None), "co_filename", PACKAGE)).startswith(PACKAGE)


def _leaf(node: Any) -> Value | None:
    """Return the value of a tensor that was made of an argument, by its node."""
    value = value_of(node.handle()) if node.operation is None and node.handle is not None else None
    return value if isinstance(value, Value) else None


def _is_of_the_trace(error: BaseException) -> bool:
    """Return whether an operation failed because it was given proxies."""
    if isinstance(error, AttributeError) and isinstance(error.obj, ArrayProxy):
        return True
    return isinstance(error, CompileError) or isinstance(error.__cause__, CompileError)


def _snapshot(array: np.ndarray) -> np.ndarray:
    """Return a copy that lies in memory as the array does: sums add up in an order that depends on it."""
    low, high = byte_bounds(array)
    if high - low > 2 * array.nbytes or array.dtype.hasobject:
        return array.copy(order="K")
    memory = np.empty(high - low, np.uint8)
    copy = np.ndarray(array.shape, array.dtype, memory, array.ctypes.data - low, array.strides)
    copy[...] = array
    return copy
