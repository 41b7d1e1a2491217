"""One run of a function on stand-ins: what it computes, where its inputs come from and where its outputs go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import CellType
from typing import Any

import numpy as np

from ...engine.node import history
from ...engine.trees import leaves
from ...errors import CompileError, FreedGraphError
from ...tensor.handle import Tensor, make
from ..program import Value, over_leaves
from ..refusals import kept_of_a_trace, recorded_outside, recorded_result, result_kind
from .origins import argument_names
from .proxies import Number, Traced, is_of_a_trace
from .surroundings import Surroundings
from .tracer import Source, Target, Tracer


@dataclass(frozen=True)
class Place:
    """Where a result stands among the targets, and as what it is returned."""

    number: int
    kind: type


@dataclass
class Trace:
    """What a run computed.

    `result` is what the function returned, with a Place for each array and number of the program.
    `cleared` are the tensors left without a gradient, `without_gradient` those that must have none at first.
    `fleeting` is whether the lines are of no further use: since some operation was invalid, as 0 * inf is, or
    since an optimiser starts to keep something, which happens once.
    """

    tracer: Tracer
    targets: list[Target]
    result: Any
    cleared: list[Any]
    without_gradient: list[Any]
    fleeting: bool
    surroundings: Surroundings


def traced(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Trace:
    """Return the trace of `function(*args, **kwargs)`; no tensor is left changed. Raises CompileError."""
    tracer, surroundings = Tracer(), Surroundings(function, args, kwargs)
    arguments = _Arguments(tracer, argument_names(function, args, kwargs))
    stand_ins = arguments.replaced((args, kwargs))
    try:
        result = _ran(function, stand_ins, tracer)
        if any(id(h.tensor) in arguments.twins for h in tracer.handles.values()):
            raise CompileError(
                "the compiled function uses a tensor that is its argument under another name, too; pass it, or name it"
            )
        if _is_recorded(result, tracer):
            raise CompileError(recorded_result())
        targets: list[Target] = []
        result = _results(result, targets, tracer)
        _changed(tracer, targets)
        for array, _ in list(tracer.constants.values()):
            tracer.constant(array)
        if surroundings.drew():
            raise CompileError(
                "the compiled function draws random numbers: its program would compute with those of the first call "
                "for good. Draw them outside, and pass them as an argument"
            )
        _forget_what_was_made_inside(tracer)
        handles = [h for h in tracer.handles.values() if h.lasts or h.place is not None]
        cleared = [h.owner for h in handles if h.sets_gradient and h.tensor._grad is None and h.gradient is not None]
        without = [h.owner for h in handles if h.reads_gradient and h.gradient is None]
    finally:
        tracer.restore()
        kept = surroundings.restore()
    if kept:
        raise CompileError(kept_of_a_trace(kept))
    surroundings.settle()
    return Trace(tracer, targets, result, cleared, without, tracer.progress.singular or _starts(tracer), surroundings)


def _ran(function: Callable[..., Any], stand_ins: Any, tracer: Tracer) -> Any:
    """Return what the function returns. Raises CompileError where it read a value, even if that was caught."""
    try:
        with tracer.running():
            result = function(*stand_ins[0], **stand_ins[1])
    except Exception as error:
        refusal = tracer.progress.refusal
        if refusal is None or refusal is error:
            raise
        raise refusal from error
    if tracer.progress.refusal is not None:
        raise tracer.progress.refusal
    return result


class _Arguments:
    """Makes what stands for the arguments, in the order of their leaves."""

    def __init__(self, tracer: Tracer, names: list[str]) -> None:
        self.tracer, self.names, self.place = tracer, names, -1
        self.twins: dict[int, Tensor] = {}

    def replaced(self, tree: Any) -> Any:
        """Return nested arguments with stand-ins for arrays, Tensors and numbers."""
        tree = np.asarray(tree) if type(tree) is np.memmap else tree
        kind = type(tree)
        if kind is tuple or kind is list:
            return kind([self.replaced(x) for x in tree])
        if kind is dict:
            return {name: self.replaced(x) for name, x in tree.items()}
        if isinstance(tree, tuple):
            return kind(*[self.replaced(x) for x in tree])
        if not (kind in (np.ndarray, Tensor, int, float) or isinstance(tree, np.generic)):
            return tree
        if kind is Tensor:
            if id(tree) not in self.twins:
                self.place += 1
                self.twins[id(tree)] = self._of_tensor(tree)
            return self.twins[id(tree)]
        self.place += 1
        value = Value(tree, self.names[self.place])
        value.known = value.known or isinstance(tree, np.generic)
        stand_in = self.tracer.stand_in(value)
        self.tracer.sources.append(Source(value, "argument", None, self.place, stand_in))
        return stand_in

    def _of_tensor(self, t: Tensor) -> Tensor:
        if not t.is_leaf:
            raise CompileError(recorded_outside("the call"))
        value = Value(np.asarray(t._array), t.name or self.names[self.place])
        self.tracer.sources.append(Source(value, "array", self.place))
        twin = make(Traced(self.tracer, value), None)
        twin.name = t.name
        if t.requires_grad:
            twin.requires_grad = True
        twin._grad = t._grad
        self.tracer.handle(twin, self.place)
        return twin


def _is_recorded(result: Any, tracer: Tracer) -> bool:
    """Return whether a gradient could go back from the result to a tensor that the caller holds."""
    outside = {h.node for h in tracer.handles.values() if h.node is not None and (h.lasts or h.place is not None)}
    for t in leaves(result):
        if isinstance(t, Tensor) and t._node is not None:
            with suppress(FreedGraphError):
                if not outside.isdisjoint(history([t._node])):
                    return True
    return False


def _results(tree: Any, targets: list[Target], tracer: Tracer) -> Any:
    """Return what the function returned with a Place for each array and number in it, each of them a target."""

    def placed(x: Any) -> Any:
        if not isinstance(x, (Tensor, Traced, Number, np.ndarray)):
            if isinstance(x, (Iterator, Awaitable)) or any(map(is_of_a_trace, _parts(x))):
                raise CompileError(result_kind(type(x).__name__))
            return x
        array = tracer.array(x) if isinstance(x, Tensor) else x
        targets.append(Target(_value(array, tracer), "result", None, len(targets)))
        return Place(len(targets) - 1, Tensor if isinstance(x, Tensor) else np.ndarray)

    return over_leaves(placed, tree)


def _parts(x: Any) -> list[Any]:
    """Return what an object holds: its attributes, its entries, and what a function refers to."""
    if isinstance(x, Collection) and not isinstance(x, (str, bytes, bytearray, range)):
        return [*x, *(x.values() if isinstance(x, Mapping) else ())]
    cells = [cell.cell_contents for cell in getattr(x, "__closure__", None) or () if cell != CellType()]
    slots = [name for kind in type(x).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(x, name)]
    return [*getattr(x, "__dict__", {}).values(), *[getattr(x, name) for name in slots], *cells]


def _value(x: Any, tracer: Tracer) -> Value:
    """Return the value of what stands for an array, or of an array that is always the same."""
    return x.value if isinstance(x, (Traced, Number)) else tracer.constant(np.asarray(x))


def _changed(tracer: Tracer, targets: list[Target]) -> None:
    """Append what the function changed: tensors, gradients, and the state of optimisers."""
    for source in tracer.sources:
        stands = source.stand_in
        if source.kind == "argument" and stands is not None and stands.value is not source.value:
            raise CompileError(
                f"the compiled function writes into its argument {source.value.name!r}; return the new array instead"
            )
    before = {(s.kind, id(s.owner)): s.value for s in tracer.sources}
    for handle in list(tracer.handles.values()):
        if not (handle.lasts or handle.place is not None):
            continue
        array: Any = handle.tensor._array
        if not handle.rebinds or (array is handle.array and handle.stand_in is not None):
            array = handle.array if handle.stand_in is None else handle.stand_in
        untouched = before.get(("array", id(handle.owner)))
        if (isinstance(array, Traced) or array is not handle.array) and _value(array, tracer) is not untouched:
            targets.append(Target(_value(array, tracer), "array", handle.owner))
        gradient: Any = None if handle.tensor._grad is None else handle.tensor._grad._array
        if handle.tensor._grad is handle.gradient or not handle.sets_gradient:
            gradient = handle.gradients_stand_in
        if gradient is not None and _value(gradient, tracer) is not before.get(("gradient", id(handle.owner))):
            targets.append(Target(_value(gradient, tracer), "gradient", handle.owner))
    for owner, old_state, new_state in tracer.states.values():
        for place, (old, new) in enumerate(zip(old_state, new_state, strict=True)):
            changed = {name: x for name, x in new.items() if x is not old.get(name) and old.keys() == new.keys()}
            targets += [Target(_value(x, tracer), "state", owner, (place, name)) for name, x in changed.items()]


def _forget_what_was_made_inside(tracer: Tracer) -> None:
    """Take tensors that the function made of numbers, and that nobody holds any more, for constants."""
    inside = {id(h.tensor) for h in tracer.handles.values() if h.place is None and not h.lasts}
    made = [s for s in tracer.sources if s.kind == "array" and id(s.owner) in inside]
    tracer.constants |= {id(s.value): (s.value.concrete, s.value) for s in made}
    tracer.sources = [s for s in tracer.sources if s not in made]


def _starts(tracer: Tracer) -> bool:
    """Return whether an optimiser starts to keep something: such a step is made once only."""
    pairs = [(old, new) for _, before, after in tracer.states.values() for old, new in zip(before, after, strict=True)]
    return any(old.keys() != new.keys() for old, new in pairs)
