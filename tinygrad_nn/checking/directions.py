"""Directions in the space of a function's inputs, along which its derivatives are taken."""

from __future__ import annotations

from typing import Any

import numpy as np

Direction = dict[int, Any]
"""What is moved, by the position of the input: an array of the input's shape. Other inputs stay."""


def signed(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Return numbers of both signs and of sizes between 0.5 and 1.5, exact in float16.

    With plain signs, errors in two entries would often cancel; tiny entries would hide an error.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> bool(np.all(np.abs(tg.testing.signed(np.random.default_rng(0), (3,))) >= 0.5))
    True
    """
    return np.asarray(np.round(rng.uniform(32, 96, shape)) / 64 * rng.choice([-1.0, 1.0], shape))


def signed_like(rng: np.random.Generator, x: Any) -> Any:
    """Return such numbers in the shape of an array, 0 where that is not finite."""
    return np.where(np.isfinite(x), signed(rng, x.shape), 0.0)


def everywhere(rng: np.random.Generator, arrays: list[Any]) -> Direction:
    """Return a random direction through all entries of all inputs."""
    return {position: signed_like(rng, x) for position, x in enumerate(arrays)}


def unit(arrays: list[Any], position: int, index: int) -> Direction:
    """Return the direction of one entry, by its index in the flattened input."""
    direction = np.zeros(arrays[position].shape)
    direction.flat[index] = 1.0
    return {position: direction}


def halves(direction: Direction) -> list[Direction]:
    """Return a direction in two parts, each of half of its inputs or entries; in one if it has one entry only."""
    (position, v), *others = direction.items()
    if others:
        return [{position: v}, dict(others)]
    entries = np.flatnonzero(v)
    if entries.size < 2:
        return [direction]
    first = np.zeros(v.shape)
    first.flat[entries[: entries.size // 2]] = v.flat[entries[: entries.size // 2]]
    return [{position: first}, {position: v - first}]
