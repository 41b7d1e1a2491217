"""Arrays by name as bytes, in safetensors and .npz. A header is believed only as far as the file's size allows.

Both readers return arrays and metadata, or raise a reason, which `reading.opened` puts into its sentence.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from .reading import check_shape, most, read_array, require

Arrays = dict[str, np.ndarray]
DTYPES = {
    **{"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1"},
    **{"U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1"},
}
CODES = {np.dtype(short): code for code, short in DTYPES.items()}  # of native dtypes
_LONGEST_HEADER = 100_000_000  # the safetensors library's limit
_PATH = re.compile(r"^/|^[A-Za-z]:|\\|(^|/)\.\.(/|$)")
_NPY_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([<>|=]?)(\w\d)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d, L]*)\),?\s*\}\s*"
)  # matched here, because NumPy's own reader evaluates it


def check_name(name: Any) -> None:
    """Raise FileError for a name that a program could take for a path out of its folder, or can't write."""
    right = isinstance(name, str) and len(name) < 4096 and name.isprintable() and name != "__metadata__"
    right = right and _PATH.search(name) is None
    require(right, f"{name!r:.80} is no name of an array, a printable text that is no path; name it otherwise")


def bytes_of(array: np.ndarray) -> memoryview:
    """Return the bytes of an array, in C order and little-endian, without a copy if it is stored so."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data


def write_safetensors(stream: BinaryIO, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write the header's length (8 bytes), the JSON header, and the arrays, widest numbers first to align all."""
    names = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    header: dict[str, Any] = {"__metadata__": metadata, **dict.fromkeys(arrays)}
    end = 0
    for name in names:
        a, begin, end = arrays[name], end, end + arrays[name].nbytes
        header[name] = {"dtype": CODES[a.dtype], "shape": a.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    require(len(text) < _LONGEST_HEADER, f"its header would have {len(text):,} bytes")
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        stream.write(bytes_of(arrays[name]))


def read_safetensors(stream: BinaryIO, size: int) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays and the metadata of a file of `size` bytes; bfloat16 becomes float32, which is exact."""
    length = int.from_bytes(stream.read(8), "little")
    require(2 <= length <= min(size - 8, _LONGEST_HEADER), f"its header has {length:,} of {size:,} bytes")
    header = json.loads(stream.read(length).decode(), object_pairs_hook=_without_duplicates)
    require(isinstance(header, dict), "its header is no JSON object")
    metadata = _texts(header.pop("__metadata__", {}))
    found, at = {}, 0
    for begin, end, name, code, shape in sorted(_entry(name, entry) for name, entry in header.items()):
        require(begin == at, f"{name!r} does not begin where the array before it ends")
        found[name], at = (code, shape), end
    require(at == size - 8 - length, "its arrays have another size than the file says")
    arrays = {name: _stored(stream, *each) for name, each in found.items()}
    return {name: arrays[name] for name in header}, metadata


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    require(len(found) == len(pairs), "a name stands in it twice")
    return found


def _texts(metadata: Any) -> dict[str, str]:
    right = isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values())
    require(right, "its metadata are no texts by name")
    found: dict[str, str] = metadata
    return found


def _entry(name: str, entry: Any) -> tuple[int, int, str, str, tuple[int, ...]]:
    """Return begin, end, name, dtype and shape of an array, from its entry in the header."""
    check_name(name)
    keys = isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}
    require(keys, f"{name!r} is not described by dtype, shape and data_offsets")
    code, offsets = entry["dtype"], entry["data_offsets"]
    known = isinstance(code, str) and code in {*DTYPES, "BF16"}
    require(known, f"{name!r} has dtype {code!r:.20}, which is not read here")
    right = isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int for n in offsets)
    require(right, f"{name!r} has no two offsets")
    begin, end = offsets
    itemsize = np.dtype(DTYPES.get(code, "u2")).itemsize
    return begin, end, name, code, check_shape(entry["shape"], itemsize, end - begin)


def _stored(stream: BinaryIO, code: str, shape: tuple[int, ...]) -> np.ndarray:
    array = read_array(stream, shape, np.dtype(DTYPES.get(code, "u2")).newbyteorder("<"))
    if code != "BF16":
        return array
    wide = array.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def write_npz(stream: BinaryIO, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write the same as numpy.savez, with the metadata as the archive's comment."""
    comment = json.dumps(metadata).encode()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        archive.comment = comment


def read_npz(stream: BinaryIO, size: int) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays and the metadata of a file of `size` bytes."""
    arrays: Arrays = {}
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        require(sum(m.compress_size for m in members) <= size, "its members overlap")
        unpacked = sum(m.file_size for m in members)
        require(unpacked <= most(size), f"its {size:,} bytes would be unpacked into {unpacked:,}")
        for m in members:
            name = m.filename.removesuffix(".npy")
            require(name != m.filename == m.orig_filename, f"{m.filename[:80]!r} is no .npy file")
            check_name(name)
            require(name not in arrays, "a name stands in it twice")
            require(m.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), "it is packed in an unusual way")
            with archive.open(m) as member:
                arrays[name] = _read_npy(member, m.file_size)
    ours = b"tinygrad" in archive.comment or b"written_by" in archive.comment
    return arrays, _texts(json.loads(archive.comment)) if ours else {}


def _read_npy(stream: Any, size: int) -> np.ndarray:
    """Return the array of an .npy file of `size` bytes."""
    start = stream.read(8)
    require(start in (b"\x93NUMPY\1\0", b"\x93NUMPY\2\0"), "a member is no .npy file of version 1 or 2")
    width = 2 * start[6]
    length = int.from_bytes(stream.read(width), "little")
    require(length <= 10_000, "the header of a member is longer than any array needs")
    match = _NPY_HEADER.fullmatch(stream.read(length))
    require(match is not None, "a member holds objects or records, or its header is damaged")
    assert match is not None
    order, short, fortran, lengths = (group.decode() for group in match.groups())
    require(short in DTYPES.values(), f"{short!r} is a dtype that is not read here")
    dtype = np.dtype(order + short)
    dimensions = [int(n.rstrip("L ")) for n in lengths.split(",") if n.strip()]
    shape = check_shape(dimensions, dtype.itemsize, size - 8 - width - length)
    return read_array(stream, shape[::-1], dtype).T if fortran == "True" else read_array(stream, shape, dtype)
