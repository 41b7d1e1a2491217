"""Trainings that break off and go on, to the last bit; checkpoints of another training, damage, and no room."""

import copy
import errno
import functools
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import data, small

import tinygrad_nn as tg
from tinygrad_nn.errors import FileError, StateError
from tinygrad_nn.training.checkpoints import load_tree, save_tree

pytestmark = pytest.mark.usefixtures("unsynced")
X, Y = data(60)
LABELS = Y.astype(int)
schedules = tg.optim.lr_scheduler


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for the disk: what a loss of power does is not tested here."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


class Parts:
    """A module with dropout and running statistics, its optimiser and its schedule, from the same seeds each time."""

    def __init__(self, plateau: bool = False, named: bool = False, width: int = 6) -> None:
        self.module = tg.nn.Sequential(
            tg.nn.Linear(2, width, seed=1), tg.nn.BatchNorm1d(width), tg.nn.Tanh(), tg.nn.Dropout(0.2, seed=3),
            tg.nn.Linear(width, 2, seed=2),
        )  # fmt: skip
        parameters = self.module.named_parameters() if named else self.module.parameters()
        self.optimizer = tg.optim.Adam(parameters, 0.02)
        self.scheduler: Any = schedules.StepLR(self.optimizer, 2, 0.5)
        if plateau:
            self.scheduler = schedules.ReduceLROnPlateau(self.optimizer, patience=0, threshold=0.5)

    def train(self, folder: Path | None, break_at: int | None = None, **options: Any) -> tg.History:
        """Train for 5 epochs, or until a metric was asked for so often: then it raises LookupError."""
        calls = itertools.count(1)

        def accuracy(outputs: Any, y: Any) -> float:
            if next(calls) == break_at:
                raise LookupError("mine")
            return tg.accuracy(outputs, y)

        given = {"epochs": 5, "batch_size": 8, "optimizer": self.optimizer, "scheduler": self.scheduler}
        given |= {"loss": tg.cross_entropy, "metrics": {"accuracy": accuracy}, "progress": False}
        return tg.train(self.module, X, LABELS, **given | {"checkpoint": folder} | options)

    def left(self) -> Any:
        """Return all that a training leaves, to be compared."""
        arrays = {name: x.tobytes() for name, x in self.module.state_dict().items()}
        return arrays, str(self.optimizer.state_dict()), self.scheduler.state_dict(), self.generators()

    def generators(self) -> Any:
        return {name: g.bit_generator.state for name, g in self.module.generators().items()}


HELD_OUT: dict[str, Any] = {"validation": (X[:20], LABELS[:20]), "early_stopping": 2}


@pytest.mark.parametrize("break_at", [pytest.param(5, marks=pytest.mark.slow), 22])
@pytest.mark.parametrize(
    ("parts", "options"),
    [
        ({}, {"every_steps": 1}),
        ({}, {"every_steps": 3, "compile": True}),
        ({"plateau": True, "named": True}, {"every_steps": 2, **HELD_OUT}),
        ({}, {"every_steps": 2, "validation": (X, 1 - LABELS), "early_stopping": 3}),  # the first epoch is the best
        ({}, {"every": 1, "accumulate": 3, "clip_norm": 0.5}),
        ({}, {"every_steps": 1, "accumulate": 3, "class_weight": "balanced", "sample_weight": range(1, 61)}),
        ({}, {"every": 2, "batch_size": None, "shuffle_seed": np.random.Generator(np.random.MT19937(5))}),
    ],
)
def test_a_training_that_an_error_breaks_off_goes_on_bit_for_bit(
    tmp_path: Path, break_at: int, parts: dict[str, Any], options: dict[str, Any]
) -> None:
    whole, broken, later = Parts(**parts), Parts(**parts), Parts(**parts)
    seed = options.get("shuffle_seed")
    state = None if seed is None else seed.bit_generator.state

    def train(parts: Parts, folder: str, **others: Any) -> tg.History:
        if seed is not None:
            seed.bit_generator.state = state
        return parts.train(tmp_path / folder, **options | others)

    expected = train(whole, "whole")
    with pytest.raises(LookupError, match="mine"):
        train(broken, "broken", break_at=break_at if options.get("batch_size", 8) else 4)
    for again in (broken, later):  # in the same process, and as in another one
        assert train(again, "broken", resume=True).figures == expected.figures
        assert again.left() == whole.left()


def test_epochs_are_the_total_and_an_empty_folder_starts_anew(tmp_path: Path) -> None:
    whole, parts = Parts(), Parts()
    expected = whole.train(None)
    first = parts.train(tmp_path / "new" / "folder", epochs=2, resume=True)
    assert len(first) == 2
    Parts().train(tmp_path / "new" / "folder", epochs=9, resume=True, on_epoch=lambda epoch, _: epoch < 3)
    other = Parts()
    history = other.train(tmp_path / "new" / "folder", resume=True)
    assert history.figures == expected.figures
    assert other.left() == whole.left()
    assert other.train(tmp_path / "new" / "folder", epochs=2, resume=True).figures == expected.figures


def test_what_a_callback_freezes_stays_frozen(tmp_path: Path) -> None:
    def train(parts: Parts, epochs: int, **options: Any) -> tg.History:
        weight = parts.module[0].weight
        weight.requires_grad = False

        def switch(epoch: int, history: tg.History) -> None:
            weight.requires_grad = epoch == 1

        return parts.train(epochs=epochs, on_epoch=switch, **options)

    whole, parts = Parts(), Parts()
    expected = train(whole, 4, folder=None)
    train(Parts(), 2, folder=tmp_path)
    assert train(parts, 4, folder=tmp_path, resume=True).figures == expected.figures
    assert parts.left() == whole.left()


def test_the_epochs_that_are_left_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Parts().train(tmp_path, epochs=3)
    Parts().train(tmp_path, resume=True, progress=True)
    shown = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in shown[:2]] == ["epoch 4 of 5", "epoch 5 of 5"]
    assert shown[2].startswith("5 epochs in ")


def test_what_is_kept(tmp_path: Path) -> None:
    parts, states = Parts(), list[dict[str, np.ndarray]]()
    history = parts.train(
        tmp_path, every_steps=3, keep=3, validation=HELD_OUT["validation"],
        on_epoch=lambda epoch, _: states.append(parts.module.state_dict()),
    )  # fmt: skip
    kept = ["best.npz", "step-0000000036.npz", "step-0000000039.npz", "step-0000000040.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    best = states[int(np.argmin(history.validation_cost))]
    parts.module.load_state_dict(tg.load(tmp_path / "best.npz"))
    assert all(np.array_equal(x, best[name]) for name, x in parts.module.state_dict().items())


@pytest.mark.parametrize(
    ("parts", "options", "words"),
    [
        ({}, {"batch_size": 9, "clip_norm": 1.0}, "batch_size was 8, now is 9; .*clip_norm was None, now is 1.0"),
        ({"width": 5}, {}, r"its tensors module.0.weight was float64 \(6, 2\), now is float64 \(5, 2\)"),
        ({"plateau": True}, {}, r"the scheduler 1 was StepLR\(.*\), now is ReduceLROnPlateau"),
        ({}, {"loss": tg.mse_loss}, "the loss 1 was <function cross_entropy>, now is <function mse_loss>"),
        ({}, {"validation": HELD_OUT["validation"]}, "the samples' shapes was"),
        ({}, {"sample_weight": np.arange(60)}, "the samples' shapes was"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused_and_nothing_changes(
    tmp_path: Path, parts: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    Parts().train(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other, same = Parts(**parts), Parts(**parts)
    with pytest.raises(StateError, match=f"of another training: .*{words}.* Pass what it was begun with, or another"):
        other.train(tmp_path, resume=True, **options)
    assert other.left() == same.left()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


SETTINGS: dict[str, tuple[Any, Any, str]] = {
    "dropout": (0.1, 0.9, r"the module 3 was .*: Dropout\(p=0.1\), now is .*: Dropout\(p=0.9\)"),
    "smoothing": (0.0, 0.2, "the loss 1 was CrossEntropyLoss.*label_smoothing=0.2"),
    "weight": ([1.0, 2.0], [1.0, 3.0], r"the loss weight was \[1.0, 2.0\], now is \[1.0, 3.0\]"),
    "lr": (0.01, 0.5, "its groups 0 lr was 0.01, now is 0.5"),
    "betas": ((0.9, 0.999), (0.5, 0.999), r"its groups 0 betas was \(0.9, 0.999\), now is \(0.5, 0.999\)"),
    "gamma": (0.5, 0.7, r"the scheduler 1 was .*gamma=0.5\), now is .*gamma=0.7\)"),
}


@pytest.mark.parametrize("changed", [None, *SETTINGS])
def test_a_training_of_other_settings_is_another_training(tmp_path: Path, changed: str | None) -> None:
    """Milestones, and a rate that a schedule has changed since, are the same settings."""

    def train(epochs: int, resume: bool, which: int) -> None:
        s: dict[str, Any] = {name: values[which if name == changed else 0] for name, values in SETTINGS.items()}
        module = tg.nn.Sequential(tg.nn.Linear(2, 2, seed=0), tg.nn.Dropout(s["dropout"], seed=1))
        optimizer = tg.optim.Adam(module.parameters(), s["lr"], betas=s["betas"])
        schedule, loss = schedules.MultiStepLR(optimizer, [1, 3], s["gamma"]), tg.nn.CrossEntropyLoss(s["weight"])
        loss.label_smoothing = s["smoothing"]
        options: Any = {"optimizer": optimizer, "scheduler": schedule, "loss": loss, "checkpoint": tmp_path}
        tg.train(module, X, LABELS, epochs, progress=False, resume=resume, **options)
        tg.train(module, X, LABELS, epochs + 1, progress=False, resume=True, **options)

    train(2, False, 0)
    if changed is None:
        train(4, True, 1)
        return
    with pytest.raises(StateError, match=f"of another training: .*{SETTINGS[changed][2]}"):
        train(4, True, 1)


def test_what_a_loss_was_given_is_compared(tmp_path: Path) -> None:
    network = small()
    for delta in (1.0, 2.0):
        loss = partial(tg.huber_loss, delta=delta)
        with (
            pytest.raises(StateError, match=r"the loss 1 was .*delta=1\.0\), now is .*delta=2\.0")
            if delta == 2
            else nullcontext()
        ):
            tg.train(network, X, Y[:, None], 2, loss=loss, checkpoint=tmp_path, progress=False, resume=True)


def test_other_samples_of_the_same_shape_are_another_training(tmp_path: Path) -> None:
    network = small()
    tg.train(network, X, Y, 2, checkpoint=tmp_path, progress=False)
    with pytest.raises(StateError, match=r"another training: the samples' checksums was \[\d+, \d+\], now is"):
        tg.train(network, X[::-1], Y, 4, checkpoint=tmp_path, resume=True, progress=False)


def test_checkpoints_are_not_overwritten_unasked(tmp_path: Path) -> None:
    Parts().train(tmp_path)
    with pytest.raises(FileError, match="holds checkpoints; pass resume=True to go on from them, or another folder"):
        Parts().train(tmp_path)
    with pytest.raises(ValueError, match="are about checkpoints; pass checkpoint="):
        Parts().train(None, resume=True)
    with pytest.raises(ValueError, match="every_steps must be a whole number, 1 or more, got 0"):
        Parts().train(tmp_path / "other", every_steps=0)
    with pytest.raises(TypeError, match="keep must be a whole number, 1 or more, got None"):
        Parts().train(tmp_path / "other", keep=None)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    whole, parts = Parts(), Parts()
    whole.train(None)
    Parts().train(tmp_path, epochs=3)
    _, newest = sorted(tmp_path.iterdir())
    spoilt = bytearray(newest.read_bytes())
    spoilt[spoilt.index(b"NUMPY") + 200] ^= 4  # in the first array
    newest.write_bytes(spoilt)
    with pytest.warns(
        RuntimeWarning, match=r"step-\d+\.npz can't be loaded: .* The checkpoint before it is used"
    ) as warned:
        parts.train(tmp_path, resume=True)
    assert warned[0].filename == __file__
    assert parts.left() == whole.left()
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.warns(RuntimeWarning), pytest.raises(FileError, match="no checkpoint that can be read; remove them"):
        Parts().train(tmp_path, resume=True)


def entries(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to each entry of a tree of dictionaries and lists, those of settings left out."""
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        if key != "settings":
            yield (*path, key)
            yield from entries(tree[key], (*path, key))


MISSING = object()


def test_a_checkpoint_that_lacks_anything_is_a_file_error_and_changes_nothing(tmp_path: Path) -> None:
    """Its checksum is right, so it was written so: by another version, or by someone who means harm."""
    Parts().train(tmp_path, epochs=2, every_steps=3, **HELD_OUT)
    newest = max(tmp_path.glob("step*"))
    whole, untouched = load_tree(newest), Parts().left()
    paths = [*entries(whole)]
    assert len(paths) > 100
    for path, value in itertools.product(paths, [MISSING, "x"]):
        tree: Any = copy.deepcopy(whole)
        part = functools.reduce(lambda found, key: found[key], path[:-1], tree)
        if value is MISSING:
            del part[path[-1]]
        else:
            part[path[-1]] = value
        save_tree(newest, tree)
        parts = Parts()
        with pytest.raises(
            FileError, match=r"step-\d+.npz does not hold all of this training \(.*\); drop it to go on"
        ):
            parts.train(tmp_path, epochs=2, every_steps=3, resume=True, keep=99, **HELD_OUT)
        assert parts.left() == untouched, path


def test_a_full_disk_is_one_error_and_nothing_is_lost(tmp_path: Path) -> None:
    whole, parts, before = Parts(), Parts(), resource.getrlimit(resource.RLIMIT_FSIZE)
    expected = whole.train(None)

    def fill(epoch: int, history: tg.History) -> None:
        if epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    try:
        with pytest.raises(FileError, match=r"step-\d+\.npz can't be written: .*too large; make room"):
            parts.train(tmp_path, on_epoch=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    learnt = Parts()
    learnt.train(None, epochs=3)
    assert parts.left() == learnt.left()
    assert [load_tree(path)["updates"] for path in sorted(tmp_path.iterdir())] == [8, 16]
    assert parts.train(tmp_path, resume=True).figures == expected.figures
    assert parts.left() == whole.left()


def test_a_folder_that_can_not_be_written_to_is_an_error_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"can't be made: .*; pass another folder as checkpoint="):
        parts.train(tmp_path / "file" / "folder")

    def refuse(*args: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tinygrad_nn.training.files.open", refuse, raising=False)
    with pytest.raises(FileError, match=r"can't be written: .*Permission denied; make room, or name another file"):
        parts.train(tmp_path / "folder")
    assert parts.left() == Parts().left()


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="folders are closed to a user otherwise there")
def test_in_a_folder_that_is_read_only_nothing_is_lost() -> None:
    script = Path(__file__).with_name("unwritable.py")
    with tempfile.TemporaryDirectory() as name:  # not in pytest's own, which is closed to other users
        folder = Path(name)
        try:
            run = subprocess.run([sys.executable, script, name], capture_output=True, text=True, check=True)
        finally:
            for each in (folder, folder / "begun"):
                each.chmod(0o755)
    found = json.loads(run.stdout)
    denied = r"\[Errno 13\] Permission denied.*"
    assert re.fullmatch(
        rf"FileError: .*a.npz can't be written: {denied}; make room, or name another file", found["save"]
    )
    assert re.fullmatch(rf"FileError: .*new can't be made: {denied}; pass another folder as .*", found["new"])
    assert re.fullmatch(rf"FileError: .*step-0+3.npz can't be written: {denied}", found["resumed"])
    assert (found["load"], found["untouched"], found["kept"]) == ("[1.0, 1.0, 1.0]", "True", "True")
    assert found["as it was"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_is_full_at_any_step_of_a_write_loses_nothing(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = Parts(), Parts()
    expected, real, calls = whole.train(None), getattr(os, step), iter(range(99))

    def full_from_the_third_on(*args: Any) -> Any:
        if next(calls) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full_from_the_third_on)
        with pytest.raises(FileError, match=r"can't be written: .*No space left on device; make room, or name another"):
            parts.train(tmp_path, every_steps=8)
    assert not [*tmp_path.glob(".*")]
    assert all(tg.load(path) for path in tmp_path.glob("*.npz"))
    assert parts.train(tmp_path, resume=True, every_steps=8).figures == expected.figures
    assert parts.left() == whole.left()


def test_what_diverges_after_it_went_on_keeps_what_the_checkpoint_held(tmp_path: Path) -> None:
    factor = 1.0

    def loss(outputs: Any, y: Any) -> Any:
        return tg.cross_entropy(outputs, y) * factor

    parts, later = Parts(), Parts()
    parts.train(tmp_path, epochs=2, loss=loss)
    factor = np.inf
    with pytest.raises(tg.errors.DivergedError):
        later.train(tmp_path, loss=loss, resume=True)
    assert later.left()[0] == parts.left()[0]


def test_a_diverged_training_leaves_checkpoints_of_finite_numbers(tmp_path: Path) -> None:
    network = small("identity")
    with np.errstate(all="ignore"), pytest.raises(tg.errors.DivergedError):
        tg.train(network, X, 1e3 * Y, 100, 1e8, 8, checkpoint=tmp_path, every_steps=1, keep=99, progress=False)
    assert len([*tmp_path.iterdir()]) > 2
    for path in tmp_path.iterdir():
        arrays = {name: x for name, x in tg.load(path).items() if name.startswith("tensors.")}
        assert len(arrays) == 4
        assert all(np.isfinite(x).all() for x in arrays.values())


def test_arrays_come_back_as_they_lay_in_memory(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 3, 4))
    arrays = [x, x.T, x.transpose(1, 0, 2), x[:, :1].T, np.array(2.0), np.empty((0, 3)), x[::2, ::-1]]
    tree = {"a": arrays, "scalar": np.float32(0.1), "numbers": {"inf": np.inf, "large": 2**127}, "none": [None, "é"]}
    save_tree(tmp_path / "a.npz", tree)
    loaded = load_tree(tmp_path / "a.npz")
    for array, found in zip(arrays, loaded["a"], strict=True):
        np.testing.assert_array_equal(found, array)
        assert found.strides == np.array(array).strides or found.size <= 1
    assert type(loaded["scalar"]) is np.float32
    assert {**loaded, "a": 0} == {**tree, "a": 0}
    with pytest.raises(StateError, match=r"x is .* which no checkpoint holds; make it a number"):
        save_tree(tmp_path / "b.npz", {"x": object()})
    tg.save(tmp_path / "c.npz", {"x": x})
    with pytest.raises(FileError, match="is no checkpoint, though named like one; name it otherwise"):
        load_tree(tmp_path / "c.npz")
    for text in ("[", '{"array": "absent", "axes": null}', "[" * 10_000, '{"array": [], "axes": []}', "[1]"):
        tg.save(tmp_path / "d.npz", {"tree": np.frombuffer(text.encode(), np.uint8)})
        with pytest.raises(FileError, match="is no checkpoint, though named like one; name it otherwise"):
            load_tree(tmp_path / "d.npz")


def test_a_checkpoint_holds_as_many_tensors_as_there_are(tmp_path: Path) -> None:
    """An .npz has no more than 65,535 bytes of metadata."""
    network = tg.nn.Sequential(*[tg.nn.Linear(1, 1, seed=i) for i in range(400)])
    options: dict[str, Any] = {"loss": tg.mse_loss, "optimizer": tg.optim.Adam(network.parameters()), "compile": False}
    tg.train(network, X[:4, :1], Y[:4, None], 1, checkpoint=tmp_path, progress=False, **options)
    again = tg.train(network, X[:4, :1], Y[:4, None], 1, checkpoint=tmp_path, progress=False, resume=True, **options)
    assert len(again) == 1
