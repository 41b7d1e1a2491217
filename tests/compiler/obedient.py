"""A compiler that keeps to the contract because it is told the scenario, and ways to break it.

It shows that the judge accepts what is right, and that the scenarios are dense enough to find what is not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from compiler import contract
from compiler.contract_model import Trial
from compiler.hostile import Call, Feature

from tinygrad_nn.errors import CompileError


def apart(result: Any) -> Any:
    """Return a result, each array of it in memory of its own."""
    if isinstance(result, dict):
        return {key: apart(part) for key, part in result.items()}
    if isinstance(result, list):
        return [apart(part) for part in result]
    return copy.copy(result)


def nothing(feature: Feature) -> bool:
    """Return False: a compiler that is blind to nothing."""
    return False


class Obedient:
    """Runs the function where it must be traced; where it must be replayed too, but uncounted, with what is frozen.

    A broken one is `blind` to some features: their states and arguments stay those of the trace, and what is refused
    is not. Or it has one fault: it "forgets to undo" a call that is refused, "forgets the line", "traces always", or
    "runs twice" where it traces.
    """

    def __init__(self, trial: Trial, blind: Callable[[Feature], bool] = nothing, fault: str = "") -> None:
        self.trial, self.fault = trial, fault
        self.features = trial.model.features
        self.blind = {n for n, f in self.features.items() if blind(f)}
        self.programs: dict[tuple[Any, ...], tuple[dict[int, str], dict[int, str]]] = {}

    def __call__(self, *args: Any) -> Any:
        call, model = self.trial.event, self.trial.model
        assert isinstance(call, Call)
        full = model.key(call)
        key = tuple([part for part in (*full.strict, *full.loose) if part[0] not in self.blind])
        refused = [n for n, value in model.states.items() if self.features[n].refused and value == "True"]
        failing = [n for n, argument in call.arguments if argument in self.features[n].fails]
        singular = [n for n, argument in call.arguments if argument in self.features[n].singular]
        refused, failing, singular = (
            [n for n in found if n not in self.blind] for found in (refused, failing, singular)
        )
        if refused or (failing and key not in self.programs):
            self.refuse(args, [*refused, *failing])
        if key in self.programs and not failing and not singular and self.fault != "traces always":
            return self.replay(*self.programs[key], call, list(args))
        if not failing and not singular:
            self.programs[key] = dict(model.states), dict(call.arguments)
        if self.fault == "runs twice":
            contract.ran()
        return apart(contract.plain(self.trial.world.function(*args)))

    def refuse(self, args: tuple[Any, ...], features: list[int]) -> None:
        world = self.trial.world
        if self.fault == "forgets to undo":
            world.function(*args)
        line = world.own_lines(self.trial.scenario.features)[0]
        raise CompileError("return it" if self.fault == "forgets the line" else f"{world.file}:{line}: return it")

    def replay(self, states: dict[int, str], arguments: dict[int, str], call: Call, args: list[Any]) -> Any:
        """Run the function as a program does: with the trace's states and arguments where they are not seen."""
        world, now = self.trial.world, dict(self.trial.model.states)
        old = {n: value for n, value in states.items() if self.features[n].state == "frozen" or n in self.blind}
        for place, (n, _) in enumerate(call.arguments, 1):
            if n in self.blind:
                args[place] = args[0] if arguments[n] == "SAME" else world.value(arguments[n], n)
        for n, value in old.items():
            world.set(n, value)
        try:
            return contract.uncounted(lambda: apart(contract.plain(world.function(*args))))
        finally:
            for n in old:
                world.set(n, now[n])
