"""Running the teaching form of a program on its own, and holding what it computes against what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.compiler.write.explain import Listing


def leaves(tree: Any) -> list[np.ndarray]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [x for part in tree for x in leaves(part)]
    return [np.asarray(tree._array if isinstance(tree, tg.Tensor) else tree)]


def run(listing: Listing) -> Any:
    """Return what the text computes in a namespace of its own, on what it was traced with."""
    space: dict[str, Any] = {}
    exec(compile(listing, "<listing>", "exec"), space)
    assert not any("tinygrad" in str(getattr(x, "__module__", "")) for x in listing.inputs.values())
    return space[listing.name](**listing.inputs)


def agree(found: Any, right: Any, ulps: float = 0) -> None:
    found, right = leaves(found), leaves(right)
    assert len(found) == len(right)
    for a, b in zip(found, right, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        scale = np.abs(b[np.isfinite(b)]).max(initial=0)
        eps = np.finfo(b.dtype).eps if b.dtype.kind == "f" else 0
        np.testing.assert_allclose(a, b, rtol=0, atol=float(ulps * eps * scale))
