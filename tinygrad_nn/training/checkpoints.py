"""Checkpoints: the whole state of a training as one tree, in files that are complete or absent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.arrays import copied, raw
from ..engine.trees import leaves
from ..errors import FileError, StateError, given, warn
from ..nn.module import Module
from ..ops.settings import optional, whole_number
from ..optim.groups import first_lr
from ..tensor.handle import replace_values
from .epochs import Training
from .files import load, save
from .formats import bytes_of
from .loader import TensorDataset
from .reading import require

_NAMES = f"step-{'[0-9]' * 10}.npz"
_LEFT = f".{'[0-9a-f]' * 16}.tmp"  # by writers that were killed
_TREE = "tree"  # the name, in a file, of everything that is not an array
_OF_ALL = ("position", "updates", "waited", "best")  # the same on all ranks that train together
_OF_EACH = ("rows", "means", "drawn")


class Checkpoints:
    """The checkpoints of a training in a folder, written and kept as `tg.train` says."""

    def __init__(self, folder: str | os.PathLike[str], every: int | None, every_steps: int | None, keep: int) -> None:
        for name, value in (("every", every), ("every_steps", every_steps)):
            optional(whole_number)(name, value)
        whole_number("keep", keep)
        self._folder, self._keep = Path(folder), keep
        self._every, self._every_steps = every or (0 if every_steps else 1), every_steps or 0
        self.newest: tuple[int, int] | None = None
        self.settings: dict[str, Any] = {}

    def begin(self, training: Training, resume: bool) -> None:
        """Continue from the newest checkpoint if `resume`, or write the first one. Raises FileError or StateError."""
        self.settings, found = settings_of(training), self._found()  # the former waits for all ranks
        if found and not resume:
            raise FileError(f"{self._folder} holds checkpoints; pass resume=True to go on from them, or another folder")
        for path in reversed(found):
            try:
                tree = load_tree(path)
            except FileError as error:
                warn(f"{error}. The checkpoint before it is used")
                continue
            compare(tree.get("settings"), self.settings)
            restore(training, tree, path)
            self.newest = (training.updates, training.position)
            return
        if found:
            raise FileError(f"{self._folder} holds no checkpoint that can be read; remove them, or pass another folder")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{self._folder} can't be made: {error}; pass another folder as checkpoint=") from error
        self.write(training)

    def after_step(self, training: Training) -> None:
        """Write a checkpoint if one is due after this step."""
        if self._every_steps and training.updates % self._every_steps == 0:
            self.write(training)

    def after_epoch(self, training: Training) -> None:
        """Write the module's state if it is the best so far, and a checkpoint if one is due after this epoch."""
        if training.held_out is not None and training.waited == 0 and training.steps.rank == 0:
            save(self._folder / "best.npz", training.steps.module)
        if self._every and len(training.history) % self._every == 0:
            self.write(training)

    def write(self, training: Training) -> None:
        """Write a checkpoint unless it exists, and remove those that are no longer kept. Raises FileError."""
        if self.newest == (training.updates, training.position):
            return
        training.steps.check_parameters(len(training.history) - (training.position == 0))
        tree = {"settings": self.settings, **captured(training)}
        self.newest = (training.updates, training.position)
        if training.steps.rank:
            return
        save_tree(self._folder / f"step-{training.updates:010}.npz", tree)
        for path in [*self._folder.glob(_LEFT), *self._found()[: -self._keep]]:
            with contextlib.suppress(OSError):
                path.unlink()

    def _found(self) -> list[Path]:
        """Return the existing checkpoints, the newest last."""
        return sorted(self._folder.glob(_NAMES))


def captured(training: Training) -> dict[str, Any]:
    """Return the whole state of a training as one tree; "ranks" is a list of what differs between ranks."""
    steps = training.steps
    steps.look()
    arrays = {"tensors": {name: t.data for name, t in steps.tensors.items()}, "best_arrays": training.best_arrays}
    alike = {*map(id, steps.parameters)}
    differing = [name for name, t in steps.tensors.items() if steps.together and id(t) not in alike]
    own = {
        **{kind: {name: of[name] for name in differing if of} for kind, of in arrays.items()},
        "generators": {name: g.bit_generator.state for name, g in steps.generators.items()},
        **{name: getattr(training, name) for name in _OF_EACH},
    }
    return {
        **arrays,
        "trained": {name: t.requires_grad for name, t in steps.tensors.items()},
        "optimizer": steps.optimizer.state_dict(),
        "scheduler": None if training.scheduler is None else training.scheduler.state_dict(),
        "history": {name: np.asarray(entries) for name, entries in training.history.figures.items()},
        "seconds": training.history.seconds,
        **{name: getattr(training, name) for name in _OF_ALL},
        "ranks": training.steps.gathered(own),
    }


def restore(training: Training, state: dict[str, Any], path: Path) -> None:
    """Set a training to the state of a file; if it does not fit on a rank, nothing changes, and all raise FileError."""
    before, wrong = captured(training), None
    try:
        _set(training, state)
    except Exception as error:  # what is missing, or of another type or shape, shows in many ways
        wrong = f"{type(error).__name__}: {error}"
    if told := [each for each in training.steps.gathered(wrong) if each is not None]:
        _set(training, before)
        raise FileError(f"{path} does not hold all of this training ({told[0]}); drop it to go on from the one before")


def _set(training: Training, state: dict[str, Any]) -> None:
    steps, own = training.steps, state["ranks"][training.steps.rank]
    steps.optimizer.load_state_dict(state["optimizer"])
    if training.scheduler is not None:
        training.scheduler.load_state_dict(state["scheduler"])
    values, training.best_arrays = (
        {name: np.asarray(x, steps.tensors[name].dtype) for name, x in (state[kind] | own[kind]).items()}
        for kind in ("tensors", "best_arrays")
    )  # with several ranks, arrays have become lists
    for arrays in (training.best_arrays or values, values):  # the former only to see that they fit
        replace_values([(t, arrays[name]) for name, t in steps.tensors.items()])
    for name, t in steps.tensors.items():
        t.requires_grad = state["trained"][name]
    for name, generator in steps.generators.items():
        generator.bit_generator.state = own["generators"][name]
    for name in (*_OF_ALL, *_OF_EACH):
        value = (state | own)[name]
        require(type(value) is type(getattr(training, name)), f"{name} is {given(value)}")
        setattr(training, name, value)
    training.means = {name: float(mean) for name, mean in training.means.items()}
    training.loader.generator.bit_generator.state = training.drawn
    history, names = state["history"], (*training.history.figures, *state["history"])
    training.history.figures = {name: [*map(float, history[name])] for name in names}
    training.history.seconds = float(state["seconds"])


def settings_of(training: Training) -> dict[str, Any]:
    """Return, as texts by name, what must be the same in a training that is resumed."""
    steps = training.steps
    loss = None if steps.cost.by_default else steps.cost.loss
    loader, dataset = training.loader, training.loader.dataset
    generators = steps.generators | {"shuffle": loader.generator}
    names = {id(t): name for name, t in steps.tensors.items()}
    arrays = dataset.arrays if isinstance(dataset, TensorDataset) else training.arrays or ()
    samples = [raw(a) for a in leaves((arrays, training.held_out)) if a is not None]
    found: dict[str, Any] = {
        **{f"its tensors {name}": f"{t.dtype} {t.shape}" for name, t in steps.tensors.items()},
        **{f"its generators {name}": type(g.bit_generator).__name__ for name, g in generators.items()},
        "the optimizer": type(steps.optimizer).__qualname__,
        "the dataset": (type(dataset).__name__, len(dataset)),
        **{f"the loader's {x}": getattr(loader, x) for x in ("batch_size", "drop_last", "shuffle", "collate_fn")},
        "the samples' shapes": [(a.dtype, a.shape) for a in samples],
        "the samples' checksums": [zlib.crc32(bytes_of(a)) for a in samples],
        "metrics": [*training.metrics],
        **training.options,
    }
    for i, group in enumerate(steps.optimizer.param_groups):
        settings = {**group, "params": [names[id(p)] for p in group.params], "lr": first_lr(group)}
        found |= {f"its groups {i} {name}": x for name, x in settings.items()}
    for what, x in (("the module", steps.module), ("the loss", loss), ("the scheduler", training.scheduler)):
        found |= {f"{what} {number}": line for number, line in enumerate(repr(x).splitlines(), start=1)}
    if isinstance(loss, Module):
        found |= {f"the loss {name}": t.tolist() for name, t in loss.named_buffers()}
    each = training.steps.gathered({name: re.sub(" at 0x[0-9a-fA-F]+", "", str(x)) for name, x in found.items()})
    whose = [f"rank {i}'s " if len(each) > 1 else "" for i in range(len(each))]
    settings = {f"{of}{name}": x for of, found in zip(whose, each, strict=True) for name, x in found.items()}
    return {"the number of ranks": len(each)} | settings


def compare(was: Any, now: dict[str, Any]) -> None:
    """Raise StateError, with a list of the differences, if the settings of two trainings differ."""
    was = was if isinstance(was, dict) else {}
    names = [name for name in was | now if was.get(name) != now.get(name)]
    if names:
        raise StateError(
            f"this checkpoint is of another training: "
            f"{'; '.join(f'{name} was {was.get(name)}, now is {now.get(name)}' for name in names)}. Pass what it was "
            "begun with, or another folder as checkpoint="
        )


def save_tree(path: Path, tree: dict[str, Any]) -> None:
    """Write a tree of dictionaries, lists, arrays, numbers and texts: each array by its name, the rest as JSON."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_packed("", tree, arrays))
    save(path, arrays | {_TREE: np.frombuffer(text.encode(), np.uint8)})


def load_tree(path: Path) -> dict[str, Any]:
    """Return the tree of a file; tuples became lists. Raises FileError."""
    arrays = load(path)

    def with_arrays(found: dict[str, Any]) -> Any:
        if found.keys() != {"array", "axes"}:
            return found
        array, axes = arrays[found["array"]], found["axes"]
        return array[()] if axes is None else copied(array.transpose(np.argsort(axes)))

    try:
        return dict(json.loads(arrays[_TREE].tobytes(), object_hook=with_arrays))
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise FileError(f"{path} is no checkpoint, though named like one; name it otherwise") from error


def _packed(name: str, tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a tree for JSON, and put its arrays into `arrays`.

    An array is written in its memory order, with the order of its axes: the bits of sums depend on it.
    """
    if isinstance(tree, (np.ndarray, np.generic)):
        array = np.asarray(tree)
        axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        arrays[name] = array.transpose(axes)
        return {"array": name, "axes": axes if array is tree else None}
    if isinstance(tree, (dict, list, tuple)):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        found = {key: _packed(f"{name}.{key}" if name else str(key), part, arrays) for key, part in items}
        return found if isinstance(tree, dict) else [*found.values()]
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise StateError(f"{name} is {given(tree)}, which no checkpoint holds; make it a number, a text or an array")
