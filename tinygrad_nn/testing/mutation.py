"""Do gradient tests have teeth? Rules are mutated one at a time, and mutants with which a test passes are listed."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..engine import cotangents
from ..engine.operation import OPERATIONS, Operation
from ..engine.rules import Rule
from .mutators import Effect, Pull, mutations
from .planting import declared_rules, operation_of, planted

Ruled = tuple[Operation, int]


@dataclass(frozen=True)
class Mutant:
    """One mutated rule: its operation, its argument, and how it was changed.

    >>> import tinygrad_nn as tg
    >>> print(tg.testing.Mutant("tanh", "x", "drops the factor g"))
    tanh for x: drops the factor g
    """

    operation: str
    argument: str
    mutation: str

    def __str__(self) -> str:
        return f"{self.operation} for {self.argument}: {self.mutation}"


@dataclass(frozen=True)
class MutationReport:
    """What became of the mutants; true if the test has teeth: it noticed some, and none survived.

    `survivors` changed a derivative that the test computed, and the test passed. Mutants `without_effect` changed none,
    so no assertion could have noticed them: they are equivalent to the rule, or the test never reaches a point where
    they differ. `unused` are rules of the chosen `operations` that the test never used.

    >>> import tinygrad_nn as tg
    >>> mutant = tg.testing.Mutant("tanh", "x", "drops the factor g")
    >>> report = tg.testing.MutationReport(noticed=(), survivors=(mutant,), without_effect=())
    >>> bool(report)
    False
    """

    noticed: tuple[Mutant, ...]
    survivors: tuple[Mutant, ...]
    without_effect: tuple[Mutant, ...]
    unused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.noticed) and not self.survivors

    def __str__(self) -> str:
        count = sum(map(len, (self.noticed, self.survivors, self.without_effect)))
        share = f"{len(self.noticed)} of {count} mutated rules were noticed"
        lines = [share if count else "no rule was mutated: the test computes no derivative by these operations"]
        for title, found in (
            ("survived, though they changed a derivative", self.survivors),
            ("changed no derivative that the test computes", self.without_effect),
            ("never used by the test", self.unused),
        ):
            lines += [f"{title}:", *[f"  {each}" for each in found]] if found else []
        return "\n".join(lines)


def mutate_rules(test: Callable[[], Any], operations: Iterable[Any] | None = None) -> MutationReport:
    """Return which mutations of derivative rules a test notices, and which survive.

    `test` takes no arguments and raises if something is wrong. It runs once unchanged, then once for each mutation of
    each rule that it used, in this context only; `operations` are those to mutate, functions or names, by default all.
    A rule's sign is flipped; the cotangent, or an array that it reads, is dropped as a factor; its result is
    transposed; broadcast axes aren't summed over; what it reads keeps the values of its first use, or is taken for a
    constant when the rule is differentiated again. Whatever the test raises counts as noticing. Raises the test's own
    error if it fails without any mutation.

    >>> import tinygrad_nn as tg
    >>> def test():
    ...     slope = tg.grad(lambda x: tg.sum(x * x))
    ...     assert float(slope(3.0)) == 6.0
    >>> report = tg.testing.mutate_rules(test, [tg.multiply])
    >>> bool(report), len(report.noticed)
    (True, 4)
    >>> print(report.without_effect[0])  # for the test knows one number only
    multiply for a: transposes
    """
    chosen = list(OPERATIONS.values()) if operations is None else [operation_of(each) for each in operations]
    used = _used_by(test, chosen)
    noticed, survivors, without_effect = list[Mutant](), list[Mutant](), list[Mutant]()
    for op, position in used:
        for name, pull_of in mutations(op, position):
            mutant = Mutant(op.name, op.arguments[position], name)
            effect = Effect()
            with _mutated(op, position, pull_of, effect):
                failed = _fails(test)
            (noticed if failed else survivors if effect.seen else without_effect).append(mutant)
    unused = () if operations is None else [
        f"{op.name} for {op.arguments[position]}" for op, position in _ruled(chosen) if (op, position) not in used
    ]  # fmt: skip
    return MutationReport(tuple(noticed), tuple(survivors), tuple(without_effect), tuple(unused))


def _ruled(operations: Iterable[Operation]) -> list[Ruled]:
    """Return each operation with the positions of its inputs that have a rule."""
    return [
        (op, position)
        for op in operations
        for position, rule in zip(range(len(op.arguments)), declared_rules(op))
        if rule is not None
    ]


def _used_by(test: Callable[[], Any], operations: Iterable[Operation]) -> list[Ruled]:
    """Run the test, and return the rules that it used, in the order of their first use."""
    found: dict[Ruled, None] = {}

    def spied(key: Ruled, rule: Rule) -> Rule:
        def pull(g: Any, saved: Any) -> Any:
            found.setdefault(key)
            return rule.pull(g, saved)

        return _with_pull(rule, pull)

    rules = {key: _each(key, partial(spied, key)) for key in _ruled(operations)}
    try:
        with planted(rules):
            test()
    except Exception as error:
        error.add_note("the test fails as it is, before any rule was mutated; mutate_rules needs one that passes")
        raise
    return list(found)


def _fails(test: Callable[[], Any]) -> bool:
    """Return whether the test raises, including what pytest raises, which is not an Exception."""
    try:
        test()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return True
    return False


# ---- how a rule is replaced ----


def _with_pull(rule: Rule, pull: Pull) -> Rule:
    """Return the rule with another function; it no longer adds in place, which has a formula of its own."""
    other = copy.copy(rule)
    other.pull, other.into = pull, None
    return other


def _each(key: Ruled, change: Callable[[Rule], Rule]) -> Any:
    op, position = key
    declared = declared_rules(op)
    if not op.variadic:
        return change(declared[position])
    changed = copy.copy(declared)
    changed.rule = lambda index: change(declared.rule(index))
    return changed


_patching = threading.RLock()


@contextmanager
def _mutated(
    op: Operation, position: int, pull_of: Callable[[Rule, Effect], Pull] | None, effect: Effect
) -> Iterator[None]:
    """Plant a mutated rule; with `pull_of=None`, one whose result is not summed over broadcast axes.

    The engine does that sum for all rules alike, so it is the engine that is patched, by one thread at a time.
    """
    unsummed: set[Rule] = set()

    def change(rule: Rule) -> Rule:
        if pull_of is not None:
            return _with_pull(rule, pull_of(rule, effect))
        unsummed.add(other := _with_pull(rule, rule.pull))
        return other

    with _patching:
        project = cotangents.project

        def patched(c: Any, parent: Any, node: Any, rule: Any) -> Any:
            if rule not in unsummed or c.shape == parent.shape or not c.size:
                return project(c, parent, node, rule)
            declared, mutated = project(c, parent, node, rule), project(_first(c, parent.shape), parent, node, rule)
            effect.compare(mutated, declared)
            return mutated

        cotangents.project = patched
        try:
            with planted({(op, position): _each((op, position), change)}):
                yield
        finally:
            cotangents.project = project


def _first(c: Any, shape: tuple[int, ...]) -> Any:
    """Return the first of the slices that should be summed."""
    lead = c.ndim - len(shape)
    kept = [slice(None) if n == m else slice(0, 1) for n, m in zip(shape, c.shape[lead:], strict=True)]
    return c[(*[0] * lead, *kept)]
