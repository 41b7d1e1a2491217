"""Gradients as values: `tg.autograd.grad`, as in PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

from .. import errors
from ..tensor.handle import Tensor, make, node_of
from .linearization import pulled


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the derivatives of the sum of the outputs with respect to each input, which need not be a leaf.

    `outputs` and `inputs` are Tensors or sequences of Tensors. `grad_outputs` are the cotangents of the outputs; the
    default, for outputs of one entry, is 1. No `.grad` changes. Raises DisconnectedError for an input that no output
    depends on; with `allow_unused` its derivative is None instead.

    >>> import tinygrad_nn as tg
    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> (slope,) = tg.autograd.grad(x * x, x, create_graph=True)
    >>> slope.item(), tg.autograd.grad(slope, x)[0].item()
    (6.0, 2.0)
    """
    many, wanted = _tensors("output", outputs), _tensors("input", inputs)
    one = grad_outputs is None or isinstance(outputs, Tensor)
    given = [grad_outputs] * len(many) if one else list(grad_outputs)
    if len(given) != len(many):
        raise ValueError(f"{len(many)} outputs need {len(many)} grad_outputs, got {len(given)}")
    nodes = [node_of(x) for x in wanted]
    retain = create_graph if retain_graph is None else retain_graph
    found = pulled(many, given, set(nodes), retain, create_graph)
    results = []
    for index, node in enumerate(nodes):
        g = found.get(node)
        if g is None and not allow_unused:
            raise errors.DisconnectedError(
                f"input {index} does not lead to the output by any recorded operation; pass allow_unused=True "
                "to get None for it, or look for a detach(), no_grad() or .data on the way"
            )
        if node in nodes[:index] and g is not None:
            g = g.astype(g.dtype)  # an input listed twice: each gradient gets its own memory
        results.append(g if create_graph or g is None else make(g, None))
    return tuple(results)


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"tg.autograd has only grad; look for tg.{name}; for a Function, write a @primitive")


def _tensors(what: str, given: Any) -> list[Tensor]:
    several = isinstance(given, Iterable) and not isinstance(given, (Tensor, np.ndarray))
    found = list(given) if several else [given]
    for index, x in enumerate(found):
        if not isinstance(x, Tensor):
            raise TypeError(errors.only_tensors(f"{what} {index}", x))
        if not x.requires_grad:
            raise errors.GradientError(errors.records_nothing(f"{what} {index}"))
    return found
