"""Faults, each planted in the compiler itself: what a slip of its author would leave out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest

from tinygrad_nn.compiler import compiled, signature, turns
from tinygrad_nn.compiler.lower import lowering
from tinygrad_nn.compiler.program import over_leaves
from tinygrad_nn.compiler.run import replay
from tinygrad_nn.compiler.run.replay import Replay
from tinygrad_nn.compiler.run.wrapper import Wrapper
from tinygrad_nn.compiler.trace import recorder, snapshot, table, traced_call
from tinygrad_nn.compiler.trace.arrays import Traced
from tinygrad_nn.compiler.trace.proxies import Proxy
from tinygrad_nn.compiler.trace.snapshot import Snapshot
from tinygrad_nn.compiler.trace.table import Table
from tinygrad_nn.compiler.trace.tracer import Tracer
from tinygrad_nn.errors import CompileError
from tinygrad_nn.tensor.handle import Tensor

Plant = Callable[[pytest.MonkeyPatch], None]


def put(owner: Any, name: str, instead: Any) -> Plant:
    """Return what puts something else in the place of an attribute."""
    return lambda patch: patch.setattr(owner, name, instead)


def around(owner: Any, name: str, other: Callable[..., Any]) -> Plant:
    """Return what puts `other(own, *args, **kwargs)` in the place of a function."""
    own = getattr(owner, name)

    @wraps(own)
    def instead(*args: Any, **kwargs: Any) -> Any:
        return other(own, *args, **kwargs)

    return put(owner, name, instead)


def nothing(*_: Any) -> None:
    """Do nothing."""


# ---- what a trace notes ----


def _leaking(own: Any, self: Tracer) -> None:
    for handle in list(self.handles.values()):
        if handle.owner is handle.tensor and isinstance(handle.shadow._array, Traced):
            handle.tensor._array = handle.shadow._array.value.concrete
    own(self)


def _number_of(x: Any) -> Any:
    return x.value.concrete if isinstance(x, Proxy) and not x.value.shape else x


def _without_guard(own: Any, self: Tracer, tree: Any, operand: bool, number: bool) -> Any:
    return own(self, tree if operand else over_leaves(_number_of, tree), operand, number)


def _frozen(own: Any, self: Tracer, x: Any, name: str, kind: str, *where: Any) -> Any:
    return self.proxy_of(self.constant(x)) if kind == "entry" else own(self, x, name, kind, *where)


def _unnoticed(own: Any, self: Tracer, *args: Any) -> Any:
    try:
        return own(self, *args)
    finally:
        self.failed = None


def _forgotten(self: Tracer, reason: str) -> CompileError:
    return CompileError(reason)


def _changed_arguments(patch: pytest.MonkeyPatch) -> None:
    put(traced_call, "_written", lambda tracer: "")(patch)
    around(Table, "watch", lambda own, self, *_: own(self, [], []))(patch)


# ---- what a program is compared by ----


def _no_cells(own: Any, self: Snapshot) -> bool:
    gets, self.gets = self.gets, [get for get in self.gets if get.args[1:] != ("cell_contents",)]
    values, self.values = self.values, [x for get, x in zip(gets, self.values, strict=True) if get in self.gets]
    try:
        return bool(own(self))
    finally:
        self.gets, self.values = gets, values


def _no_contents(self: Snapshot) -> bool:
    return snapshot.all_same([get() for get in self.gets], self.values)


def _without(place: int) -> Callable[..., Any]:
    def described(own: Any, x: Any, flat: list[Any], seen: dict[int, int]) -> Any:
        found = own(x, flat, seen)
        return (*found[:place], *found[place + 1 :]) if type(x) is np.ndarray and len(found) == 3 else found

    return described


def _no_gradient_checks(own: Any, self: Wrapper) -> list[str]:
    return [check for check in own(self) if not check.endswith(("_grad is not None", "_grad is None"))]


def _without_modules(own: Any, self: Snapshot) -> None:
    self.kept = {key: kept for key, kept in self.kept.items() if key not in self.known}
    own(self)


# ---- what a run does ----


def _twice(own: Any, self: Replay, flat: list[Any]) -> Any:
    own(self, flat)
    return own(self, flat)


def _first_twice(own: Any, self: Replay, flat: list[Any]) -> Any:
    own(self, flat)
    return self.run(flat, self.steps[0], [False])


def _not_cleared(own: Any, *args: Any) -> Any:
    def then(trace: Any) -> Any:
        trace.cleared = []
        return args[-1](trace)

    return own(*args[:-1], then)


def _outputs_in_the_block(own: Any, program: Any) -> Any:
    return own(replace(program, outputs=[]))


def _at_one_offset(own: Any, program: Any) -> Any:
    plan = own(program)
    return replace(plan, places={v: 0 if isinstance(place, int) else place for v, place in plan.places.items()})


def _not_copied(targets: list[Any], tracer: Tracer) -> list[Any]:
    return [target.value.concrete for target in targets]


# What hostile functions find.
BY_HOSTILE_FUNCTIONS: dict[str, Plant] = {
    "a number without a guard": put(Tracer, "guarded", lambda self, value, answer: answer),
    "a shape without a guard": put(Tracer, "_guard_kinds", nothing),
    "a length without a guard": around(Tracer, "_unwrapped", _without_guard),
    "a shadow that leaks": around(Tracer, "let_go", _leaking),
    "a constant that is not copied": put(recorder, "frozen_copy", lambda array: array),
    "a first result that is not copied": put(traced_call, "_values", _not_copied),
    "an array of a module that is frozen": around(Tracer, "input", _frozen),
    "a setting that is frozen": put(Tracer, "hyperparameter", lambda self, owner, name, value: value),
    "an error that is caught and not noticed": around(Tracer, "_computed", _unnoticed),
    "a refusal that is caught and not noticed": put(Tracer, "refusal", _forgotten),
    "a thread that is not noticed": put(Tracer, "_refuse_strangers", nothing),
    "a result that is still held": put(traced_call, "_refuse_what_is_alive", nothing),
    "entropy that is drawn": put(traced_call, "ENTROPY_TOLD", []),
    "arguments that are changed": _changed_arguments,
    "globals that are not compared": around(
        table, "_names", lambda own, f, *kinds: [] if "_GLOBAL" in kinds else own(f, *kinds)
    ),
    "cells that are not compared": around(Snapshot, "unchanged", _no_cells),
    "attributes that are not compared": put(table, "_holders", lambda x, name: iter(())),
    "entries that are not compared": put(Snapshot, "unchanged", _no_contents),
    "a sign that is not compared": put(
        snapshot, "same", lambda a, b: a is b or (type(a) is type(b) and a == b is True)
    ),
    "a module's class that is not compared": put(Snapshot, "_note_class", nothing),
    "a gradient that is not compared": around(Wrapper, "_checks", _no_gradient_checks),
    "arrays whose shape, dtype and strides are not compared": put(Wrapper, "_checks_of_arrays", lambda self: []),
    "a signature without dtypes": around(signature, "_described", _without(1)),
    "a signature without strides": around(signature, "_described", _without(2)),
    "a signature without identity": around(signature, "_described", lambda own, x, flat, seen: own(x, flat, {})),
    "an effect that is not undone": put(Snapshot, "undo", nothing),
    "an effect on a module that is not undone": around(Snapshot, "undo", _without_modules),
    "a name that is not bound anew": put(Table, "rebound", lambda self: []),
    "a gradient that is not taken away": around(compiled, "traced", _not_cleared),
    "a step that is made twice": around(Replay, "__call__", _twice),
    "a first step that is made twice": around(Replay, "first", _first_twice),
    "memory that is still held": around(lowering, "planned", _outputs_in_the_block),
    "memory that is still read": around(lowering, "planned", _at_one_offset),
}  # fmt: skip


class _NoLock:
    def __enter__(self) -> None:
        """Wait for nobody."""

    def __exit__(self, *error: object) -> None:
        """Let nobody in."""

    def acquire(self, timeout: float = 0) -> bool:
        """Return that nobody waits."""
        return True

    release = __exit__


def _without_a_lock(patch: pytest.MonkeyPatch) -> None:
    put(turns, "in_turn", lambda turns, run, *args: run(*args))(patch)
    put(replay, "in_turn", turns.in_turn)(patch)
    put(replay, "turns_of", lambda owners: [_Open()])(patch)


class _Open(turns.Turn):
    """A turn that is always there."""

    def __init__(self) -> None:
        self.lock: Any = _NoLock()


def _in_parts(own: Any, self: Wrapper) -> str:
    text = str(own(self))
    whole = re.search(r"deque\(map\(call, functions, (.*), keys, (.*)\), 0\)", text)
    if whole is not None:
        parts = f"for call in zip(functions, {whole[1]}, keys, {whole[2]}):\n        call[0](*call[1:])"
        text = text.replace(whole[0], parts)
    return text


def _always_rewound(self: Replay, flat: list[Any], *rest: Any) -> Any:
    states = self.states()
    try:
        return self.run(flat, *rest)
    except BaseException:
        replay.rewind(states)
        raise


class _Nobody(WeakSet[Any]):
    """What remembers nobody."""

    def add(self, item: Any) -> None:
        """Do nothing."""


def _not_after_interrupts(own: Any, self: Snapshot) -> None:
    if not isinstance(sys.exception(), KeyboardInterrupt):
        own(self)


def _not_recorded(own: Any, x: Any, flat: list[Any], seen: dict[int, int]) -> Any:
    found = own(x, flat, seen)
    return found[:-1] if type(x) is Tensor and len(found) == 5 else found


def _without_hooks(own: Any, x: Any, flat: list[Any], seen: dict[int, int]) -> Any:
    found = own(x, flat, seen)
    whole = type(x) is Tensor and len(found) == 5
    return (*found[:-1], found[-1] and found[-1][:1]) if whole else found


# What tests of the contract find.
BY_TESTS: dict[str, Plant] = {
    "a step without a lock": _without_a_lock,
    "a lock that a fork takes along": put(turns, "_turns", _Nobody()),
    "a step that is put in place in parts": around(Wrapper, "text", _in_parts),
    "a draw that is not rewound": put(Replay, "_run", lambda self, flat, *rest: self.run(flat, *rest)),
    "a draw that is always rewound": put(Replay, "_run", _always_rewound),
    "a trace that is not undone": around(Snapshot, "undo", _not_after_interrupts),
    "memory that two arrays share": put(traced_call, "_refuse_shared_memory", nothing),
    "the first program is dropped": put(replay, "now", lambda: 0),
    "a signature without flags": put(compiled, "raising", lambda: ()),
    "a signature without hooks": around(signature, "_described", _without_hooks),
    "a signature without requires_grad": around(signature, "_described", _not_recorded),
}
