"""Arrays as bytes, in safetensors, .npz and MNIST's IDX. A header is believed only as far as the file's size allows.

Readers return what a stream holds, or raise a reason, which `opened` puts into its sentence.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..errors import FileError

Path = str | os.PathLike[str]
Arrays = dict[str, np.ndarray]
DTYPES = {
    **{"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1"},
    **{"U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1"},
}
CODES = {np.dtype(short): code for code, short in DTYPES.items()}  # of native dtypes
_IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_CHUNK = 1 << 20
_LONGEST_HEADER = 100_000_000  # the safetensors library's limit
_PATH = re.compile(r"^/|^[A-Za-z]:|\\|(^|/)\.\.(/|$)")
_NPY_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([<>|=]?)(\w\d)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d, L]*)\),?\s*\}\s*"
)  # matched here, because NumPy's own reader evaluates it


def require(condition: bool, why: str) -> None:
    """Raise FileError with a reason unless the condition holds; `opened` puts the reason into its sentence."""
    if not condition:
        raise FileError(why)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a stream over a regular file, and its size; any error in reading it becomes a FileError with its path."""
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would block
        raise FileError(f"{path} is no regular file; name one")
    with open(path, "rb") as stream:
        try:
            yield stream, os.fstat(stream.fileno()).st_size
        except Exception as error:  # zipfile, zlib, gzip and json raise a dozen kinds for damage
            cause = None if isinstance(error, FileError) else error
            raise FileError(f"{path} can't be loaded: {error}; get a whole copy, or write it by tg.save") from cause


def most(size: int) -> int:
    """Return how many bytes a file of `size` bytes may unpack to; deflate unpacks a byte to at most 1,032."""
    return min(1032 * size, 20 * size + (1 << 24))


def read_array(stream: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array read from the stream's position, in the machine's byte order."""
    array = np.empty(shape, dtype)
    target, done = array.reshape(-1).view(np.uint8).data, 0
    while done < len(target):
        part = stream.read(min(_CHUNK, len(target) - done))
        require(len(part) > 0, "it ends before its arrays do")
        target[done : done + len(part)] = part
        done += len(part)
    require(dtype.kind != "b" or not (array.view(np.uint8) > 1).any(), "a bool in it is neither 0 nor 1")
    return array.astype(dtype.newbyteorder("="), copy=False)


def check_shape(shape: Any, itemsize: int, size: int) -> tuple[int, ...]:
    """Return the shape as a tuple if it is valid and its array takes `size` bytes; else raise FileError."""
    right = isinstance(shape, list) and len(shape) <= 64 and all(type(n) is int and 0 <= n < 1 << 63 for n in shape)
    require(right and math.prod(shape) * itemsize == size, "a shape and its number of bytes contradict each other")
    return tuple(shape)


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


def read_idx(path: Path) -> np.ndarray:
    """Return the array of an IDX file, plain or gzipped. MNIST's images are (60000, 28, 28), its labels (60000,).

    Raises FileError for a file that is damaged, or that would take much more memory than it takes on disk. Source of
    the format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits" (1998).

    >>> import tinygrad_nn as tg
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "labels-idx1-ubyte")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     tg.data.read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    with opened(path) as (stream, size):
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        source = gzip.GzipFile(fileobj=stream) if packed else stream
        start = source.read(4)
        require(len(start) == 4 and start[:2] == b"\0\0" and start[2] in _IDX_DTYPES, "it is no IDX file")
        lengths = np.frombuffer(source.read(4 * start[3]), ">u4").tolist()
        require(len(lengths) == start[3], "it ends before its shape does")
        dtype = np.dtype(_IDX_DTYPES[start[2]])
        needed = math.prod(lengths) * dtype.itemsize
        right = needed <= most(size) if packed else needed == size - 4 - 4 * len(lengths)
        require(right, f"its {size:,} bytes would be an array of {needed:,}")
        array = read_array(source, check_shape(lengths, dtype.itemsize, needed), dtype)
        require(not source.read(1), "bytes follow the array")
        return array
