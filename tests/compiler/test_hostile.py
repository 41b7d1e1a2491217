"""Hostile functions, drawn at random: compiled, each keeps to the contract, call by call."""

from __future__ import annotations

import functools
import random
import re
from collections import Counter
from collections.abc import Callable

import pytest
from compiler.contract_model import Verdict, judge, verdict_on, verdicts
from compiler.hostile import EVERY, REACHED, Feature, Scenario, scenario, scenarios
from compiler.obedient import Obedient
from hypothesis import Phase, given, settings

DEEP = settings.default is not None and settings.default.max_examples >= 2000


@settings(max_examples=5000 if DEEP else 100, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(scenarios())
def test_hostile_functions_keep_to_the_contract(found: Scenario) -> None:
    judge(found)


# ---- the scenarios, and the judge, by a compiler that is told what is right ----


@functools.cache
def drawn() -> list[Scenario]:
    return [scenario(random.Random(seed)) for seed in range(400)]


def unreached(feature: Feature) -> str:
    """Return a feature's name, one of a module without how the module is reached."""
    return re.sub(r"^of a module .*:", "of a module:", feature.name)


def test_every_feature_and_every_verdict_is_drawn() -> None:
    names, ways, met = Counter[str](), Counter[str](), Counter[Verdict]()
    for found in drawn()[:300]:
        names.update({unreached(f) for f in found.features})
        ways.update({way for way in REACHED for f in found.features if f"a module {way}:" in f.name})
        met.update(set(verdicts(found)))
        assert 1 < len(found.features) < 5
        assert 2 < len(found.events) < 10
    assert {unreached(f) for f in EVERY} == set(names)
    assert set(REACHED) == set(ways)
    assert met.keys() >= {"live", "compared", "either", "frozen", "refused", "itself"}
    assert min(met["live"], met["compared"], met["refused"]) > 70


def test_a_compiler_that_obeys_is_accepted() -> None:
    for found in drawn()[:150]:
        assert verdict_on(found, Obedient) is None


def named(*names: str) -> Callable[[Feature], bool]:
    return lambda feature: unreached(feature) in names


BLIND: dict[str, Callable[[Feature], bool]] = {
    "globals": named("a global number", "a global flag"),
    "closures": lambda f: f.name.startswith("a closure's"),
    "numbers of other classes": named("one of equal numbers", "a zero with a sign"),
    "what a class has": named("an attribute of a class", "an attribute over its class's"),
    "what is not there": named("an attribute that may be missing", "a number or None"),
    "self": lambda f: f.needs == "self",
    "dicts": named("an entry of a dict", "a dict's keys"),
    "order": named("an ordered dict", "an ordered dict among the arguments"),
    "sets": named("a set's members", "a set among the arguments"),
    "identity": lambda f: f.state == "new",
    "tensors": lambda f: f.state == "live" and "tensor" in f.name,
    "hyperparameters": named("a learning rate", "a momentum", "betas", "a branch on the learning rate"),
    "gradients": named("a gradient that is set"),
    "modules": lambda f: f.name.startswith("of a module"),
    "what a module's class has": named("of a module: training", "of a module: an attribute of the class"),
    "a module's arrays": named("of a module: an array written into", "of a module: another array"),
    "modules that called functions reach": lambda f: f.name.startswith("of a module by a called"),
    "numbers whose value is asked": lambda f: f.argument == "value",
    "what a shape follows from": lambda f: f.argument == "shape",
    "live numbers": named("a number", "an integer", "a NumPy number", "a number in a dict"),
    "sameness": named("the same object"),
    "errors that are caught": lambda f: bool(f.fails),
    "changes in the table": named("sets an entry of a list", "counts in a dict", "counts in an attribute"),
    "random numbers": named("random.random", "np.random", "a new generator", "a generator in a closure"),
    "what is put away": lambda f: "away" in f.name,
}  # fmt: skip


@pytest.mark.parametrize("what", BLIND)
def test_a_compiler_that_does_not_see_something_is_found(what: str) -> None:
    compiler = functools.partial(Obedient, blind=BLIND[what])
    with_it = [found for found in drawn() if any(map(BLIND[what], found.features))]
    assert any(verdict_on(found, compiler) for found in with_it)


@pytest.mark.parametrize("fault", ["forgets to undo", "forgets the line", "traces always", "runs twice"])
def test_a_compiler_with_a_fault_is_found(fault: str) -> None:
    compiler = functools.partial(Obedient, fault=fault)
    assert any(verdict_on(found, compiler) for found in drawn())


def test_what_is_told_is_small() -> None:
    compiler = functools.partial(Obedient, blind=BLIND["closures"])
    first = next(found for found in drawn() if verdict_on(found, compiler))
    with pytest.raises(AssertionError) as broken:
        judge(first, compiler)
    message = str(broken.value)
    assert "def make(ran):" in message
    assert message.count("Call(") == 2
    assert message.count("Change(") == 1
    assert len(re.findall(r"def set_", message)) == 1
