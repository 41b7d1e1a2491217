"""All that a training goes on from, as arrays by name and JSON: written down, checked, and taken over."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

import numpy as np

from ..engine.arrays import copied
from ..engine.trees import leaves
from ..errors import StateError, given
from ..nn.module import Module
from ..optim.groups import first_lr
from ..tensor.handle import replace_values
from .epochs import Training
from .formats import bytes_of

_FIELDS = ("position", "rows", "updates", "waited", "means", "best", "best_arrays", "drawn")


def state_of(training: Training) -> tuple[dict[str, np.ndarray], Any]:
    """Return the arrays by name, and the rest as JSON has it, with where each array belongs."""
    steps, arrays = training.steps, dict[str, np.ndarray]()
    held = {
        "tensors": {name: t.data for name, t in steps.named_tensors().items()},
        "generators": {name: g.bit_generator.state for name, g in steps.named_generators().items()},
        "trained": {name: t.requires_grad for name, t in steps.named_tensors().items()},
        "optimizer": steps.optimizer.state_dict(),
        "scheduler": None if training.scheduler is None else training.scheduler.state_dict(),
        "history": {name: np.asarray(entries) for name, entries in training.history.figures.items()},
        "seconds": training.history.seconds,
        **{name: getattr(training, name) for name in _FIELDS},
    }
    ranks = training.gathered(_of_rank(training))
    if len(ranks) > 1:
        held["ranks"] = ranks
    return arrays, _packed("", held, arrays)


def restore(training: Training, arrays: dict[str, np.ndarray], state: Any) -> None:
    """Let a training go on from a state. Raises StateError for one that does not fit; nothing is changed then."""
    held, steps = _unpacked(state, arrays), training.steps
    if "ranks" in held:
        _take_over(held, held["ranks"][training.rank])
    before = steps.optimizer.state_dict()
    try:
        steps.optimizer.load_state_dict(held["optimizer"])
        if training.scheduler is not None:
            training.scheduler.load_state_dict(held["scheduler"])
    except BaseException:
        steps.optimizer.load_state_dict(before)
        raise
    tensors = steps.named_tensors()
    replace_values([(t, held["tensors"][name]) for name, t in tensors.items()])
    for name in [name for name, t in tensors.items() if t.requires_grad != held["trained"][name]]:
        tensors[name].requires_grad = held["trained"][name]
    steps.finite = [t.data for t in steps.tensors]
    for name, generator in steps.named_generators().items():
        generator.bit_generator.state = held["generators"][name]
    for name in _FIELDS:
        setattr(training, name, held[name])
    training.data.generator.bit_generator.state = training.drawn
    training.history.figures = {name: entries.tolist() for name, entries in held["history"].items()}
    training.history.seconds = held["seconds"]


def _of_rank(training: Training) -> dict[str, Any]:
    """Return what ranks that train together have each their own of: generators, the epoch's means, buffers."""
    steps = training.steps
    buffers = {name: t.data for name, t in steps.named_tensors().items() if all(t is not p for p in steps.parameters)}
    return {
        "generators": {name: g.bit_generator.state for name, g in steps.named_generators().items()},
        "tensors": buffers,
        "best_arrays": {name: array for name, array in training.best_arrays.items() if name in buffers},
        **{name: getattr(training, name) for name in ("rows", "means", "drawn")},
    }


def _take_over(held: dict[str, Any], own: dict[str, Any]) -> None:
    """Let a state be that of one rank."""
    for part in ("tensors", "best_arrays"):
        held[part] |= {name: np.asarray(array, held[part][name].dtype) for name, array in own.pop(part).items()}
    held.update(own)


def options_of(training: Training) -> dict[str, Any]:
    """Return what has to be the same in a training that goes on, by name, as JSON gives it back."""
    steps, loss = training.steps, None if training.steps.cost.by_default else training.steps.cost.loss
    tensors, generators = steps.named_tensors(), steps.named_generators() | {"shuffle": training.data.generator}
    names = {id(t): name for name, t in tensors.items()}
    samples = [a for a in leaves((training.data.arrays, training.held_out)) if a is not None]
    found = {
        "the module": _lines(steps.module),
        "its tensors": {name: [t.shape, str(t.dtype)] for name, t in tensors.items()},
        "its generators": {name: type(g.bit_generator).__name__ for name, g in generators.items()},
        "the loss": _lines(loss) | dict(loss.named_buffers() if isinstance(loss, Module) else ()),
        "the optimizer": type(steps.optimizer).__qualname__,
        "its groups": {
            i: {**group, "params": [names[id(p)] for p in group.params], "lr": first_lr(group)}
            for i, group in enumerate(steps.optimizer.param_groups)
        },
        "the scheduler": _lines(training.scheduler),
        "the loader": training.data.settings,
        "the samples' shapes": [[a.shape, str(a.dtype)] for a in samples],
        "the samples' checksums": [zlib.crc32(bytes_of(a)) for a in samples],
        "metrics": [*training.metrics],
        **training.options,
    }
    plain = json.loads(json.dumps(found, default=lambda x: x.tolist() if hasattr(x, "tolist") else _lines(x)))
    each = training.gathered(plain)
    ranks = {f"rank {i}'s": of_rank for i, of_rank in enumerate(each)}
    return {"the number of ranks": len(each), **ranks} if len(each) > 1 else dict(plain)


def check_options(was: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise StateError that lists where the options of two trainings differ."""
    other = [text for name in now for text in _differences(name, was.get(name), now[name])]
    if other:
        raise StateError(
            f"this checkpoint is of another training: {'; '.join(other)}. Pass what it was begun with, or another "
            "folder as checkpoint="
        )


def _differences(name: str, was: Any, now: Any) -> list[str]:
    """Return where two options differ: of two dictionaries the entries that do."""
    if isinstance(was, dict) and isinstance(now, dict):
        return [text for k in was | now for text in _differences(f"{name} {k}".rstrip(), was.get(k), now.get(k))]
    return [] if was == now else [f"{name} was {was}, now is {now}"]


def _lines(x: Any) -> dict[int, str]:
    """Return the lines of an object's repr, without addresses: its class or name, and the settings that it tells."""
    return dict(enumerate(re.sub(" at 0x[0-9a-fA-F]+", "", repr(x)).splitlines(), start=1))


def _packed(name: str, tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return what JSON has of a tree, and put its arrays into `arrays`.

    An array is written as it lies in memory, with the order of its axes there: the bits of sums depend on it.
    """
    if isinstance(tree, np.generic):
        arrays[name] = np.asarray(tree)
        return {"array": name, "axes": None}
    if isinstance(tree, np.ndarray):
        axes = sorted(range(tree.ndim), key=lambda axis: -abs(tree.strides[axis]))
        arrays[name] = tree.transpose(axes)
        return {"array": name, "axes": axes}
    if isinstance(tree, (dict, list, tuple)):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        found = {key: _packed(f"{name}.{key}" if name else str(key), part, arrays) for key, part in items}
        return found if isinstance(tree, dict) else [*found.values()]
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise StateError(f"{name} is {given(tree)}, which no checkpoint holds; make it a number, a text or an array")


def _unpacked(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return the tree that `_packed` was given; tuples became lists."""
    if isinstance(tree, dict) and tree.keys() == {"array", "axes"}:
        array, axes = arrays[tree["array"]], tree["axes"]
        return array[()] if axes is None else copied(array.transpose(np.argsort(axes)))
    if isinstance(tree, dict):
        return {key: _unpacked(part, arrays) for key, part in tree.items()}
    return [_unpacked(part, arrays) for part in tree] if isinstance(tree, list) else tree
