"""Every operation that PyTorch or SciPy has as well, held against theirs on calls that Hypothesis draws."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from optional import pytorch

torch = pytorch()

from counterparts import NEITHER, SCIPY, TORCH, UP_TO_SIGNS, NoCounterpart  # noqa: E402
from drawn import CALLS, EXAMPLES, cases  # noqa: E402
from references import reads_a_triangle  # noqa: E402

from tinygrad_nn.testing import Case, planted_rule  # noqa: E402
from tinygrad_nn.testing.case import close, listed  # noqa: E402
from tinygrad_nn.transforms import autograd  # noqa: E402


def test_every_operation_has_a_counterpart_or_is_known_to_have_none() -> None:
    assert set(CALLS) == {*TORCH, *SCIPY, *NEITHER}
    assert not NEITHER & {*TORCH, *SCIPY}


def of_torch(name: str, case: Case, leaves: list[Any]) -> list[Any]:
    """Return the results of PyTorch's function, which reads a symmetric matrix as ours does."""
    if reads_a_triangle(case):
        leaves = [(x + x.mT) / 2 if x.ndim > 1 else x for x in leaves]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # even kernels with padding "same", what is to come of outer
        return listed(TORCH[name](*case.arguments(leaves), **case.parameters))


@pytest.mark.parametrize("name", [name for name in CALLS if name in TORCH])
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_values_and_gradients_are_pytorchs(name: str, data: Any) -> None:
    case = data.draw(cases(name))
    leaves = case.tensors()
    theirs = [torch.tensor(np.array(x)) if isinstance(x, np.ndarray) else x for x in case.leaves]
    for i in case.active:
        theirs[i].requires_grad_()
    try:
        expected = of_torch(name, case, theirs)
    except NoCounterpart:
        reject()
    results = case.results(leaves)
    if name in UP_TO_SIGNS:
        results, expected = [y * y for y in results], [y * y for y in expected]
    assert len(results) == len(expected)
    for y, e in zip(results, expected):
        assert y.shape == tuple(e.shape), case.fails(f"shape {y.shape}, PyTorch's {tuple(e.shape)}")
        same = close(y.data.astype(float), e.detach().numpy().astype(float), 64 * case.eps)
        assert same, case.fails(f"{y.data}, PyTorch's {e}")
    pairs = [(y, e) for y, e in zip(results, expected) if e.requires_grad]
    compare_gradients(case, pairs, [leaves[i] for i in case.active], [theirs[i] for i in case.active])


def compare_gradients(case: Case, pairs: list[Any], active: list[Any], theirs: list[Any]) -> None:
    """The gradients of all results that PyTorch records are PyTorch's: 0 for one that isn't recorded here."""
    rng = np.random.default_rng(6)
    seeds = [rng.uniform(-1.5, 1.5, y.shape).astype(y.dtype) for y, _ in pairs]
    ours = [(y, u) for (y, _), u in zip(pairs, seeds) if y.requires_grad]
    found: Any = [None] * len(active)
    known = found
    if ours:
        found = autograd.grad([y for y, _ in ours], active, [u for _, u in ours], allow_unused=True)
    if pairs:
        known = torch.autograd.grad([e for _, e in pairs], theirs, list(map(torch.tensor, seeds)), allow_unused=True)
    for x, g, k in zip(active, found, known):
        gradient, right = [np.zeros(x.shape) if v is None else np.asarray(v.detach()) for v in (g, k)]
        assert close(gradient, right, 1024 * case.eps), case.fails(f"gradient {gradient}, PyTorch's {right}")


@pytest.mark.parametrize("name", [name for name in CALLS if name in SCIPY])
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_values_are_scipys(name: str, data: Any) -> None:
    case = data.draw(cases(name))
    expected = SCIPY[name](*case.arguments(case.leaves), **case.parameters)
    if expected is None:
        reject()
    (y,) = case.values
    assert close(y, np.asarray(expected), 64 * case.eps), case.fails(f"{y}, SciPy's {expected}")


def test_a_slope_that_is_a_billionth_off_is_noticed() -> None:
    """Central differences don't see it."""
    with (
        planted_rule("sin", "x", lambda g, x: g * np.cos(x) * (1 + 1e-9)),
        pytest.raises(AssertionError, match="'sin'"),
    ):
        test_values_and_gradients_are_pytorchs(name="sin")
