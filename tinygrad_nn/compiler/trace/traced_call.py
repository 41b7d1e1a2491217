"""One run of a function on proxies: what it computed, where its inputs came from and where its outputs go."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...engine.grad_mode import recording
from ...engine.node import history
from ...engine.trees import leaves
from ...errors import CompileError, FreedGraphError
from ...tensor.handle import Tensor, node_of
from ..program import Value, over_leaves
from ..refusals import effect, iterated, random_drawn
from ..signature import BY_VALUE
from .arguments import Arguments
from .patches import ENTROPY_TOLD, MODULES_TOLD, telling
from .proxies import Proxy, is_of_a_trace, plain
from .records import UNREAD, Location, place_of
from .snapshot import is_read_on
from .table import Table
from .tracer import Tracer


@dataclass(frozen=True)
class Placeholder:
    """The position of a result among the targets, and the type that it is returned as."""

    number: int
    kind: type


@dataclass
class Trace:
    """What a run computed.

    `result` is what the function returned, with a Placeholder for each array and number of the program; `values` are
    the targets' arrays and numbers, none of which shares memory with anything else. `cleared` are the tensors whose
    gradient was removed, `without_gradient` those that must have none at first, and `rebound` the names that the
    function bound anew, with their values. `states` are an optimiser, the place of a parameter in it, how many entries
    its state had, and which of them were removed; `delivered` holds whether the values were put in their places.
    """

    tracer: Tracer
    table: Table
    targets: list[Location] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    result: Any = None
    cleared: list[Any] = field(default_factory=list)
    without_gradient: list[Any] = field(default_factory=list)
    rebound: list[tuple[Any, Any, Any]] = field(default_factory=list)
    states: list[tuple[Any, int, int, set[str]]] = field(default_factory=list)
    delivered: list[bool] = field(default_factory=lambda: [False])


def traced(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    own: list[Any],
    then: Callable[[Trace], Any],
    known: bool = False,
) -> Any:
    """Return `then(trace)` for the trace of `function(*args, **kwargs)`; the table is about the code of `own`.

    If the function raises TypeError, it is traced again with its numbers `known`, for these only: C code accepts no
    proxies of numbers. Raises CompileError if the function can't be a program, and what the function or `then` raises.
    Unless the trace's values were delivered, the table, arguments, modules and optimisers hold what they held.
    """
    recorded = recording.get()
    table = Table(own)
    if advancing := [x for x in table.objects if is_read_on(x)]:
        raise CompileError(iterated(table.line_of(table.labels[id(advancing[0])])))
    tracer = Tracer(table.snapshot)
    arguments = Arguments(tracer, known)
    given: Any = arguments.of_call(function, args, kwargs)
    table.watch(arguments.objects, arguments.containers)
    trace = Trace(tracer, table)
    try:
        with telling(tracer, [*MODULES_TOLD, *ENTROPY_TOLD]):
            _run(function, given, trace, arguments.twins)
        _refuse_effects(tracer, table)
        _settle(trace, arguments.twins)
        given = arguments = None  # type: ignore[assignment]
        _refuse_what_is_alive(tracer)
        tracer.note_rules()
        table.snapshot.settle()
        return then(trace)
    except BaseException as error:
        recording.set(recorded)  # an interrupt may have come before that was done
        tracer.let_go()
        numbers = any(s.kind == "argument" and not s.value.is_array for s in tracer.sources)
        if type(error) is not TypeError or known or not numbers:
            raise
    finally:
        if not trace.delivered[0]:
            table.snapshot.undo()
        table.forget()
    return traced(function, args, kwargs, own, then, True)


def _settle(trace: Trace, twins: dict[int, Any]) -> None:
    """Find where the outputs go, and let go of every proxy."""
    tracer = trace.tracer
    _refuse_two_names(tracer, twins)
    for array, _ in list(tracer.constants.values()):
        tracer.constant(array)
    _forget_what_was_made_inside(tracer)
    returned = trace.result  # held until the values of its proxies are read
    if _is_recorded(returned, tracer):
        raise CompileError(
            "the compiled function returns a tensor that requires grad, and gradients can't go back through a program: "
            "compile the derivative with it, as in tg.compile(tg.grad(f)) or a step that calls backward(); or return "
            "t.detach(); or call it under tg.no_grad()"
        )
    trace.result = _results(returned, trace.targets, tracer)
    _changed(trace)
    handles = tracer.handles.values()
    trace.cleared = [h.owner for h in handles if h.held["gradient"] is None and h.gradient is not None]
    trace.without_gradient = [h.owner for h in handles if h.reads_gradient and h.gradient is None]
    _refuse_shared_memory(trace)
    trace.values = _values(trace.targets, tracer)
    tracer.let_go()


def _refuse_two_names(tracer: Tracer, twins: dict[int, Any]) -> None:
    """Raise CompileError if a tensor is an argument, which has a twin, and is also used directly."""
    if any(id(h.tensor) in twins for h in tracer.handles.values()):
        raise CompileError(
            "the compiled function uses a tensor both as its argument and by another name; use only one of the two"
        )


def _run(function: Callable[..., Any], given: Any, trace: Trace, twins: dict[int, Any]) -> None:
    """Run the function. Raises CompileError if it read a value, even if the function caught the error."""
    tracer = trace.tracer
    try:
        with tracer.running():
            trace.result = function(*given[0], **given[1])
            trace.rebound = trace.table.rebound()
    except Exception:
        _refuse_two_names(tracer, twins)  # it may be the cause: no gradient goes from one to the other
        if tracer.refused is None:
            raise
    if tracer.refused is not None:
        raise tracer.refused


def _refuse_effects(tracer: Tracer, table: Table) -> None:
    """Raise CompileError if the function did something besides that a program can't repeat."""
    if tracer.failed is not None:
        error, line = tracer.failed
        raise CompileError(
            f"{type(error).__name__} ({error}), raised at {line}, is caught by the function, and a program can't "
            "decide by errors. Choose by np.where, or check the values before the call; or leave it uncompiled"
        )
    if where := table.drew():
        raise CompileError(random_drawn(where))
    if what := table.changed() or _written(tracer):
        raise CompileError(effect(what))


def _refuse_what_is_alive(tracer: Tracer) -> None:
    """Raise CompileError if an array or Tensor of the trace is still held somewhere."""
    if tracer.alive() is not None:
        gc.collect()
        if (line := tracer.alive()) is not None:
            raise CompileError(
                f"an array or a tensor that is computed at {line} is kept where a program does not put it at later "
                "calls: in a list, an attribute, a cache or a name outside. Return it, or write it into a tensor that "
                "is there: x[...] = value, or x.data = value"
            )


def _written(tracer: Tracer) -> str:
    """Return which input the function wrote into, in words; "" if none."""
    for source in tracer.sources:
        if source.kind in ("argument", "entry") and source.proxy.value is not source.value:
            what = "its argument" if source.kind == "argument" else "an array of a module,"
            return f"writes into {what} {source.value.name!r}"
    return ""


def _is_recorded(result: Any, tracer: Tracer) -> bool:
    """Return whether a gradient could go back from the result to a tensor that the caller holds."""
    outside = {node_of(h.shadow) for h in tracer.handles.values() if h.shadow.requires_grad}
    for t in leaves(result):
        if isinstance(t, Tensor) and (node := node_of(tracer.shadow(t))) is not None:
            with suppress(FreedGraphError):
                if not outside.isdisjoint(history([node])):
                    return True
    return False


def _results(tree: Any, targets: list[Location], tracer: Tracer) -> Any:
    """Return what the function returned, with a Placeholder for each array and number, which becomes a target."""

    def placed(x: Any) -> Any:
        kind = type(x)
        if kind is list or kind is tuple:
            return kind(map(placed, x))
        if kind is dict:
            return {over_leaves(plain, key): placed(part) for key, part in x.items()}
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return kind(*map(placed, x))
        if isinstance(x, (Tensor, Proxy)) or kind is np.ndarray:
            targets.append(Location(tracer.value(x), "result", None, len(targets)))
            return Placeholder(len(targets) - 1, Tensor if isinstance(x, Tensor) else np.ndarray)
        if isinstance(x, _IMMUTABLE) and not (isinstance(x, frozenset) and any(map(is_of_a_trace, x))):
            return x
        name = kind.__name__
        raise CompileError(
            f"the compiled function returns a {name}, which would hold what was computed while tracing; return arrays "
            f"and numbers, in tuples, lists and dicts, and make the {name} of them outside"
        )

    return placed(tree)


_IMMUTABLE = (*BY_VALUE, type, frozenset)


def _changed(trace: Trace) -> None:
    """Append what the function changed to the targets: tensors, gradients, and the state of optimisers."""
    tracer = trace.tracer
    for handle in list(tracer.handles.values()):
        if handle.shadow.requires_grad != handle.requires_grad:
            raise CompileError(effect(f"changes whether {handle.tensor.name or 'a tensor'} requires grad"))
        for kind, x in handle.held.items():
            source = tracer.inputs.get(place_of(kind, handle.owner))
            x = (source and source.proxy) if x is UNREAD else x
            if x is not None:
                array = tracer.array(x) if isinstance(x, Tensor) else x
                value, in_place = tracer.value(array), source is not None and array is source.proxy
                if value.dtype != handle.tensor.dtype:
                    raise CompileError(
                        f"the compiled function converts {handle.tensor.name or 'a tensor'} to {value.dtype}, and a "
                        f"program keeps {handle.tensor.dtype} from call to call; convert it before the call"
                    )
                if source is None or value is not source.value:
                    trace.targets.append(Location(value, kind, handle.owner, in_place=in_place))
    for owner, old_state, new_state in tracer.states.values():
        for i, (old, new) in enumerate(zip(old_state, new_state, strict=True)):
            changed = {name: x for name, x in new.items() if x is not old.get(name)}
            trace.targets += [Location(tracer.value(x), "state", owner, (i, name)) for name, x in changed.items()]
            trace.states.append((owner, i, len(old), old.keys() - new.keys()))


def _refuse_shared_memory(trace: Trace) -> None:
    """Raise CompileError if an array that is written into in place shares memory with another one that is named."""
    tracer = trace.tracer
    arrays = [s.value.concrete for s in tracer.sources if s.value.is_array]
    arrays += [array for array, _ in tracer.constants.values()]
    arrays += [x for x in trace.table.objects if isinstance(x, np.ndarray)]
    for target in [target for target in trace.targets if target.in_place]:
        own = tracer.inputs[target.place].value.concrete
        if sum(np.may_share_memory(own, x) for x in arrays) > 1:
            raise CompileError(
                "an array is written into in place, and shares its memory with another array of the program, which "
                "would then change, too. Write x.data = value instead of x.data += value, or let one be a copy"
            )


def _values(targets: list[Location], tracer: Tracer) -> list[Any]:
    """Return the targets' arrays and numbers, each in its own memory."""
    made = {output for line in tracer.lines if line.function.kind != "operation" for output in line.outputs}
    seen: set[Value] = set()
    found = []
    for value in [target.value for target in targets]:
        own = value in made and value.base is None and value not in tracer.viewed and value not in seen
        found.append(value.concrete if own or not value.is_array else value.concrete.copy(order="K"))
        seen.add(value)
    return found


def _forget_what_was_made_inside(tracer: Tracer) -> None:
    """Turn tensors that the function made from numbers, and that nothing holds any more, into constants."""
    for key, handle in list(tracer.handles.items()):
        if not handle.lasts:
            source = tracer.inputs.pop(place_of("array", handle.tensor))
            tracer.constants[id(source.value)] = source.value.concrete, source.value
            source.proxy = None  # a cycle, which only a slow collection would free
            del tracer.handles[key]
