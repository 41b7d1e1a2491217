"""Files: what is saved comes back, here, in PyTorch and in other programs; and nothing is written by halves."""

from __future__ import annotations

import math
import os
import stat
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optional import pytorch
from safetensors import numpy as judge

import tinygrad_nn as tg
from tinygrad_nn.errors import DtypeError, FileError, StateError
from tinygrad_nn.training import formats

KINDS = (".safetensors", ".npz")
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(4, 6)) * 100
OF_EACH_DTYPE = {code: NUMBERS.astype(dtype) for dtype, code in formats.CODES.items()}
LAYOUTS = {
    "0-d": np.array(2.5),
    "no rows": np.zeros((0, 3), np.float32),
    "no columns": np.zeros((3, 0), np.int8),
    "Fortran": np.asfortranarray(NUMBERS),
    "strided": NUMBERS[::-2, 1::3],
    "broadcast": np.broadcast_to(np.float16(3), (2, 2)),
    "big-endian": NUMBERS.astype(">f4"),
    "big-endian integers": np.arange(5, dtype=">u2"),
    "extremes": np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324]),
    "flags": np.array([True, False, True]),
    "größe/β:0": np.array([2**63], np.uint64),
    "": np.arange(3),
}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Assert that arrays by name are equal, bit for bit, in native dtypes."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        native = array.astype(array.dtype.newbyteorder("="))
        assert (found[name].dtype, found[name].shape) == (native.dtype, native.shape), name
        assert found[name].tobytes() == native.tobytes(), name


def by_others(path: Path) -> dict[str, Any]:
    """Return what NumPy or the safetensors library reads in a file."""
    if path.suffix == ".safetensors":
        arrays: dict[str, Any] = judge.load_file(path)
        return arrays
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrays", [OF_EACH_DTYPE, LAYOUTS, {}], ids=["dtypes", "layouts", "nothing"])
def test_what_is_saved_comes_back_and_others_read_it(kind: str, arrays: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / f"a{kind}"
    tg.save(path, arrays)
    found = tg.load(path)
    assert_same(found, arrays)
    assert list(found) == list(arrays)
    assert_same(by_others(path), arrays)
    assert all(a.flags.writeable for a in found.values())


@pytest.mark.parametrize("arrays", [OF_EACH_DTYPE, LAYOUTS], ids=["dtypes", "layouts"])
def test_what_others_write_loads(arrays: dict[str, Any], tmp_path: Path) -> None:
    for path in (tmp_path / "a.npz", tmp_path / "packed.npz"):
        (np.savez if path.stem == "a" else np.savez_compressed)(path, **{k: v for k, v in arrays.items() if k != ""})
        assert_same(tg.load(path), {k: v for k, v in arrays.items() if k != ""})
    native = {name: np.array(a, a.dtype.newbyteorder("="), order="C") for name, a in arrays.items()}
    judge.save_file(native, tmp_path / "a.safetensors", {"format": "pt"})
    assert_same(tg.load(tmp_path / "a.safetensors"), arrays)


def test_arrays_in_a_safetensors_file_are_aligned(tmp_path: Path) -> None:
    tg.save(tmp_path / "a.safetensors", {"one": np.array([True]), "eight": np.arange(3), "two": np.zeros(1, np.int16)})
    data = (tmp_path / "a.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    assert data[8 + length :] == np.arange(3).tobytes() + bytes(2) + b"\1"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_module_gives_the_same_file(kind: str, tmp_path: Path) -> None:
    for name in "ab":
        tg.save(tmp_path / f"{name}{kind}", tg.nn.Linear(3, 2, seed=0))
    assert (tmp_path / f"a{kind}").read_bytes() == (tmp_path / f"b{kind}").read_bytes()


def convolutional(nn: Any, **options: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, **options),
        nn.BatchNorm2d(2, **options),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 3, **options),
    )


def test_a_module_s_file_loads_into_torch_nn_and_back(tmp_path: Path) -> None:
    torch = pytorch()
    from safetensors import torch as theirs

    ours, other = convolutional(tg.nn), convolutional(torch.nn, dtype=torch.float64)
    x = RNG.normal(size=(4, 1, 6, 6))
    ours(x)  # moves the running statistics
    tg.save(tmp_path / "ours.safetensors", ours)
    other.load_state_dict(theirs.load_file(tmp_path / "ours.safetensors"))
    outputs = other.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours.eval()(x).data, outputs, rtol=1e-12, atol=1e-14)
    theirs.save_file(other.state_dict(), tmp_path / "theirs.safetensors")
    again = convolutional(tg.nn)
    again.load_state_dict(tg.load(tmp_path / "theirs.safetensors"))
    assert_same(again.state_dict(), ours.state_dict())


def test_bfloat16_becomes_float32_exactly(tmp_path: Path) -> None:
    torch = pytorch()
    from safetensors import torch as theirs

    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    theirs.save_file({"all": bits, "one": torch.tensor(3.0, dtype=torch.bfloat16)}, tmp_path / "a.safetensors")
    found = tg.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found["all"].view(np.uint32) >> 16, np.arange(2**16))  # the bits, also of nan
    np.testing.assert_array_equal(found["all"], bits.float().numpy())
    assert found["one"].dtype == np.float32
    assert found["one"].tolist() == 3.0


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file grow beyond `room` bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("room", [0, 100, 5_000])
def test_a_full_disk_loses_nothing(kind: str, room: int, tmp_path: Path) -> None:
    path = tmp_path / f"a{kind}"
    tg.save(path, {"w": np.ones(3)})
    with full_disk(room), pytest.raises(FileError, match=r"can't be written: .*too large; make room, or name another"):
        tg.save(path, {"w": np.zeros(1000)})
    assert_same(tg.load(path), {"w": np.ones(3)})
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_save_that_is_interrupted_leaves_what_was_there(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tg.save(tmp_path / "a.npz", {"w": np.ones(3)})

    def interrupt(*_: Any) -> None:
        assert_same(tg.load(tmp_path / "a.npz"), {"w": np.ones(3)})
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tg.save(tmp_path / "a.npz", {"w": np.zeros(3)})
    assert_same(tg.load(tmp_path / "a.npz"), {"w": np.ones(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_the_disk_has_the_file_before_its_name_leads_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Any = []
    for step in ("fsync", "replace"):
        real = getattr(os, step)
        monkeypatch.setattr(os, step, lambda *a, real=real, step=step: calls.append(step) or real(*a))
    tg.save(tmp_path / "a.npz", {"w": np.ones(3)})
    assert calls == ["fsync", "replace", "fsync"]  # the last is the folder's


def test_links_stay_and_permissions_too(tmp_path: Path) -> None:
    path, link = tmp_path / "a.npz", tmp_path / "newest.npz"
    tg.save(path, {"w": np.ones(3)})
    path.chmod(0o600)
    link.symlink_to(path.name)
    tg.save(link, {"w": np.zeros(3)})
    assert link.is_symlink()
    assert_same(tg.load(path), {"w": np.zeros(3)})
    assert_same(tg.load(link), {"w": np.zeros(3)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_regular_files_are_read_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "device.npz").symlink_to("/dev/zero")
    (tmp_path / "circle.npz").symlink_to("circle.npz")
    for name in ("folder", "pipe", "device"):
        with pytest.raises(FileError, match="is no regular file; name one"):
            tg.load(tmp_path / f"{name}.npz")
    for name in ("folder", "pipe", "device", "circle"):
        with pytest.raises(FileError, match="can't be written: no regular file stands there"):
            tg.save(tmp_path / f"{name}.npz", {})
    assert len(list(tmp_path.iterdir())) == 4


def test_a_path_comes_first(tmp_path: Path) -> None:
    """In PyTorch it comes second."""
    with pytest.raises(TypeError, match=r"a path is needed, got {} of type dict; write tg\.save\(path, module\)"):
        tg.save({}, str(tmp_path / "a.npz"))  # type: ignore[arg-type]
    path = os.fsencode(tmp_path / "a.npz")
    tg.save(path, {"a": np.ones(1)})  # type: ignore[arg-type]
    assert [*tg.load(path)] == ["a"]  # type: ignore[arg-type]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        tg.load(tmp_path / "nothing.npz")
    with pytest.raises(FileError, match=r"can't be written: .*No such file or directory.*name another file"):
        tg.save(tmp_path / "no folder" / "a.npz", {})


@pytest.mark.parametrize("name", ["model.pt", "model", ".npz/model.pkl", "model.npy"])
def test_other_endings_are_refused(name: str, tmp_path: Path) -> None:
    for call in (lambda path: tg.save(path, {}), tg.load):
        with pytest.raises(FileError, match=r"name a file that ends in \.safetensors or \.npz"):
            call(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "kind", "match"),
    [
        ([np.ones(2)], TypeError, "got a list|got .*list; pass a dict"),
        ({"w": np.ones(2, complex)}, DtypeError, r"w has dtype complex128.*x\.astype"),
        ({"w": np.ones(2, np.longdouble)}, DtypeError, r"w has dtype"),
        ({"w": np.array([None])}, DtypeError, "pass numbers"),
        ({"w": np.ma.masked_array([1.0])}, DtypeError, "MaskedArray"),
        ({"w": "text"}, DtypeError, "pass numbers"),
        ({3: np.ones(2)}, FileError, "3 is no name of an array"),
        ({"../w": np.ones(2)}, FileError, r"no name of an array.*name it otherwise"),
        ({"a\0b": np.ones(2)}, FileError, "no name of an array"),
        ({"\ud800": np.ones(2)}, FileError, "no name of an array"),
        ({"__metadata__": np.ones(2)}, FileError, "no name of an array"),
    ],
)
def test_what_no_file_holds_is_refused_before_anything_is_written(
    content: Any, kind: type[Exception], match: str, tmp_path: Path
) -> None:
    for ending in KINDS:
        with pytest.raises(kind, match=match):
            tg.save(tmp_path / f"a{ending}", content)
    assert list(tmp_path.iterdir()) == []


def test_tensors_and_numbers_are_saved_as_arrays(tmp_path: Path) -> None:
    t = tg.tensor([1.0, 2.0], requires_grad=True)
    tg.save(tmp_path / "a.npz", {"t": t, "square": t * t, "n": 3, "x": 0.5})
    expected = {"t": np.array([1.0, 2.0]), "square": np.array([1.0, 4.0]), "n": np.array(3), "x": np.array(0.5)}
    assert_same(tg.load(tmp_path / "a.npz"), expected)


def test_a_file_of_another_module_changes_nothing(tmp_path: Path) -> None:
    tg.save(tmp_path / "a.safetensors", tg.nn.Linear(3, 2, seed=0))
    layer = tg.nn.Linear(3, 4, seed=1)
    before = layer.state_dict()
    with pytest.raises(StateError, match=r"weight has shape \(2, 3\).*bias has shape \(2,\)"):
        layer.load_state_dict(tg.load(tmp_path / "a.safetensors"))
    assert_same(layer.state_dict(), before)


def test_loading_takes_the_memory_of_the_arrays_once(tmp_path: Path) -> None:
    for kind in KINDS:
        tg.save(tmp_path / f"a{kind}", {"w": np.ones(2_000_000), "v": np.asfortranarray(np.ones((1000, 1000)))})
        tracemalloc.start()
        arrays = tg.load(tmp_path / f"a{kind}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        size = sum(a.nbytes for a in arrays.values())
        assert size <= peak <= 1.5 * size  # numbers in Fortran order are copied for the checksum


@pytest.mark.parametrize(
    "nested", [{"b": np.ones(1)}, [np.ones(2), np.ones(3)], tg.optim.Adam([tg.tensor([1.0], requires_grad=True)])]
)
def test_a_file_holds_a_flat_dict_of_arrays(tmp_path: Path, nested: Any) -> None:
    saved = nested.state_dict() if isinstance(nested, tg.optim.Adam) else {"a": nested}
    with pytest.raises(DtypeError, match="pass a flat dict of arrays by name"):
        tg.save(tmp_path / "x.npz", saved)
    assert not [*tmp_path.iterdir()]
