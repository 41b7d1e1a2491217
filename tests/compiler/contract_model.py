"""What the compiler's contract says of a hostile scenario, call by call, and whether a compiled function keeps to it.

The model knows the scenario's description only: it runs nothing. The judge runs the function twice from equal state,
eagerly and compiled, and holds both to the model.
"""

from __future__ import annotations

import copy
import linecache
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import numpy as np
from compiler.contract import plain, ran, runs_of
from compiler.hostile import INPUTS, Call, Change, Feature, Scenario, numbered, smaller
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

# live: replayed         compared: traced, at first or anew      either: replayed or traced, right in any case
# frozen: replayed, with a value of an earlier trace             refused: an error, and all is as before
# itself: the function runs instead of its program               unsure: traced, and refused, or as itself
Verdict = Literal["live", "compared", "either", "frozen", "refused", "itself", "unsure"]


@dataclass(frozen=True)
class Key:
    """What a program is for: what must differ for a trace, what may, and the part of both that is the table's."""

    strict: tuple[Any, ...]
    loose: tuple[Any, ...]
    table: tuple[Any, ...]


class Model:
    """What the contract says of a scenario's calls, in turn."""

    def __init__(self, scenario: Scenario) -> None:
        self.features = dict(enumerate(scenario.features))
        self.core = scenario.core
        self.states, self.serials = dict(scenario.start), dict.fromkeys(self.features, 0)
        self.has_gradient = any(self.features[n].needs == "gradient" and value != "None" for n, value in scenario.start)
        self.programs: dict[tuple[Any, Any], dict[int, str]] = {}
        self.table: tuple[Any, ...] | None = None

    def change(self, change: Change) -> None:
        """Take note of a state that was set."""
        self.states[change.feature] = change.value
        self.serials[change.feature] += 1
        if self.features[change.feature].needs == "gradient":
            self.has_gradient = change.value != "None"

    def frozen(self) -> dict[int, str]:
        """Return the states that a program keeps as they are when it is traced."""
        return {n: value for n, value in self.states.items() if self.features[n].state == "frozen"}

    def key(self, call: Call) -> Key:
        """Return what the program for a call would be for."""
        strict: list[Any] = [("gradient", self.has_gradient)] if self.core == "gradient" else []
        loose: list[Any] = []
        for n, value in self.states.items():
            state = self.features[n].state
            if state in ("compared", "moved", "new"):
                strict.append((n, value))
            if state in ("seen", "new"):
                loose.append((n, value, self.serials[n]))
        table = (*strict, *loose)
        strict.append(("x", INPUTS[call.x]))
        for n, argument in call.arguments:
            kind = self.features[n].argument
            if kind in ("value", "shape"):
                strict.append((n, dict(self.features[n].arguments)[argument] if kind == "shape" else argument))
            elif kind == "seen":
                loose.append((n, argument))
        return Key(tuple(strict), tuple(loose), table)

    def verdict(self, call: Call) -> Verdict:
        """Return what a call must do."""
        key = self.key(call)
        if any(self.features[n].refused and value == "True" for n, value in self.states.items()):
            return "refused"
        known = (key.strict, key.loose) in self.programs and key.table == self.table
        new = all(strict != key.strict for strict, _ in self.programs)
        if self._has(call, "fails"):
            return "itself" if known else "unsure" if self.programs or not new else "refused"
        if self._has(call, "singular"):
            return "itself"
        if known:
            return "live" if self.programs[key.strict, key.loose] == self.frozen() else "frozen"
        return "compared" if new else "either"

    def _has(self, call: Call, what: Literal["fails", "singular"]) -> bool:
        return any(argument in getattr(self.features[n], what) for n, argument in call.arguments)

    def called(self, call: Call, verdict: Verdict, runs: int) -> dict[int, str]:
        """Take note of a call that was not refused, and return the frozen states with which its result was computed."""
        key, now = self.key(call), self.frozen()
        if verdict not in ("itself", "unsure"):
            used = self.programs.get((key.strict, key.loose), now) if runs == 0 else now
            self.programs[key.strict, key.loose] = used
        else:
            used = now
        self.table = key.table
        self.has_gradient = self.has_gradient or self.core == "gradient"
        for n, feature in self.features.items():
            if feature.after:
                self.states[n] = repr(eval(feature.after, {"value": eval(self.states[n])}))
        return used


RUNS: dict[Verdict, set[int]] = {
    "live": {0}, "frozen": {0}, "compared": {1}, "either": {0, 1}, "itself": {1}, "unsure": {1}, "refused": {0, 1},
}  # fmt: skip


def verdicts(scenario: Scenario) -> list[Verdict]:
    """Return what a scenario's calls must do, if the function runs whenever it may."""
    model, found = Model(scenario), []
    for event in scenario.events:
        if isinstance(event, Change):
            model.change(event)
        else:
            found.append(verdict := model.verdict(event))
            if verdict not in ("refused", "unsure"):
                model.called(event, verdict, max(RUNS[verdict]))
    return found


# ---- the judge ----

Compiler = Callable[["Trial"], Callable[..., Any]]

_numbers = count()


class World:
    """A scenario's function with state of its own."""

    def __init__(self, scenario: Scenario) -> None:
        self.file, self.source = f"<hostile {next(_numbers)}>", scenario.source
        linecache.cache[self.file] = (len(self.source), None, self.source.splitlines(keepends=True), self.file)
        self.space: dict[str, Any] = {"__name__": "hostile"}
        exec(compile(self.source, self.file, "exec", dont_inherit=True), self.space)
        self.function, self.setters, self.shown = self.space["make"](ran)
        self.tensors = scenario.tensors
        for change in scenario.start:
            self.set(*change)

    def value(self, source: str, number: int) -> Any:
        return eval(numbered(source, number), self.space)

    def set(self, number: int, source: str) -> None:
        self.setters[number](self.value(source, number))

    def arguments(self, call: Call) -> list[Any]:
        x = self.value(call.x, 0)
        x = tg.tensor(x) if self.tensors else x
        return [x, *[x if source == "SAME" else self.value(source, n) for n, source in call.arguments]]

    def own_lines(self, features: tuple[Feature, ...]) -> list[int]:
        """Return the lines that a refusal may name: those of the function, and of what it calls to be refused."""
        lines = self.source.splitlines()
        texts = {
            line.strip()
            for n, f in enumerate(features)
            if f.refused
            for line in numbered(f.top + f.inside, n).split("\n")
        }
        start = next(n for n, line in enumerate(lines) if re.match(r"\s+(def (f|whole|original)\(|class Owner)", line))
        end = next(n for n, line in enumerate(lines) if line.strip().startswith(("def set_", "def shown")))
        return [n + 1 for n, line in enumerate(lines) if start <= n < end or line.strip() in texts]


def copied(value: Any) -> Any:
    """Return a copy of what is shown of a world, which later writes don't reach."""
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([copied(part) for part in value])
    return np.array(value.data) if isinstance(value, tg.Tensor) else np.array(value) if np.ndim(value) else value


def compared(found: Any, expected: Any) -> bool:
    """Return whether two arguments, or two lists of what is shown, are the same."""
    if hasattr(found, "__dataclass_fields__"):
        return compared(vars(found), vars(expected))
    if isinstance(found, dict):
        return list(found) == list(expected) and all(compared(found[key], expected[key]) for key in found)
    if isinstance(found, (list, tuple)):
        return len(found) == len(expected) and all(map(compared, found, expected))
    return found == expected if isinstance(found, (set, str)) else same(plain(found), plain(expected))


class Broken(AssertionError):
    """A compiled function does not keep to the contract."""

    def __init__(self, what: str, scenario: Scenario) -> None:
        super().__init__(f"{what}\n{scenario!r}")
        self.scenario = scenario


def judge(scenario: Scenario, compiler: Compiler | None = None) -> None:
    """Raise Broken, with the function and its events, where compiling the scenario's function breaks the contract.

    What is told is the smallest scenario that breaks it, reached by leaving out one thing after another.
    """
    broken = verdict_on(scenario, compiler)
    while broken is not None:
        found = (verdict_on(less, compiler) for less in smaller(broken.scenario))
        less = next((other for other in found if other is not None), None)
        if less is None:
            raise broken
        broken = less


def verdict_on(scenario: Scenario, compiler: Compiler | None = None) -> Broken | None:
    """Return how compiling the scenario's function breaks the contract, None if it doesn't."""
    try:
        with _generators_kept():
            Trial(scenario, compiler).run()
    except Broken as broken:
        return broken
    return None


@contextmanager
def _generators_kept() -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


class Trial:
    """A scenario that is run, eagerly and compiled; `compiler` may stand for `tg.compile`, and is told of the trial."""

    def __init__(self, scenario: Scenario, compiler: Compiler | None = None) -> None:
        self.scenario, self.model = scenario, Model(scenario)
        self.world, self.eager = World(scenario), World(scenario)
        self.place, self.verdict = 0, ""
        self.results: list[tuple[Any, Any]] = []  # of earlier calls, and what they were
        function = self.world.function
        self.step = tg.compile(function, exact=True) if compiler is None else compiler(self)

    @property
    def event(self) -> Call | Change:
        return self.scenario.events[self.place]

    def run(self) -> None:
        with np.errstate(all="ignore"):
            for place, event in enumerate(self.scenario.events):
                self.place = place
                if isinstance(event, Change):
                    self.model.change(event)
                    for world in (self.world, self.eager):
                        world.set(event.feature, event.value)
                else:
                    self.call(event)

    def call(self, call: Call) -> None:
        verdict = self.verdict = self.model.verdict(call)
        args, before, states = self.world.arguments(call), copied(self.world.shown()), _states()
        try:
            found, runs = runs_of(lambda: self.step(*args))
        except CompileError as error:
            message = str(error)
            self.hold(verdict in ("refused", "unsure"), lambda: f"refused, though right: {message}")
            self.check_refusal(message, args, call, before, states)
            return
        except Exception as error:
            raise self.broken(f"{type(error).__name__}: {error}") from error
        self.hold(verdict != "refused", lambda: "not refused")
        self.hold(runs in RUNS[verdict], lambda: f"the function ran {runs} times")
        self.check_result(call, args, found, self.model.called(call, verdict, runs))

    def check_result(self, call: Call, args: list[Any], found: Any, frozen: dict[int, str]) -> None:
        """Check a result, the arguments and all that is shown against the eager function's, run with frozen states."""
        now = {n: value for n, value in self.model.states.items() if n in frozen}
        others = self.eager.arguments(call)
        for n, value in frozen.items():
            self.eager.set(n, value)
        expected = plain(self.eager.function(*others))
        for n, value in now.items():
            self.eager.set(n, value)
        self.hold(same(found, expected), lambda: f"{found} is not {expected}")
        self.hold(compared(args, others), lambda: f"the arguments are {args}, not {others}")
        if self.verdict not in ("itself", "unsure"):  # what the function itself returns may share memory
            self.check_memory(args, found)
        shown, right = self.world.shown(), self.eager.shown()
        self.hold(compared(shown, right), lambda: f"afterwards there is {shown}, not {right}")

    def check_memory(self, args: list[Any], found: Any) -> None:
        """Check that results lie in memory of their own, and stay what they were, until the caller writes into them."""
        own, others = list(_arrays(found)), list(_arrays([args, self.world.shown()]))
        apart = [a for n, x in enumerate(own) for a in [*own[:n], *others] if np.may_share_memory(x, a)]
        self.hold(not apart, lambda: f"{found} shares memory with {apart}")
        for earlier, then in self.results:
            if not same(earlier, then):
                raise self.broken(f"a result became {earlier}, it was {then}")
        self.results.append((found, copy.deepcopy(found)))
        if len(self.results) == 3:
            for array in _arrays(self.results.pop(0)[0]):
                array[...] = 7

    def check_refusal(self, message: str, args: list[Any], call: Call, before: Any, states: Any) -> None:
        """Check that a refusal names a line, and that everything is as before."""
        named = [int(n) for n in re.findall(rf"{re.escape(self.world.file)}:(\d+)", message)]
        self.hold(
            {*named} & {*self.world.own_lines(self.scenario.features)}, lambda: f"no line of it is named: {message}"
        )
        fresh, shown = self.world.arguments(call), self.world.shown()
        self.hold(compared(args, fresh), lambda: f"the arguments are {args} after a refusal")
        self.hold(compared(copied(shown), before), lambda: f"there is {shown} after a refusal, before it {before}")
        self.hold(_states() == states, lambda: "a generator has drawn in a call that was refused")

    def hold(self, condition: object, what: Callable[[], str]) -> None:
        if not condition:
            raise self.broken(what())

    def broken(self, what: str) -> Broken:
        return Broken(f"event {self.place} ({self.verdict}): {what}", self.scenario)


def _arrays(tree: Any) -> Iterator[np.ndarray]:
    """Yield the arrays in a result, in arguments or in what is shown."""
    if isinstance(tree, tg.Tensor):
        yield tree.data
    elif isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, (dict, list, tuple)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _arrays(part)


def _states() -> Any:
    legacy: Any = np.random.get_state()
    return random.getstate(), legacy[1].tolist(), legacy[2:]
