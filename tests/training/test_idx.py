"""MNIST's files: what is in them, plain and packed, and a FileError for what is none."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from pathlib import Path

import hostile_files
import numpy as np
import pytest
from hypothesis import given, settings

import tinygrad_nn as tg
from tinygrad_nn.errors import FileError

CODES = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


def idx(array: np.ndarray, code: int) -> bytes:
    """Return an array as LeCun's page describes the format: zeros, type, axes; lengths and numbers big-endian."""
    start = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return start + b"".join(struct.pack(f">{array.dtype.char}", n) for n in array.ravel().tolist())


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (), (0, 28, 28)])
def test_arrays_come_back_plain_and_packed(code: int, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = (np.random.default_rng(0).normal(size=shape) * 50).astype(CODES[code])
    for name, data in (("plain", idx(array, code)), ("packed.gz", gzip.compress(idx(array, code)))):
        (tmp_path / name).write_bytes(data)
        found = tg.data.read_idx(tmp_path / name)
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert found.tolist() == array.tolist()
        assert found.flags.writeable


IMAGES = np.random.default_rng(1).integers(0, 256, (5, 4, 4)).astype(np.uint8)
PLAIN = idx(IMAGES, 8)
WRONG = {
    "empty": b"",
    "three bytes": PLAIN[:3],
    "a cut shape": PLAIN[:9],
    "one axis of three": PLAIN[:4] + bytes(4),
    "zeros that are none": b"\1" + PLAIN[1:],
    "a cut array": PLAIN[:-1],
    "a byte too many": PLAIN + b"\0",
    "another format": b"PK\3\4" + PLAIN,
    "an unknown type": idx(IMAGES, 10),
    "a type that is wider": idx(IMAGES, 13),
    "four billion images": PLAIN[:4] + b"\xff" * 4 + PLAIN[8:],
    "255 axes": b"\0\0\x08\xff" + bytes(4 * 255),
    "packed, cut": gzip.compress(PLAIN)[:-9],
    "packed, of a cut array": gzip.compress(PLAIN[:-1]),
    "packed, a byte too many": gzip.compress(PLAIN + b"\0"),
    "packed, with another checksum": gzip.compress(PLAIN)[:-8] + bytes(8),
    "packed, seven million in 31 bytes": b"\x1f\x8b\x08\0_\xae\x0ck\2\xffc`\xe0`f```\5b\x164294967296",
    "packed, another format": gzip.compress(b"nothing of the kind"),
    "packed, then something else": gzip.compress(PLAIN) + b"more",
    "a bomb": gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 30_000_000) + bytes(30_000_000)),
    "a bomb that lies": gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 4) + bytes(30_000_000)),
    "four billion, packed": gzip.compress(b"\0\0\x08\x02" + b"\xff" * 8),
}


FOUND_BY_OTHERS = {"a cut shape", "packed, cut", "packed, with another checksum", "packed, then something else"}


def loaded(path: Path, data: bytes) -> np.ndarray:
    """Return what a file of these bytes holds, once it is known that reading it took no more memory than it may."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        array: np.ndarray = tg.data.read_idx(path)
        return array
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 30 * len(data) + (1 << 20)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_that_is_none_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"can't be loaded: .+; get a whole copy") as caught:
        loaded(tmp_path / "images", WRONG[wrong])
    assert (caught.value.__cause__ is None) == (wrong not in FOUND_BY_OTHERS)


@settings(max_examples=2_000 if DEEP else 100)
@given(data=hostile_files.mutated(gzip.compress(PLAIN)))
def test_a_changed_file_is_refused_or_loads_exactly(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        found = loaded(tmp_path_factory.getbasetemp() / "changed", data)
    except FileError:
        return
    np.testing.assert_array_equal(found, IMAGES)  # by gzip's CRC-32
