"""Files that are damaged, hostile or changed: a FileError or the exact content, in no more memory than they justify."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import hostile_files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import numpy as judge

import tinygrad_nn as tg
from tinygrad_nn.errors import FileError
from tinygrad_nn.training import formats

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
KINDS = (".safetensors", ".npz")


def loaded(path: Path, data: bytes) -> dict[str, np.ndarray]:
    """Return what a file of these bytes holds, once it is known that loading it took no more memory than it may."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        arrays: dict[str, np.ndarray] = tg.load(path)
        return arrays
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 30 * len(data) + (1 << 20)


def assert_refused(path: Path, data: bytes, wrong: str) -> None:
    with pytest.raises(FileError, match=r"can't be loaded: .+; get a whole copy") as caught:
        loaded(path, data)
    assert (caught.value.__cause__ is None) == (wrong not in hostile_files.FOUND_BY_OTHERS)


@pytest.mark.parametrize("wrong", hostile_files.SAFETENSORS)
def test_a_safetensors_file_that_lies_is_refused(wrong: str, tmp_path: Path) -> None:
    assert_refused(tmp_path / "a.safetensors", hostile_files.SAFETENSORS[wrong], wrong)


@pytest.mark.parametrize("wrong", hostile_files.NPZ)
def test_an_npz_file_that_lies_is_refused(wrong: str, tmp_path: Path) -> None:
    assert_refused(tmp_path / "a.npz", hostile_files.NPZ[wrong], wrong)


def test_what_the_files_that_lie_are_made_of_loads(tmp_path: Path) -> None:
    whole = hostile_files.safetensors({"w": hostile_files.entry()}, bytes(8))
    for path, data in ((tmp_path / "a.safetensors", whole), (tmp_path / "a.npz", hostile_files.ONE)):
        arrays = loaded(path, data)
        assert arrays.keys() == {"w"}
        assert arrays["w"].dtype == np.float32
        assert arrays["w"].tolist() == [0.0, 0.0]


class Net(tg.nn.Module):
    """A model with parameters and buffers of several dtypes and shapes."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.weight = tg.tensor(rng.normal(size=(3, 5)), requires_grad=True)
        self.bias = tg.tensor(rng.normal(size=3).astype(np.float32), requires_grad=True)
        self.mask = tg.nn.Buffer(rng.random(7) > 0.5)
        self.steps = tg.nn.Buffer(rng.integers(1000))
        self.none = tg.nn.Buffer(np.zeros((0, 2), np.float16))


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    """Return whether two states are equal, name by name and bit for bit."""
    described = [[(n, a.dtype, a.shape, a.tobytes()) for n, a in state.items()] for state in (left, right)]
    return described[0] == described[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return a file of each kind, which holds the state of a model."""
    folder = tmp_path_factory.mktemp("whole")
    for kind in KINDS:
        tg.save(folder / f"net{kind}", Net(0))
    return {kind: (folder / f"net{kind}").read_bytes() for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5_000 if DEEP else 150)
@given(draw=st.data())
def test_a_changed_file_is_refused_or_loads_exactly(
    kind: str, draw: st.DataObject, whole: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = draw.draw(hostile_files.mutated(whole[kind]))
    path = tmp_path_factory.getbasetemp() / f"changed{kind}"
    model, before, saved = Net(1), Net(1).state_dict(), Net(0).state_dict()
    try:
        model.load_state_dict(loaded(path, data))
    except FileError:
        assert same(model.state_dict(), before)
    else:
        assert same(model.state_dict(), saved)


@pytest.mark.parametrize("kind", ["library.safetensors", "plain.npz", "packed.npz"])
@settings(max_examples=2_000 if DEEP else 60)
@given(draw=st.data())
def test_a_changed_file_of_others_is_refused_or_loads(
    kind: str, draw: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It has no checksum, so other numbers may come; arrays that are none, other names' paths or memory may not."""
    path = tmp_path_factory.getbasetemp() / kind
    state = Net(0).state_dict()
    if kind == "library.safetensors":
        judge.save_file(state, path)
    else:
        archived: Any = np.savez if kind == "plain.npz" else np.savez_compressed
        archived(path, **state)
    data = draw.draw(hostile_files.mutated(path.read_bytes()))
    try:
        arrays = loaded(path, data)
    except FileError:
        return
    for name, array in arrays.items():
        formats.check_name(name)
        assert array.dtype in formats.CODES
        assert array.nbytes <= 20 * len(data)
        array.copy().fill(1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_of_the_numbers_counts(kind: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    weight = Net(0).weight.data.tobytes()
    start = whole[kind].index(weight)
    for place in range(start, start + len(weight)):
        data = bytearray(whole[kind])
        data[place] ^= 1 << place % 8
        with pytest.raises(FileError):
            loaded(tmp_path / f"a{kind}", bytes(data))


def test_the_checksum_finds_what_the_format_does_not(whole: dict[str, bytes], tmp_path: Path) -> None:
    """An array has another name or another dtype, the metadata another text: well-formed, and another content."""
    for old, new in ((b'"steps"', b'"spets"'), (b'"written_by"', b'"written_as"'), (b"F16", b"I16")):
        assert old in whole[".safetensors"]
        with pytest.raises(FileError, match="SHA-256"):
            loaded(tmp_path / "a.safetensors", whole[".safetensors"].replace(old, new))


def test_headers_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JSON becomes objects it takes some twenty times its memory."""
    arrays = {f"array {i}": np.ones(1) for i in range(40)}
    tg.save(tmp_path / "a.safetensors", arrays)
    monkeypatch.setattr(formats, "_LONGEST_HEADER", 1000)
    with pytest.raises(FileError, match="can't be loaded: its header has"):
        tg.load(tmp_path / "a.safetensors")
    with pytest.raises(FileError, match="can't be written: its header would have"):
        tg.save(tmp_path / "b.safetensors", arrays)
