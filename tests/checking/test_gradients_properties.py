"""No false alarm of `tg.gradcheck` on drawn programs, and no missed bug over the mutations of every rule.

The deep profile (HYPOTHESIS_PROFILE=deep) checks 10,000 programs and every mutation; the quick one a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pytest
from cases import SMOOTH
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn.engine.rules import Rule
from tinygrad_nn.testing import Case, mutate_rules, programs
from tinygrad_nn.testing.random_programs import Program

EXAMPLES = settings().max_examples
DEEP = EXAMPLES >= 2000


@pytest.mark.slow
@given(programs())
@settings(max_examples=10_000 if DEEP else EXAMPLES)
def test_right_programs_are_never_called_wrong(program: Program) -> None:
    report = tg.gradcheck(lambda *inputs: program.run(inputs), *program.inputs)
    assert report.verdict in ("OK", "PRECISION"), f"{program}\n{report}"


@pytest.mark.slow
@given(programs(), st.sampled_from(["float32", "float16"]))
def test_nor_are_they_in_less_precision(program: Program, dtype: str) -> None:
    report = tg.gradcheck(lambda *inputs: program.run(inputs), *[x.astype(dtype) for x in program.inputs])
    assert report.verdict in ("OK", "PRECISION"), f"{program}\n{report}"


BENT: dict[str, Callable[[Any], Any]] = {
    "relu": tg.relu,
    "abs": abs,
    "maximum with a number": lambda z: np.maximum(z, 0),
    "leaky": lambda z: np.maximum(z, 0.1 * z),
    "clip": lambda z: np.clip(z, -1, 1),
    "x |x|": lambda z: z * abs(z),
    "max": lambda z: z.max(axis=-1, keepdims=True) * z,
    "sort": lambda z: np.sort(z, axis=-1),
    "norm": lambda z: np.linalg.norm(z, axis=-1, keepdims=True) + z,
}


@pytest.mark.slow
@given(st.data(), st.sampled_from(["float64", "float32"]))
def test_right_networks_on_their_kinks_are_never_called_wrong(data: st.DataObject, dtype: str) -> None:
    """Whole numbers and no biases: kinks and ties are met all the time, many of them at once."""
    n, d, hidden, out = [data.draw(st.integers(1, most)) for most in (5, 4, 16, 4)]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    inner, outer = [data.draw(st.sampled_from(list(BENT))) for _ in range(2)]
    whole = data.draw(st.booleans())
    first, second = [
        rng.integers(-2, 3, shape) if whole else rng.normal(size=shape) for shape in ((d, hidden), (hidden, out))
    ]
    arrays = [x.astype(dtype) for x in (rng.integers(-1, 2, (n, d)), first, np.zeros(hidden), second)]
    report = tg.gradcheck(lambda x, w, b, v: BENT[outer](BENT[inner](x @ w + b) @ v), *arrays)
    assert report, f"{inner}, {outer}, {arrays}\n{report}"


SATURATED: list[Callable[[Any], Any]] = [
    tg.softmax, tg.log_softmax, tg.logsumexp, tg.sigmoid, tg.tanh, tg.softplus, tg.gelu, tg.erf, np.square,
    lambda z: tg.binary_cross_entropy_with_logits(z, np.arange(z.size).reshape(z.shape) % 2.0),
]  # fmt: skip


@pytest.mark.slow
@given(st.data(), st.sampled_from(["float64", "float32"]))
@settings(max_examples=4 * EXAMPLES)
def test_right_functions_far_out_are_never_called_wrong(data: st.DataObject, dtype: str) -> None:
    """Logits of all sizes up to hundreds, where derivatives are tiny and rounding is not."""
    n, m = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(size=(n, m)) * 10 ** rng.uniform(-3, 2, (n, m) if data.draw(st.booleans()) else ())
    function = data.draw(st.sampled_from(SATURATED))
    report = tg.gradcheck(lambda x, w: function(x @ w), x.astype(dtype), rng.normal(size=(m, m)).astype(dtype))
    assert report.verdict in ("OK", "PRECISION"), report


def turned(c: Any) -> Any:
    """Return a cotangent transposed, or in reverse where that would be another shape."""
    square = c.ndim >= 2 and c.shape[-1] == c.shape[-2]
    return np.swapaxes(c, -1, -2) if square else np.flip(c, -1) if c.ndim else c


MUTATIONS: dict[str, Callable[[Any], Any]] = {
    "twice": lambda c: 2 * c,
    "sign": lambda c: -c,
    "turned": turned,
    "dropped": lambda c: 0 * c,
    "a millionth": lambda c: (1 + 1e-6) * c,
}


@dataclass(frozen=True)
class Mutant:
    """One sample of an operation, with its rule for one input corrupted."""

    case: Case
    position: int
    mutation: str

    def __str__(self) -> str:
        return f"{self.case}-{self.position}-{self.mutation}"

    @property
    def rule(self) -> Rule:
        operation = self.case.operation
        assert operation is not None
        found: Rule = next(islice(operation.rules, self.position, None))
        return found

    @contextmanager
    def planted(self) -> Iterator[None]:
        rule, corrupt = self.rule, MUTATIONS[self.mutation]
        pull, into = rule.pull, rule.into
        rule.pull, rule.into = (lambda g, saved: corrupt(pull(g, saved))), None
        try:
            yield
        finally:
            rule.pull, rule.into = pull, into


def function_of(case: Case) -> tuple[Callable[..., Any], list[np.ndarray]]:
    """Return a sample's call as a function of the inputs that have a derivative, and those."""
    names = {f"x{i}": case.leaves[i] for i in case.active}

    def function(*inputs: Any) -> Any:
        given = dict(zip(names, inputs, strict=True))
        return case.smooth([given.get(f"x{i}", x) for i, x in enumerate(case.leaves)])

    return function, list(names.values())


PRIMITIVE = [case for case in SMOOTH if case.operation is not None and any(case.leaves[i].size for i in case.active)]
MUTANTS = [
    Mutant(case, position, name)
    for case in PRIMITIVE
    for position in case.active
    for name in MUTATIONS
    if (case.name, name) != ("astype", "a millionth")  # values rounded to float32 can't tell so small an error
]
"""A variadic operation's inputs are its leaves, in a row: so are their rules."""


def quick_sample(everything: list[Any], n: int) -> list[Any]:
    chosen = np.random.default_rng(0).permutation(len(everything))[:n]
    return everything if DEEP else [everything[i] for i in sorted(chosen)]


@pytest.mark.parametrize("case", quick_sample(PRIMITIVE, 60), ids=str)
def test_operations_are_never_called_wrong(case: Case) -> None:
    function, inputs = function_of(case)
    report = tg.gradcheck(function, *inputs)
    assert report, report


@pytest.mark.parametrize("mutant", quick_sample(MUTANTS, 100), ids=str)
def test_no_mutation_is_missed(mutant: Mutant) -> None:
    function, inputs = function_of(mutant.case)
    right = gradients(function, inputs)
    with mutant.planted():
        wrong = gradients(function, inputs)
        if all(map(same, right, wrong)):
            return  # such as a sum's rule, which is the same when it is transposed
        report = tg.gradcheck(function, *inputs)
    assert report.verdict == "BUG", report
    assert report.culprit == mutant.case.name, report


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.allclose(a, b, rtol=0, atol=1e-9 * np.abs(a).max(initial=0) + 1e-14)  # what should be 0 is rounding


def gradients(function: Callable[..., Any], inputs: list[np.ndarray]) -> list[np.ndarray]:
    variables = [tg.tensor(x, requires_grad=True) for x in inputs]
    results = [y for y in function(*variables) if y.requires_grad]
    rng = np.random.default_rng(3)
    seeds = [np.where(np.isfinite(y.data), rng.uniform(0.5, 1.5, y.shape), 0).astype(y.dtype) for y in results]
    found = tg.autograd.grad(results, variables, seeds, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g.data for g, x in zip(found, inputs, strict=True)]


@pytest.mark.slow
def test_assert_gradients_misses_no_mutated_rule() -> None:
    inputs = [np.random.default_rng(1).uniform(0.5, 1.5, shape) for shape in ((2, 3), (3, 2), (2,))]

    def function(x: Any, w: Any, b: Any) -> Any:
        return tg.logsumexp(tg.tanh(x @ w + b) / x[:, :2], axis=1)

    rules = [tg.add, tg.tanh, tg.divide, tg.logsumexp]
    report = mutate_rules(lambda: tg.assert_gradients(function, *inputs, order=2), rules)
    assert report, report
