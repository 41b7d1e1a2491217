"""The tracer: while a function is traced, it gives the library proxies, and notes what is computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from ...engine.arrays import ArrayProxy
from ...engine.cotangents import Cotangents
from ...engine.operation import Operation
from ...engine.outputs import ITEM
from ...engine.rules import RuleForEach
from ...errors import PACKAGE, CompileError
from ...tensor.handle import Tensor, make, node_of
from ..program import Function, Span, Value
from ..refusals import effect, hook_in_trace, recorded_outside, value_read
from .arrays import Traced
from .callers import in_package, users_line
from .cotangents import NotedCotangents, names_of
from .patches import drawn_again
from .proxies import concretes, value_of
from .recorder import Recorder
from .records import UNREAD, Handle, Pass
from .snapshot import Snapshot, held_by


class Tracer(Recorder):
    """The watcher that turns what is computed into lines, while a function runs on proxies for arrays and numbers."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.handles: dict[int, Handle] = {}
        self.states: dict[int, tuple[Any, Any, list[dict[str, Any]]]] = {}
        self.rewound: dict[int, list[Any]] | None = None  # by generator, what is drawn before its state is restored
        self.made_inside: dict[int, Any] = {}
        self.of_node: dict[Any, Value] = {}
        self.parts_of: dict[Any, list[Any]] = {}  # of a node with several outputs, each of these
        self.operations: dict[Value, str] = {}
        self.used: dict[Any, None] = {}
        self.passes: list[Pass] = []
        self.detached: list[tuple[Value, Value]] = []

    def forward(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Return what an operation computes, line by line or as one line of its own."""
        outer, failed = self.span, self.failed
        given = {} if operation.variadic else dict(zip(operation.arguments, arrays, strict=True))
        self.span = Span(operation, outer, names_of(given | parameters))
        try:
            y = self.attempted(
                lambda: operation.run(arrays, parameters), lambda: self._opaque(operation, arrays, parameters)
            )
            code = getattr(operation.forward, "__code__", None)
            if code is None or code.co_filename.startswith(PACKAGE):  # our own code may catch errors
                self.failed = failed
            return y
        except Exception as error:
            self.failed = self.failed or (error, users_line())
            raise
        finally:
            self.span = outer

    def attempted(self, compute: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        """Return `compute()`, or `otherwise()` if that asks proxies for what they can't tell."""
        refused, failed = self.refused, self.failed
        try:
            return compute()
        except Exception as error:
            if not _is_of_the_trace(error):
                raise
            self.refused = refused
            self.failed = failed
        return otherwise()

    def _opaque(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Compute an operation that can't be taken apart as one line: a call of its forward."""
        operation.normalised(concretes(parameters), concretes(arrays))  # raises if a parameter is wrong
        args = (list(arrays),) if operation.variadic else tuple(arrays)
        function = Function(f"op_{operation.name}", operation.forward, "operation")
        return self.call(function, args, operation.normalised(parameters, arrays))

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        """Note which operation computed a result, its node, and the inputs that no gradient goes back to."""
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
            self.of_node[node], self.parts_of[node] = parts[0].value, [value_of(part) for part in parts]

    def cotangents(self, seeds: Any, lift: Any, create_graph: bool) -> Cotangents:
        """Return cotangents that are noted as they leave; note where the backward pass begins."""
        now = len(self.lines)
        known = {y: value_of(seed) for node, seed in seeds.items() if isinstance(y := self.value_at(node), Value)}
        roots = {y: x if isinstance(x, Value) else self.constant(np.asarray(x)) for y, x in known.items()}
        self.passes.append(Pass(now, now, roots))
        if not create_graph:  # a constant seed is a proxy, too: rules may index it by what is computed
            seeds = {node: Traced(self, self.constant(g)) if type(g) is np.ndarray else g for node, g in seeds.items()}
        return NotedCotangents(self, seeds, lift, create_graph)

    def value_at(self, node: Any) -> Any:
        """Return the value that a node records, None if that is not known."""
        if node.operation is ITEM:
            parts, (index, *_) = self.parts_of.get(node.parents[0]), node.saved
            return parts and parts[index]
        if node not in self.of_node and node.operation is None and node.handle is not None:  # made of an argument
            return value_of(node.handle())
        return self.of_node.get(node)

    def shadow(self, tensor: Any) -> Any:
        """Return the Tensor that stands for one from outside; one that was made of proxies stands for itself."""
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
            self.handles[id(tensor)] = Handle(tensor, shadow, tensor._grad, tensor, shadow.requires_grad)
            if node is not None:
                self.of_node[node] = proxy.value
        return self.handles[id(tensor)].shadow

    def created(self, tensor: Any) -> None:
        """Let a Tensor that the function makes stand for itself: the array it is made from is a constant."""
        if not isinstance(tensor._array, ArrayProxy) and self.traces():
            tensor._array = Traced(self, self.constant(tensor._array))

    def argument(self, x: Any, name: str) -> Any:
        """Return what the function is given in place of an argument that is an array, a number or a Tensor."""
        index = len(self.inputs)
        if not isinstance(x, Tensor):
            return self.input(x, name, "argument", None, index)
        if not x.is_leaf:
            raise CompileError(recorded_outside("the call"))
        if x.requires_grad and (hooks := node_of(x).hooks):
            raise CompileError(hook_in_trace(next(iter(hooks.values()))))
        twin = make(self.input(np.asarray(x._array), x.name or name, "array", index), None)
        twin.name, twin.requires_grad, twin._grad = x.name, x.requires_grad, UNREAD
        self.handles[id(twin)] = Handle(twin, twin, x._grad, index, x.requires_grad)
        return twin

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient of a tensor, which is a proxy until the function sets it."""
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
        """Return the proxy of a number of an optimiser's group; if the function made the optimiser, the number."""
        if id(owner) in self.made_inside:
            return value
        if not isinstance(value, tuple):
            return self.input(value, name, "hyperparameter", owner, f"[{name!r}]")
        each, one = enumerate(value), name.removesuffix("s")
        return tuple([self.input(x, f"{one}{i + 1}", "hyperparameter", owner, f"[{name!r}][{i}]") for i, x in each])

    def setting(self, owner: Any, name: str) -> None:
        """Raise CompileError if the function sets a number or the state of an optimiser that it did not make."""
        if name not in vars(owner):
            self.made_inside[id(owner)] = owner
        if self.traces() and id(owner) not in self.made_inside:
            raise self.refusal(effect(f"sets {name.removeprefix('_')!r} of an optimiser at {users_line()}"))

    def is_made_inside(self, module: Any) -> bool:
        """Return whether the function made a module: if so, the module held nothing when it was first met."""
        if id(module) not in self.snapshot.known and not held_by(module):
            self.made_inside[id(module)] = module
        return id(module) in self.made_inside

    def state(self, owner: Any, state: Any) -> Any:
        """Return proxies of an optimiser's state, or of its initial state if a gradient has no state yet."""
        if id(owner) in self.made_inside:
            return state
        self.snapshot.meet(owner)
        if id(owner) not in self.states:
            entries, pairs = [], [(own, p) for own in owner.by_group() for p in own.parameters]
            for i, ((own, p), entry) in enumerate(zip(pairs, state, strict=True)):
                parts = (entry or ({} if p.grad is None else own.initial_state(p._array))).items()
                entries.append({name: self.input(x, f"{name}{i + 1}", "state", owner, (i, name)) for name, x in parts})
            self.states[id(owner)] = (owner, [dict(entry) for entry in entries], entries)
        return self.states[id(owner)][2]

    @contextmanager
    def rewinding(self) -> Iterator[None]:
        """Note that generators get back the states that they had, after the body has drawn from them."""
        outer, self.rewound = self.rewound, {key: [*calls] for key, calls in (self.rewound or {}).items()}
        try:
            yield
        finally:
            self.rewound = outer

    def drawn(self, result: Any, generator: Any, place: Any, draw: Any) -> Any:
        """Return the proxy of what a module's generator drew: an input, which is drawn anew at each replay."""
        if self.rewound is not None:
            calls = self.rewound.setdefault(id(generator.bit_generator), [])
            calls.append(draw)
            draw = functools.partial(drawn_again, tuple(calls))
        return self.input(result, "draw#", "draw", place[0], (place[1], draw))

    def note_rules(self) -> None:
        """Note what a program depends on besides: the rules of the operations that it is made of."""
        for operation in self.used:  # a rule may be planted in some contexts
            own = isinstance(operation.rules, tuple)
            self.snapshot.note(*(getattr, operation, "rules") if own else (rules_of, operation))

    def let_go(self) -> None:
        """Forget the proxies: what still holds one keeps something that a program would not put there again."""
        for source in self.sources:
            source.proxy = None
        for held in (self.handles, self.of_node, self.parts_of, self.made_inside, self.states):
            held.clear()


def rules_of(operation: Any) -> Any:
    """Return an operation's rules; while one is planted, those in effect in this context."""
    rules = operation.rules
    return rules if isinstance(rules, (tuple, RuleForEach)) else tuple(islice(rules, len(operation.arguments)))


def _is_of_the_trace(error: BaseException) -> bool:
    """Return whether an operation failed because it was given proxies."""
    if isinstance(error, AttributeError) and isinstance(error.obj, ArrayProxy):
        return True
    return isinstance(error, CompileError) or isinstance(error.__cause__, CompileError)
