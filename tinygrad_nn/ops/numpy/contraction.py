"""Sums of products over named axes: einsum.

Operands are contracted in pairs. First, diagonals are taken, and axes that only one operand of the pair has are summed
over; then each pair is one matrix product. So einsum needs no rule of its own.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...tensor.creation import as_tensor
from ...tensor.declaring import composite, sample
from ..elementwise import multiply
from ..indexing import getitem
from ..products import matmul
from ..reduction import sum
from ..shaping import reshape, transpose

Term = tuple[Any, ...]
Steps = tuple[tuple[Callable[[Any, Any], Any], Any], ...]
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@composite(numpy=[np.einsum], method=False)
def einsum(*operands: Any, optimize: Any = False) -> Any:
    """Return the sum of products that the subscripts describe.

    Every letter names an axis. A letter that occurs twice in an operand takes the diagonal; letters that are not in the
    result are summed over; an axis of length 1 is stretched to the length of the axes with the same letter.
    `"ij,jk->ik"` is a matrix product, and so is `einsum(a, [0, 1], b, [1, 2], [0, 2])`. `optimize` gives the order of
    pairs, as in `numpy.einsum_path`. Raises ValueError if the subscripts don't fit.
    """
    subscripts: Any
    if operands and isinstance(operands[0], str):
        subscripts, values = operands[0], [as_tensor(x) for x in operands[1:]]
    else:
        subscripts = _numbers(operands[1::2]), _numbers(operands[-1:])[0] if len(operands) % 2 else None
        values = [as_tensor(x) for x in operands[: len(operands) // 2 * 2 : 2]]
    dtype = np.result_type(*[x.dtype for x in values]) if values else None
    order = tuple(optimize) if isinstance(optimize, list) else optimize
    pairs, last = _plan(subscripts, tuple([x.shape for x in values]), order)
    for a, b, product in pairs:
        values.append(product(_after(values[a.number], a.steps), _after(values[b.number], b.steps)))
    y = _after(values[last.number], last.steps)
    y = y if pairs or last.steps else reshape(y, y.shape)  # a new tensor, never the operand itself
    return y if y.dtype == dtype else y.astype(dtype)


def _after(x: Any, steps: Steps) -> Any:
    for function, argument in steps:
        x = function(x, argument)
    return x


class Part(NamedTuple):
    """An operand or an intermediate product: the labels of its axes, their lengths, and how it is computed.

    It is operand or product `number` after `steps`.
    """

    number: int
    labels: Term
    shape: tuple[int, ...]
    steps: Steps = ()

    def then(self, function: Any, argument: Any, labels: Iterable[Any], shape: Iterable[int]) -> Part:
        """Return the part after one more step."""
        return Part(self.number, tuple(labels), tuple(shape), (*self.steps, (function, argument)))

    def summed(self, kept: Collection[Any]) -> Part:
        """Return the part without the axes that are not kept."""
        gone = tuple([i for i, label in enumerate(self.labels) if label not in kept])
        if not gone:
            return self
        left = [i for i in range(len(self.shape)) if i not in gone]
        return self.then(sum, gone, [self.labels[i] for i in left], [self.shape[i] for i in left])

    def arranged(self, labels: Term) -> Part:
        """Return the part with its axes in this order."""
        order = tuple([self.labels.index(label) for label in labels])
        return self if labels == self.labels else self.then(transpose, order, labels, [self.shape[i] for i in order])

    def shaped(self, shape: Iterable[int], labels: Term = ()) -> Part:
        """Return the part in another shape."""
        shape = tuple(shape)
        return self._replace(labels=labels) if shape == self.shape else self.then(reshape, shape, labels, shape)


Pairs = tuple[tuple[Part, Part, Callable[[Any, Any], Any]], ...]


@functools.lru_cache(maxsize=1024)
def _plan(subscripts: Any, shapes: tuple[tuple[int, ...], ...], optimize: Any) -> tuple[Pairs, Part]:
    """Return the pairs to multiply in turn, and how the last product becomes the result."""
    terms, implied = _split(subscripts) if isinstance(subscripts, str) else subscripts
    parts, result = _parts(terms, implied, shapes)
    pairs: list[Any] = []
    for numbers in _path(parts, result, optimize):
        parts = [part for i, part in enumerate(parts) if i not in numbers] + [parts[i] for i in numbers]
        for _ in numbers[1:]:
            b, a = parts.pop(), parts.pop()
            a, b = _in_order(a, b, result)
            needed = {*result, *itertools.chain(*[part.labels for part in parts])}
            pair, outcome = _contracted(a, b, needed, len(shapes) + len(pairs))
            pairs.append(pair)
            parts.append(outcome)
    return tuple(pairs), parts[0].summed(result).arranged(result)


def _in_order(a: Part, b: Part, result: Term) -> tuple[Part, Part]:
    """Return the two in the order of their own axes in the result, so that it needs no transposing."""
    own_a = [result.index(label) for label in a.labels if label in result and label not in b.labels]
    own_b = [result.index(label) for label in b.labels if label in result and label not in a.labels]
    return (b, a) if own_a and own_b and min(own_b) < min(own_a) else (a, b)


def _contracted(a: Part, b: Part, needed: Collection[Any], number: int) -> tuple[Any, Part]:
    """Return a pair as the product of two matrices, and the resulting part; axes that nobody needs are summed over."""
    a, b = a.summed({*needed, *b.labels}), b.summed({*needed, *a.labels})
    lengths = dict(zip(a.labels + b.labels, a.shape + b.shape, strict=True))
    batch = tuple([label for label in a.labels if label in b.labels and label in needed])
    inner = tuple([label for label in a.labels if label in b.labels and label not in needed])
    left = tuple([label for label in a.labels if label not in b.labels])
    right = tuple([label for label in b.labels if label not in a.labels])
    each, rows, middle, columns = ([lengths[label] for label in group] for group in (batch, left, inner, right))
    a, b = a.arranged(batch + left + inner), b.arranged(batch + inner + right)
    if inner:
        m, k, n = math.prod(rows), math.prod(middle), math.prod(columns)
        pair = a.shaped([*each, m, k]), b.shaped([*each, k, n]), matmul
        outcome = Part(number, (), (*each, m, n))
    else:
        pair = a.shaped([*each, *rows, *[1] * len(right)]), b.shaped([*each, *[1] * len(left), *columns]), multiply
        outcome = Part(number, (), (*each, *rows, *columns))
    return pair, outcome.shaped([*each, *rows, *columns], batch + left + right)


def _split(subscripts: str) -> tuple[list[Term], Term | None]:
    """Return the labels of each operand's axes, and those of the result's, None if they are implied."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    return [_letters(term) for term in inputs.split(",")], _letters(output) if arrow else None


def _letters(term: str) -> Term:
    parts = term.split("...")
    if len(parts) > 2 or not set("".join(parts)) <= set(_LETTERS):
        raise ValueError(f"einsum's subscripts must be letters, and '...' once in a term, not {term!r}")
    return (*parts[0], ..., *parts[1]) if len(parts) == 2 else tuple(term)


def _numbers(terms: Sequence[Any]) -> tuple[Term, ...]:
    for term in terms:
        if not isinstance(term, (list, tuple)) or not all(x is ... or (isinstance(x, int) and x >= 0) for x in term):
            raise ValueError(f"einsum takes subscripts in a text, or in a list after each operand, not {term!r}")
    return tuple([tuple(term) for term in terms])


def _parts(terms: Sequence[Term], result: Term | None, shapes: Sequence[tuple[int, ...]]) -> tuple[list[Part], Term]:
    """Return a part for each operand, with one label for each axis, all different, and the result's labels.

    The axes that an ellipsis stands for are labelled -1, -2, ... from the right.
    """
    if not shapes or len(terms) != len(shapes):
        raise ValueError(f"einsum needs a term of subscripts for each operand; got {len(terms)} for {len(shapes)}")
    full = [_expanded(*pair) for pair in zip(terms, shapes, strict=True)]
    times = Counter(itertools.chain(*full))
    dots = sorted([label for label in times if isinstance(label, int) and label < 0])
    once = sorted([label for label in times if times[label] == 1 and label not in dots])
    result = (..., *once) if result is None else result
    result = tuple([label for part in result for label in (dots if part is ... else [part])])
    if len(set(result)) < len(result) or not set(dots) <= set(result) <= set(times):
        raise ValueError(f"einsum's result must name axes of its operands, each once, and their '...'; got {terms}")
    lengths = _lengths(full, shapes)
    return [_diagonal(Part(i, full[i], shape), lengths) for i, shape in enumerate(shapes)], result


def _expanded(term: Term, shape: tuple[int, ...]) -> Term:
    """Return the term with a number for each axis that its ellipsis stands for."""
    more = len(shape) - len(term) + (... in term)
    if more < 0 or (more > 0 and ... not in term):
        raise ValueError(f"einsum's term {term} does not fit shape {shape}; write '...' for any further axes")
    return tuple([label for part in term for label in (range(-more, 0) if part is ... else [part])])


def _lengths(terms: Sequence[Term], shapes: Sequence[tuple[int, ...]]) -> dict[Any, int]:
    """Return the length of each label's axes; some of the axes may have length 1 instead."""
    lengths: dict[Any, int] = {}
    for labels, shape in zip(terms, shapes, strict=True):
        own = dict(zip(labels, shape, strict=True))
        for label, n in zip(labels, shape, strict=True):
            if lengths.setdefault(label, n) == 1:
                lengths[label] = n
            if n != own[label] or n not in (1, lengths[label]):
                raise ValueError(f"einsum's axes named {label!r} must match exactly, but have lengths in {shapes}")
    return lengths


def _diagonal(part: Part, lengths: dict[Any, int]) -> Part:
    """Return the part with each label once, and without axes to be stretched: multiplying stretches them."""
    kept = tuple([label for label, n in zip(part.labels, part.shape, strict=True) if n == lengths[label]])
    part = part.shaped([lengths[label] for label in kept], kept)
    times = Counter(kept)
    twice = [label for label in times if times[label] > 1]
    if not twice:
        return part
    order = tuple(sorted(range(len(kept)), key=lambda i: times[kept[i]] == 1))
    grid = dict(zip(twice, np.ix_(*[np.arange(lengths[label]) for label in twice]), strict=True))
    index = tuple([grid[kept[i]] for i in order if times[kept[i]] > 1])
    labels = [*twice, *[kept[i] for i in order[len(index) :]]]
    part = part.then(transpose, order, (), [part.shape[i] for i in order])
    return part.then(getitem, index, labels, [lengths[label] for label in labels])


def _path(parts: list[Part], result: Term, optimize: Any) -> Iterable[tuple[int, ...]]:
    """Return which parts to contract in each step; the result is appended to the remaining parts."""
    different = dict.fromkeys(itertools.chain(*[part.labels for part in parts]))
    if len(parts) < 3 or len(different) > len(_LETTERS):
        return [tuple(range(len(parts)))]
    names = dict(zip(different, _LETTERS, strict=False))
    subscripts = ",".join(["".join([names[label] for label in part.labels]) for part in parts])
    examples = [np.broadcast_to(0, part.shape) for part in parts]
    order: Any = "greedy" if optimize in (True, False) else [*optimize] if isinstance(optimize, tuple) else optimize
    found = np.einsum_path(f"{subscripts}->{''.join([names[label] for label in result])}", *examples, optimize=order)
    return found[0][1:]


# Samples for tests: a tuple stands for random values of that shape.

einsum.samples = [
    sample("ij,jk->ik", (2, 3), (3, 4)), sample("ij,kj", (2, 3), (4, 3)), sample("ii", (3, 3)),
    sample("iij->ji", (2, 2, 3)), sample("ij->", (2, 3)), sample("...i,...i->...", (2, 1, 3), (4, 3)),
    sample("b...j,jk->...kb", (2, 3, 2), (2, 3)), sample("ij,jk,kl->il", (2, 3), (3, 1), (4, 2)),
    sample("i,ij,j", (2,), (2, 3), (3,), optimize="optimal"), sample(",i->i", (), (0,)),
    sample("ij,ij->j", (2, 0), (1, 0)), sample("i,j->ji", (2,), (3,)),
    sample("ik,jk,ij->ij", (2, 3), (2, 3), (2, 2), optimize=["einsum_path", (0, 2), (0, 1)]),
]  # fmt: skip
