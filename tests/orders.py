"""What is compiled of every operation: its value, gradient and second derivative, at points near its samples."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from cases import CASES

import tinygrad_nn as tg
from tinygrad_nn.testing import Case
from tinygrad_nn.testing.case import is_floating

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EVERY = [case for cases in CASES.values() for case in cases]


def tensors(case: Case, arrays: tuple[Any, ...]) -> list[Any]:
    held = zip(arrays, case.leaves, strict=True)
    pairs = enumerate([(x, isinstance(leaf, np.ndarray)) for x, leaf in held])
    return [tg.Tensor(x, requires_grad=i in case.active) if is_array else x for i, (x, is_array) in pairs]


def orders(case: Case) -> dict[str, Any]:
    """Return a case's value and derivatives, as functions of its leaves."""

    def value(*arrays: Any) -> Any:
        return case.results(arrays)

    def gradient(*arrays: Any) -> Any:
        leaves = tensors(case, arrays)
        return tg.autograd.grad(case.smooth(leaves), [leaves[i] for i in case.active], case.seeds, allow_unused=True)

    def second(*arrays: Any) -> Any:
        leaves = tensors(case, arrays)
        wanted = [leaves[i] for i in case.active]
        first = tg.autograd.grad(case.smooth(leaves), wanted, case.seeds, allow_unused=True, create_graph=True)
        squares = [(g * g).sum() for g in first if g is not None and g.requires_grad]
        return tg.autograd.grad(squares, wanted, allow_unused=True) if squares else []

    found = {"value": value}
    if case.differentiable and case.seeds:
        found |= {"gradient": gradient, "second derivative": second}
    _ = case.recording  # worked out once, never while a program is traced
    return found


def moved(case: Case) -> list[tuple[Any, ...]]:
    """Return the case's leaves, and others near them, twice."""
    rng = np.random.default_rng(3)
    near = [
        tuple([np.asarray(x * (1 + 0.01 * rng.random(x.shape))) if is_floating(x) else x for x in case.leaves])
        for _ in range(2)
    ]
    return [case.leaves, *near]


def answer(function: Any, arrays: tuple[Any, ...]) -> Any:
    """Return what a function returns, or the type of what it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*arrays)
        except (ArithmeticError, LookupError, TypeError, ValueError, np.linalg.LinAlgError) as error:
            if isinstance(error, tg.errors.CompileError):
                raise
            return type(error).__name__
