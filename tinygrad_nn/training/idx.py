"""The files that MNIST comes in."""

from __future__ import annotations

import gzip
import math

import numpy as np

from . import formats
from .files import Path, opened

_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: Path) -> np.ndarray:
    """Return the array of an IDX file, plain or packed by gzip: of MNIST's images (60000, 28, 28), labels (60000,).

    Raises FileError for a file that is damaged, or that would take much more memory than disk. Source of
    the format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits" (1998).

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "labels-idx1-ubyte")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    with opened(path) as (stream, size):
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        source = gzip.GzipFile(fileobj=stream) if packed else stream
        start = source.read(4)
        formats.require(len(start) == 4 and start[:2] == b"\0\0" and start[2] in _DTYPES, "it is no IDX file")
        lengths = np.frombuffer(source.read(4 * start[3]), ">u4").tolist()
        formats.require(len(lengths) == start[3], "it ends before its shape does")
        dtype = np.dtype(_DTYPES[start[2]])
        needed = math.prod(lengths) * dtype.itemsize
        right = needed <= formats.most(size) if packed else needed == size - 4 - 4 * len(lengths)
        formats.require(right, f"its {size:,} bytes would be an array of {needed:,}")
        array = formats.read_array(source, formats.check_shape(lengths, dtype.itemsize, needed), dtype)
        formats.require(not source.read(1), "bytes follow the array")
        return array
