"""Slopes of special functions whose values are SciPy's, and which cancel: against mpmath, by the terms they add up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from by_mpmath import m
from slopes import FLOATS, leaf

import tinygrad_nn as tg
from tinygrad_nn.tensor.numpy_protocols import SCIPY_FUNCTIONS

pytest.importorskip("scipy")
# SciPy promises no bound; what is more than this many of its own last digits is a rule's doing.
UNITS = 64


@dataclass(frozen=True)
class Special:
    """A function, mpmath's, its operands, and by order the sum of the absolute terms of its derivative by the first."""

    call: Callable[..., Any]
    exact: Callable[..., Any]
    operands: Sequence[tuple[float, ...]]
    terms: dict[int, Callable[..., Any]]


def _psi(n: int, x: Any) -> Any:
    """Return a polygamma's absolute terms: digamma is log(x) - 1 / 2x - ..., and has a root."""
    return abs(m.log(x)) + 1 / x if n == 0 else abs(m.psi(n, x))


def _both(n: int, a: Any, b: Any) -> Any:
    return _psi(n, a) + _psi(n, a + b)


def _bessel(kind: str, n: int, function: Callable[..., Any]) -> Special:
    def terms(order: int) -> Callable[..., Any]:
        def of(x: Any) -> Any:
            near = [abs(function(n + k, x)) for k in range(-order, order + 1, 2)]
            return sum(near) + abs(x) * sum(abs(function(n + k, x)) for k in (-order - 1, order + 1))

        return of

    points = [1e-8, 0.1, 0.5, 1.0, 2.404825557695773, 3.0, 5.135622301840683, 10.0, 30.5]
    signs = (1,) if kind == "y" else (1, -1)
    operands = [(s * x,) for x in points for s in signs]
    return Special(SCIPY_FUNCTIONS[f"{kind}{n}"], lambda x: function(n, x), operands, {k: terms(k) for k in (1, 2)})


_PAIRS = list(itertools.product((1e-3, 0.3, 0.5, 1.0, 1.5, 2.0, 4.5, 30.0), repeat=2))
_RIGHT = [(x,) for x in (0.5, 0.75, 1.0, 1.4616321449683623, 2.0, 3.5, 10.0, 30.0)]
_LEFT = [(x,) for x in (0.25, 1e-9, 0.0, -1e-9, -0.5, -1.0, -1.5, -2.0, -3.25, -10.0)]
SPECIAL = {
    "beta": Special(
        tg.beta, m.beta, _PAIRS,
        {1: lambda a, b: m.beta(a, b) * _both(0, a, b),
         2: lambda a, b: m.beta(a, b) * (_both(0, a, b) ** 2 + _both(1, a, b))},
    ),
    "betaln": Special(
        tg.betaln, lambda a, b: m.log(m.beta(a, b)), _PAIRS,
        {1: lambda a, b: _both(0, a, b), 2: lambda a, b: _both(1, a, b)},
    ),
    "rgamma, x >= 0.5": Special(
        tg.rgamma, m.rgamma, _RIGHT,
        {1: lambda x: m.rgamma(x) * _psi(0, x), 2: lambda x: m.rgamma(x) * (_psi(0, x) ** 2 + _psi(1, x))},
    ),
    "rgamma, x < 0.5": Special(
        tg.rgamma, m.rgamma, _LEFT,
        {1: lambda x: m.gamma(1 - x) * (abs(m.cospi(x)) + abs(m.sinpi(x)) * _psi(0, 1 - x) / m.pi)},
    ),
    **{f"j{n}": _bessel("j", n, m.besselj) for n in (0, 1)},
    **{f"y{n}": _bessel("y", n, m.bessely) for n in (0, 1)},
    **{f"i{n}": _bessel("i", n, m.besseli) for n in (0, 1)},
}  # fmt: skip


def _derivative(special: Special, order: int, operands: list[Any]) -> Any:
    """Return the derivative by the first operand, by reverse mode."""
    inputs = [leaf(x) for x in operands]
    y = special.call(*inputs)
    for _ in range(order):
        (y,) = tg.autograd.grad(y.sum(), inputs[0], create_graph=True)
    return y.data


@pytest.mark.parametrize("some", [slice(1, None, 7), pytest.param(slice(None), marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [n if n != "y1" else pytest.param(n, marks=pytest.mark.slow) for n in SPECIAL])
def test_a_slope_is_right_to_its_terms(name: str, dtype: Any, some: slice) -> None:
    special = SPECIAL[name]
    operands = [np.array(x, dtype) for x in zip(*special.operands[some], strict=True)]
    for order, terms in special.terms.items():
        found = _derivative(special, order, operands)
        assert found.dtype == dtype
        with m.workdps(60):
            for *at, got in zip(*operands, found, strict=True):
                x = [m.mpf(float(v)) for v in at]
                right = m.diff(special.exact, tuple(x) if len(x) > 1 else x[0], (order, 0) if len(x) > 1 else order)
                bound = UNITS * float(np.finfo(dtype).eps) * terms(*x)
                assert abs(m.mpf(float(got)) - right) <= bound, (order, at, got, m.nstr(right, 17))
