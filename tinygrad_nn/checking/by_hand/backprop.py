"""Whose backprop is wrong: hand-derived gradients, aligned with the adjoints of the recorded graph."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import errors
from ...engine.node import Node
from ...tensor.handle import Tensor
from ..mistakes import WrongGradient
from ..report import as_html
from ..rounding import within
from .adjoints import Arrays, Graph
from .alignment import Aligned, Alignment, hand_written
from .diagnosis import diagnosed, slopes_of


@dataclass(frozen=True, eq=False)
class Row:
    """What was found of one gradient.

    `verdict` is "right", "wrong", "follows" for what is right but for an earlier mistake, or "unclear"
    where that mistake, a shape or a nan, leaves nothing to hold it against. `error` is the largest
    difference from `expected`, relative to the largest entry of that; nan where the shapes differ.
    `expected` is in the layout and scale of the convention.
    """

    name: str
    shape: tuple[int, ...]
    verdict: str
    error: float
    finding: str
    expected: np.ndarray


@dataclass(frozen=True, eq=False)
class BackpropReport:
    """The outcome of `tg.diff_backprop`: true if every gradient is right; `table` has its rows in backward order."""

    table: tuple[Row, ...]

    def __bool__(self) -> bool:
        return self.first is None

    @property
    def first(self) -> str | None:
        """The name of the first wrong gradient in backward order, or None."""
        return next((row.name for row in self.table if row.verdict != "right"), None)

    def __getitem__(self, name: str) -> Row:
        """Return the row of a gradient, by the name that it was given under."""
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
    """Return how gradients derived by hand agree with the adjoints, and what is wrong with the first that doesn't.

    `gradients` maps names to arrays: "dZ2", or "Z2", is the derivative of the loss, one number, by the
    Tensor named Z2. That is looked up in `tensors`, a mapping such as `network.memory(X)` or
    `locals()` (of which the Tensors and Modules count) or a Module, and among the leaves, and the Tensors that
    retain their grad, that have a `name` and are still in use. By default a gradient is the adjoint, in its
    Tensor's shape. With `convention="article"` columns are samples, db has shape (n, 1), and the gradients of
    all but W and b are m times the adjoint, m the number of samples; the Tensors may have samples in rows, as
    DenseNetwork has them, or in columns, beside biases of shape (n, 1).

    How far a gradient may be from the adjoint is measured: some thirty times as far as rounding every
    array on the way moves it, and the root of the dtype's precision. After a mistake, a gradient is held
    against what the given ones before it lead to, so that it "follows" if it only inherits. The graph and
    every `.grad` stay as they were, and hooks are not run. Raises ValueError for unknown names, and
    GradientError or DisconnectedError for Tensors that no gradient reaches.

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
    """The gradients by hand in backward order, and what is right: by the graph, and by those before."""

    def __init__(self, graph: Graph, gradients: Mapping[str, Any], tensors: Any, convention: str) -> None:
        self.graph, self.alignment = graph, Alignment(graph, tensors, convention)
        keys = _keys_by_name(self.alignment, gradients)
        every = {name: self.alignment.of(name, keys.get(name)) for name in (*self.alignment.reached, *keys)}
        order = _in_backward_order(graph, every)
        self.every = {name: every[name] for name in order}
        self.hands = {name: hand_written(gradients[keys[name]]) for name in order if name in keys}
        kinds = [hand.dtype for hand in self.hands.values()] + [every[name].tensor.dtype for name in keys]
        self.eps = max(float(np.finfo(kind).eps) for kind in kinds)
        self.nodes = list(dict.fromkeys(one.node for one in self.every.values()))
        self.right, self.room = graph.adjoints(self.nodes, {}, self.eps)
        self.sources, self.sources_by_hand = self._sources(self.every), self._sources(self.hands)
        self.mistakes: dict[str, list[str]] = {}

    def _sources(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Return, for each name, those of the others that its gradient is derived from directly."""
        at: dict[Node, list[str]] = {}
        for name in names:
            at.setdefault(self.every[name].node, []).append(name)
        ahead = self.graph.next_ones(set(at))
        return {
            name: [aliases[number - 1]] if number else [at[other][-1] for other in ahead[node] if other in at]
            for node, aliases in at.items()
            for number, name in enumerate(aliases)
        }

    def rows(self) -> Iterator[Row]:
        """Yield what was found of each gradient."""
        for name, hand in self.hands.items():
            one = self.every[name]
            expected = one.by_hand(self.right[one.node])
            with np.errstate(all="ignore"):
                off = np.abs(hand - expected).max(initial=0.0) if hand.shape == expected.shape else np.nan
                error = float(off / np.abs(expected).max(initial=0.0)) if off else 0.0
                verdict, finding = self._judged(one, hand, expected)
            yield Row(one.key, hand.shape, verdict, error, finding, expected)

    def _judged(self, one: Aligned, hand: np.ndarray, expected: np.ndarray) -> tuple[str, str]:
        sources = self.sources_by_hand[one.name]
        inherited = list(dict.fromkeys(key for source in sources for key in self.mistakes[source]))
        self.mistakes[one.name] = []
        if within(hand, expected, one.by_hand(self.room[one.node])):
            return "right", ""
        self.mistakes[one.name] = inherited or [one.key]
        if not inherited:
            called = "the adjoint" if self.alignment.convention == "adjoint" else "what it should be"
            return "wrong", diagnosed(self._case(one, hand, expected, called))
        leads, room = self._led_to(one)
        if within(hand, one.by_hand(leads), one.by_hand(room)):
            return "follows", f"right, but for the mistake in {' and '.join(inherited)}"
        keys = " and ".join(self.every[source].key for source in sources)
        if any(self.hands[source].shape != self.every[source].shape for source in sources):
            return "unclear", f"can't be judged: {keys} has another shape"
        if not np.isfinite(leads).all():
            return "unclear", f"can't be judged: {keys} is not finite"
        self.mistakes[one.name] = [*inherited, one.key]
        return "wrong", diagnosed(self._case(one, hand, one.by_hand(leads), f"what {keys} leads to"))

    def _led_to(self, one: Aligned) -> tuple[np.ndarray, np.ndarray]:
        """Return the adjoint, in its Tensor's layout, that the gradients by hand before it lead to, and its room."""
        aliases = [n for n in self.sources_by_hand[one.name] if self.every[n].node is one.node and self._fits(n)]
        if aliases:
            return self.every[aliases[0]].adjoint(self.hands[aliases[0]]), self.room[one.node]
        found, room = self._inherited
        return found[one.node], room[one.node]

    @functools.cached_property
    def _inherited(self) -> tuple[Arrays, Arrays]:
        """The adjoints where each gradient by hand is passed on in place of its own."""
        fitting = [name for name in self.hands if self._fits(name)]
        given = {self.every[name].node: self.every[name].adjoint(self.hands[name]) for name in fitting}
        return self.graph.adjoints(self.nodes, given, self.eps)

    def _fits(self, name: str) -> bool:
        return self.hands[name].shape == self.every[name].shape

    def _case(self, one: Aligned, hand: np.ndarray, right: np.ndarray, called: str) -> WrongGradient:
        sources, step = self.sources[one.name], self._step(one)
        return WrongGradient(
            key=one.key,
            name=one.name,
            wrong=hand,
            right=right,
            called=called,
            before={self.every[name].key: self._by_hand(name) for name in sources},
            values={n: self.alignment.frame(n, t).laid_out(t.data) for n, t in self.alignment.tensors.items()},
            m=self.alignment.samples,
            sizes=(("m", self.alignment.samples, "samples"), ("k", self.alignment.outputs, "outputs")),
            close=4 * float(np.sqrt(self.eps)),
            **step | {"known": itertools.chain(self._others(one), step.get("known", ()), self._instead(one))},
        )

    def _others(self, one: Aligned) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the right gradients that are neither this one nor what it is derived from."""
        for name, other in self.every.items():
            if other.node is not one.node and name not in self.sources[one.name]:
                layer = "it is taken from another layer, or the layers are miscounted"
                yield f"the right {other.key}: {layer}", other.by_hand(self.right[other.node])

    def _instead(self, one: Aligned) -> Iterator[tuple[str, np.ndarray]]:
        """Yield what each other gradient of the shape of one before leads to in the place of that."""
        for source, other in itertools.product(self.sources[one.name], self.every):
            place, hand = self.every[source], self._by_hand(other)
            if other not in (source, one.name) and hand.shape == place.shape:
                leads, _ = self.graph.adjoints([one.node], {place.node: place.adjoint(hand)}, self.eps)
                yield f"derived from {self.every[other].key}, where {place.key} belongs", one.by_hand(leads[one.node])

    def _by_hand(self, name: str) -> np.ndarray:
        one = self.every[name]
        return self.hands[name] if name in self.hands else one.by_hand(self.right[one.node])

    def _step(self, one: Aligned) -> dict[str, Any]:
        """Return what is known of the elementwise step that is all that reads a Tensor, if it is such a step."""
        sources = self.sources[one.name]
        if len(sources) != 1 or self._by_hand(sources[0]).shape != self.every[sources[0]].shape:
            return {}
        arrays = {n: t.data for n, t in self.alignment.tensors.items() if t.shape == one.tensor.shape}
        return slopes_of(one, self.every[sources[0]], self._by_hand(sources[0]), arrays)


def _keys_by_name(alignment: Alignment, gradients: Mapping[str, Any]) -> dict[str, str]:
    """Return the key of each gradient by the name of its Tensor. Raises ValueError for two of one, and for none."""
    keys: dict[str, str] = {}
    for key in gradients:
        name = alignment.named_by(key)
        if name in keys:
            raise ValueError(f"{keys[name]!r} and {key!r} are both the gradient of {name}; leave one out")
        keys[name] = key
    if not keys:
        raise ValueError('there is no gradient to compare; pass a mapping of names to arrays, such as {"dW1": dW1}')
    return keys


def _in_backward_order(graph: Graph, every: Mapping[str, Aligned]) -> list[str]:
    """Return the names, each after all that it is derived from; of those from the same one the leaves first."""
    ahead = graph.next_ones({one.node for one in every.values()})
    given = {name: number for number, name in enumerate(every)}

    def when(name: str) -> tuple[float, bool, int, int]:
        node, leaf = every[name].node, every[name].tensor.is_leaf
        oldest = min((other.number for other in ahead[node]), default=np.inf)
        return -oldest, not leaf, node.number if leaf else -node.number, -given[name]

    return sorted(every, key=when)
