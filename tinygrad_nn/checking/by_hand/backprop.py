"""`diff_backprop`: gradients derived by hand, compared with the adjoints of the recorded graph."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import errors
from ...engine.node import Node
from ...tensor.handle import Tensor
from ..mistakes import WrongGradient
from ..numerical import within
from ..report import as_html
from .adjoints import Aligned, Alignment, Arrays, Graph
from .diagnosis import diagnosed, slopes_of


@dataclass(frozen=True, eq=False)
class Row:
    """What was found out about one gradient.

    `verdict` is "right", "wrong", "follows" (right, except for an earlier mistake), or "unclear" (the earlier mistake,
    a wrong shape or a nan, leaves nothing to compare with). `error` is the largest difference from `expected`, relative
    to the largest entry of `expected`; nan if the shapes differ. `expected` has the layout and scale of the convention.
    """

    name: str
    shape: tuple[int, ...]
    verdict: str
    error: float
    finding: str
    expected: np.ndarray


@dataclass(frozen=True, eq=False)
class BackpropReport:
    """The result of `tg.diff_backprop`: true if every gradient is right. `table` has its rows in backward order."""

    table: tuple[Row, ...]

    def __bool__(self) -> bool:
        return self.first is None

    @property
    def first(self) -> str | None:
        """The name of the first wrong gradient in backward order, or None."""
        return next((row.name for row in self.table if row.verdict != "right"), None)

    def __getitem__(self, name: str) -> Row:
        """Return the row of a gradient, by the name under which it was passed."""
        return {row.name: row for row in self.table}[name]

    def raise_if_failed(self) -> None:
        """Raise BackpropError with the table, if any gradient is wrong."""
        if not self:
            raise errors.BackpropError(f"these gradients are not the adjoints; the first mistake comes first:\n{self}")

    def _cells(self) -> list[tuple[str, str, str, str, str]]:
        rows = [(r.name, str(r.shape), r.verdict, f"{r.error:.0e}", r.finding) for r in self.table]
        return [("name", "shape", "verdict", "error", "finding"), *rows]

    def __repr__(self) -> str:
        return errors.in_columns(self._cells())

    def _repr_html_(self) -> str:
        return as_html(self._cells())


def diff_backprop(
    loss: Tensor, gradients: Mapping[str, Any], tensors: Any = None, convention: str = "adjoint"
) -> BackpropReport:
    """Compare gradients derived by hand with the adjoints, and return a report that explains the first mistake.

    `gradients` maps names to arrays: "dZ2", or "Z2", is the derivative of the loss, which is one number, with respect
    to the Tensor named Z2. Names are looked up in `tensors`, a Module or a mapping such as `network.memory(X)` or
    `locals()` (its Tensors and Modules count), and among the leaves, and the Tensors that retain their grad, that have
    a `name` and still exist. By default a gradient is the adjoint, in its Tensor's shape. With `convention="article"`,
    columns are samples, db has shape (n, 1), and the gradients of everything but W and b are m times the adjoint, where
    m is the number of samples. The Tensors may have samples in rows, as in DenseNetwork, or in columns, beside biases
    of shape (n, 1).

    The tolerance is measured: some thirty times as far as rounding of every array on the way moves the adjoint, and the
    root of the dtype's precision. After a mistake, a gradient is compared with what the given gradients before it lead
    to, so it "follows" if it only inherits the mistake. The graph and every `.grad` stay as they were, and hooks are
    not run. Raises ValueError for unknown names, and GradientError or DisconnectedError for Tensors that no gradient
    reaches.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> w, x = tg.tensor([1.0, 2.0], requires_grad=True), np.array([[3.0, 1.0], [0.0, 4.0], [1.0, 1.0]])
    >>> z = x @ w
    >>> loss = (z**2).mean()
    >>> dz = 2 * z.data
    >>> tg.diff_backprop(loss, {"dz": dz, "dw": x.T @ dz}, tensors={"z": z, "w": w})
    name  shape  verdict  error  finding
    dz    (3,)   wrong    2e+00  dz is 3 times the adjoint: a missing 1/m (m = 3 samples)
    dw    (2,)   follows  2e+00  right, but for the mistake in dz
    """
    return BackpropReport(tuple(_GivenGradients(Graph(loss), gradients, tensors, convention).rows()))


class _GivenGradients:
    """The gradients by hand in backward order, and what is right: by the graph, and by the gradients before."""

    def __init__(self, graph: Graph, gradients: Mapping[str, Any], tensors: Any, convention: str) -> None:
        self.graph, self.alignment = graph, Alignment(graph, tensors, convention)
        self.every = _in_backward_order(graph, self.alignment.aligned(gradients))
        self.hands = [one for one in self.every if one.hand is not None]
        kinds = [kind for one in self.hands for kind in (one.hand.dtype, one.tensor.dtype)]
        self.eps = max(float(np.finfo(kind).eps) for kind in kinds)
        self.nodes = list(dict.fromkeys(one.node for one in self.every))
        self.right, self.tolerance = graph.adjoints(self.nodes, {}, self.eps)
        self.sources, self.sources_by_hand = self._sources(self.every), self._sources(self.hands)
        self.mistakes: dict[Aligned, list[str]] = {}

    def _sources(self, several: list[Aligned]) -> dict[Aligned, list[Aligned]]:
        """Return, for each of several, those others from which its gradient is derived directly."""
        at: dict[Node, list[Aligned]] = {}
        for one in several:
            at.setdefault(one.node, []).append(one)
        ahead = self.graph.next_ones(set(at))
        return {
            one: [aliases[number - 1]] if number else [at[other][-1] for other in ahead[node] if other in at]
            for node, aliases in at.items()
            for number, one in enumerate(aliases)
        }

    def rows(self) -> Iterator[Row]:
        """Yield the row of each gradient."""
        for one in self.hands:
            expected = self._right(one)
            with np.errstate(all="ignore"):
                off = np.abs(one.hand - expected).max(initial=0.0) if one.fits else np.nan
                error = float(off / np.abs(expected).max(initial=0.0)) if off else 0.0
                verdict, finding = self._judged(one, expected)
            yield Row(one.key, one.hand.shape, verdict, error, finding, expected)

    def _judged(self, one: Aligned, right: np.ndarray) -> tuple[str, str]:
        sources = self.sources_by_hand[one]
        inherited = list(dict.fromkeys(key for source in sources for key in self.mistakes[source]))
        self.mistakes[one] = []
        if within(one.hand, right, one.by_hand(self.tolerance[one.node])):
            return "right", ""
        called = "the adjoint" if self.alignment.convention == "adjoint" else "what it should be"
        if inherited:
            self.mistakes[one] = inherited
            leads, tolerance = self._led_to(one)
            if within(one.hand, one.by_hand(leads), one.by_hand(tolerance)):
                return "follows", f"right, but for the mistake in {' and '.join(inherited)}"
            keys = " and ".join(source.key for source in sources)
            if not all(source.fits for source in sources):
                return "unclear", f"can't be judged: {keys} has another shape"
            if not np.isfinite(leads).all():
                return "unclear", f"can't be judged: {keys} is not finite"
            right, called = one.by_hand(leads), f"what {keys} leads to"
        self.mistakes[one] = [*inherited, one.key]
        return "wrong", diagnosed(self._case(one, right, called))

    def _led_to(self, one: Aligned) -> tuple[np.ndarray, np.ndarray]:
        """Return the adjoint to which the gradients by hand lead, in its Tensor's layout, and the tolerance."""
        for alias in self.sources_by_hand[one]:
            if alias.node is one.node and alias.fits:
                return alias.adjoint(alias.hand), self.tolerance[one.node]
        found, tolerance = self._inherited
        return found[one.node], tolerance[one.node]

    @functools.cached_property
    def _inherited(self) -> tuple[Arrays, Arrays]:
        """The adjoints if each gradient by hand is passed on instead of the right one."""
        given = {one.node: one.adjoint(one.hand) for one in self.hands if one.fits}
        return self.graph.adjoints(self.nodes, given, self.eps)

    def _right(self, one: Aligned) -> Any:
        return one.by_hand(self.right[one.node])

    def _hand(self, one: Aligned) -> Any:
        """Return the gradient by hand, or the right one if none is given."""
        return self._right(one) if one.hand is None else one.hand

    def _case(self, one: Aligned, right: np.ndarray, called: str) -> WrongGradient:
        sources, tensors, alignment = self.sources[one], self.alignment.tensors, self.alignment
        before = {source.key: self._hand(source) for source in sources}
        values = {name: alignment.frame(name, t).laid_out(t.data) for name, t in tensors.items()}
        step: dict[str, Any] = {}
        if len(sources) == 1 and before[sources[0].key].shape == sources[0].shape:
            alike = {name: t.data for name, t in tensors.items() if t.shape == one.tensor.shape}
            step = slopes_of(one, sources[0], before[sources[0].key], alike)
        step["known"] = itertools.chain(self._others(one), step.get("known", ()), self._instead(one))
        sizes, close = alignment.sizes, 4 * float(np.sqrt(self.eps))
        return WrongGradient(
            one.key, one.hand, right, called, before, values, sizes[0][1], sizes, close, one.name, **step
        )

    def _others(self, one: Aligned) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the right gradients other than this one and those from which it is derived."""
        for other in self.every:
            if other.node is not one.node and other not in self.sources[one]:
                layer = "it is taken from another layer, or the layers are miscounted"
                yield f"the right {other.key}: {layer}", self._right(other)

    def _instead(self, one: Aligned) -> Iterator[tuple[str, np.ndarray]]:
        """Yield what follows if another gradient of the same shape takes the place of one before it."""
        for expected, other in itertools.product(self.sources[one], self.every):
            hand = self._hand(other)
            if other not in (expected, one) and hand.shape == expected.shape:
                leads, _ = self.graph.adjoints([one.node], {expected.node: expected.adjoint(hand)}, self.eps)
                yield f"derived from {other.key}, where {expected.key} belongs", one.by_hand(leads[one.node])


def _in_backward_order(graph: Graph, every: list[Aligned]) -> list[Aligned]:
    """Return all, each after those it is derived from; of those with the same source, leaves first, newest first."""
    ahead = graph.next_ones({one.node for one in every})

    def when(one: Aligned) -> tuple[float, bool, int]:
        oldest = min((other.number for other in ahead[one.node]), default=np.inf)
        return -oldest, not one.tensor.is_leaf, one.node.number if one.tensor.is_leaf else -one.node.number

    return sorted(every, key=when)
