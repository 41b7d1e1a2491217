"""Which entry of which operand makes a result nan or inf: found by recomputing the result from finite numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..engine.cotangents import project
from ..engine.grad_mode import recording, setting
from ..engine.outputs import Parts, Whole
from ..engine.zero_safe import has_nan
from .nodes import GraphNode
from .terms import Contribution

Index = tuple[int, ...]

_TRIED = 64  # entries of an operand are tried one by one, at most
_SOUND: Any = np.random.default_rng(0).uniform(1, 2, 997)  # replace entries that are not finite


def indexed(name: str, index: Index) -> str:
    """Return a name with an index in brackets, if there is one."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def faults(x: Any) -> Iterator[Index]:
    """Yield the entries of an array, or of a tuple of arrays, that are not finite, those that are nan first."""
    if isinstance(x, tuple):
        yield from ((i, *index) for i, part in enumerate(x) for index in faults(part))
    elif x is not None and np.asarray(x).dtype.kind == "f":
        for wrong in (np.isnan, np.isinf):
            yield from (tuple(map(int, index)) for index in np.argwhere(wrong(x)))


def entry(x: Any, index: Index) -> Any:
    """Return an entry of an array, or of one of several arrays, where an index begins with the array's number."""
    if isinstance(x, Parts):
        return x[index[0]][index[1:]] if index[0] in x else 0.0
    return x[index[0]][index[1:]] if isinstance(x, tuple) else np.asarray(x)[index]


def positions(node: GraphNode, index: Index | None) -> dict[str, Index]:
    """Return the entry of each operand from which an entry of a pointwise result is computed; {} if not pointwise."""
    if index is None or node.engine is None or not node.engine.pointwise:
        return {}
    shapes = {name: np.shape(x) for name, x in node.known.items()}
    return {name: tuple(map(min, index[len(index) - len(s) :], [n - 1 for n in s])) for name, s in shapes.items()}


def there(node: GraphNode, index: Index | None) -> dict[str, Any]:
    """Return the operands by name: their numbers at an entry if the operation is pointwise, else the whole arrays."""
    indices, found = positions(node, index), {}
    for argument, x in node.known.items():
        if x is not None:
            own, own_index = node.inputs.get(argument), indices.get(argument, ())
            found[indexed(own.name, own_index) if isinstance(own, GraphNode) else argument] = np.asarray(x)[own_index]
    return found


def blamed(
    operands: Mapping[str, Any], compute: Callable[[Any], Any], index: Index, indices: Mapping[str, Index]
) -> tuple[str, Index] | None:
    """Return the operand and the index that make an entry of a result not finite, None if the computation itself does.

    Each entry that is not finite (of those at `indices`, if there are any) is tried alone, with finite numbers in all
    others. If only several together have the effect, as in inf - inf, the first of them is returned.
    """
    wrong = [(name, i) for name, x in operands.items() for i in itertools.islice(faults(x), _TRIED)]
    wrong = [(name, i) for name, i in wrong if not indices or indices[name] == i]
    sound = {name: _sound(x) for name, x in operands.items()}
    if not wrong or not np.isfinite(entry(compute(sound), index)):
        return None
    for name, i in wrong:
        if not np.isfinite(entry(compute(sound | {name: _sound(operands[name], i)}), index)):
            return name, i
    return wrong[0]


def _sound(x: Any, but: Index | None = None) -> Any:
    """Return an array or a tuple of arrays, with numbers in place of entries that are not finite, except at `but`."""
    if isinstance(x, tuple):
        return tuple([_sound(part, but[1:] if but is not None and but[0] == i else None) for i, part in enumerate(x)])
    if x is None or np.asarray(x).dtype.kind != "f":
        return x
    wrong = np.array(~np.isfinite(x))
    if but is not None:
        wrong[but] = False
    array = np.array(x)
    array[wrong] = np.resize(_SOUND, int(wrong.sum()))
    return array if array.ndim else array[()]


def recomputed(node: GraphNode, operands: Mapping[str, Any]) -> Any:
    """Return what a node's operation computes from other operands: an array or a tuple of arrays."""
    arrays = list(operands.values())
    with np.errstate(all="ignore"), setting(recording, False):
        return node.engine.forward(*([arrays] if node.engine.variadic else arrays), **node.settings)


def pulled(part: Contribution, parent: GraphNode, operands: Mapping[str, Any]) -> Any:
    """Return what a contribution's rule computes from another cotangent, the operand "g", and other saved arrays."""
    source: Any = part.source
    g, kept = operands["g"], [*(source.saved | operands).values()] if source.saved else source.kept
    if isinstance(g, tuple):
        g = Whole(g)
        g.arrived = range(len(g))
    with np.errstate(all="ignore"), setting(recording, False):
        c = part.rule.pull(g, kept)
        if isinstance(c, Parts):
            return c
        if part.rule.zero_safe is not None and has_nan(np.asarray(c)):
            c = part.rule.zero_safe(part.rule, g, kept, c)
        return np.asarray(project(np.asarray(c), parent.node, source.node, part.rule))  # type: ignore[arg-type]
