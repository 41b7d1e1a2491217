"""Reading arrays from files that may lie about their size, and the reader of MNIST's files."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from ..errors import FileError

Path = str | os.PathLike[str]
_CHUNK = 1 << 20
_IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


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
