"""Which cases run when: a sample of them, drawn once, in the quick ring, and all the rest in the slow one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from tinygrad_nn.testing import Case


def drawn(size: int, share: int, seed: int) -> set[int]:
    """Return the places of a sample of one in `share`."""
    return set(random.Random(seed).sample(range(size), size // share))


def sampled(cases: Sequence[Any], share: int, seed: int) -> list[Any]:
    """Return each case as a parameter, marked slow if it lies outside a sample of one in `share`."""
    quick = drawn(len(cases), share, seed)
    return [
        pytest.param(case, id=str(case), marks=[] if place in quick else pytest.mark.slow)
        for place, case in enumerate(cases)
    ]


def sampled_by_name(cases: Sequence[Case], share: int, seed: int) -> list[Any]:
    """Return each operation's cases in a sample of one in `share` as a parameter, and the rest as one marked slow."""
    quick = drawn(len(cases), share, seed)
    inside: dict[str, list[Case]] = {}
    outside: dict[str, list[Case]] = {}
    for place, case in enumerate(cases):
        (inside if place in quick else outside).setdefault(case.name, []).append(case)
    found = [pytest.param(some, id=name) for name, some in inside.items()]
    for name, rest in outside.items():
        found.append(pytest.param(rest, id=f"{name}-rest" if name in inside else name, marks=pytest.mark.slow))
    return found
