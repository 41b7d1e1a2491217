"""Files of arrays, which are written completely or not at all, and read completely or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..engine.arrays import as_array, raw
from ..errors import DtypeError, FileError, given
from ..nn.module import Module
from ..ops.settings import explained
from . import formats
from .reading import Path, opened, require

_FORMATS = {
    ".safetensors": (formats.write_safetensors, formats.read_safetensors),
    ".npz": (formats.write_npz, formats.read_npz),
}
_MARK = {"written_by": "tinygrad_nn"}
_SHA256 = "tinygrad_nn.sha256"


def save(path: Path, module_or_dict: Any) -> None:
    """Write a module's state, or a dict of arrays by name, into a `.safetensors` or `.npz` file.

    Names and shapes are PyTorch's, so `torch.nn` loads what `safetensors.torch.load_file` returns. The file contains
    the SHA-256 of its content. It is written beside `path` and renamed when it is complete. Raises FileError if it
    can't be written, and DtypeError for a dtype that only one of the formats has; a file that existed at `path` is then
    unchanged.

    >>> import os, tempfile
    >>> import tinygrad_nn as tg
    >>> layer, other = tg.nn.Linear(2, 1, seed=0), tg.nn.Linear(2, 1, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "layer.safetensors")
    ...     tg.save(path, layer)
    ...     other.load_state_dict(tg.load(path))
    >>> bool((other.weight.data == layer.weight.data).all())
    True
    """
    writer, _ = _format(path)
    arrays = module_or_dict.state_dict() if isinstance(module_or_dict, Module) else module_or_dict
    if not isinstance(arrays, Mapping):
        raise TypeError(f"a file holds a module's state or arrays by name, got {given(arrays)}; pass a dict")
    checked = {name: _array(name, value) for name, value in arrays.items()}
    with _replacing(path) as stream:
        writer(stream, checked, _MARK | {_SHA256: _digest(checked, _MARK)})


@explained
def load(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a `.safetensors` or `.npz` file, by name; nothing in it is ever executed.

    bfloat16 numbers become float32, exactly. Raises FileError for a file that is damaged or hostile, that does not
    match the SHA-256 which `save` wrote, or that would take much more memory than it takes on disk.

    >>> import os, tempfile
    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "arrays.npz")
    ...     tg.save(path, {"scale": np.float32(2), "table": np.arange(3)})
    ...     tg.load(path)
    {'scale': array(2., dtype=float32), 'table': array([0, 1, 2])}
    """
    _, reader = _format(path)
    with opened(path) as (stream, size):
        arrays: dict[str, np.ndarray]
        arrays, metadata = reader(stream, size)
        ours = any("tinygrad_nn" in text for item in metadata.items() for text in item)
        found = metadata.pop(_SHA256, None)
        require(not ours or found == _digest(arrays, metadata), "its content is not what its SHA-256 says")
        return arrays


def _format(path: Path) -> Any:
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"a path is needed, got {given(path)}; write tg.save(path, module), tg.load(path)")
    ending = os.path.splitext(os.fsdecode(path))[1]
    if ending.lower() not in _FORMATS:
        raise FileError(f"{path} ends in {ending!r}; name a file that ends in {' or '.join(_FORMATS)}")
    return _FORMATS[ending.lower()]


def _array(name: Any, value: Any) -> np.ndarray:
    formats.check_name(name)
    try:
        array: np.ndarray = as_array(raw(value))
    except (TypeError, ValueError) as error:
        if not isinstance(value, (Mapping, list, tuple)):
            raise
        raise DtypeError(f"{name} is {given(value)}; pass a flat dict of arrays by name, as {{'m': m}}") from error
    if array.dtype not in formats.CODES:
        raise DtypeError(f"{name} has dtype {array.dtype}, which not all files have; convert it: x.astype(np.float64)")
    return array


def _digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of the content, whatever the format: metadata, names, dtypes, shapes and numbers."""
    described = [[name, formats.CODES[a.dtype], a.shape] for name, a in arrays.items()]
    sha = hashlib.sha256(json.dumps([metadata, described]).encode())
    for a in arrays.values():
        sha.update(formats.bytes_of(a))
    return sha.hexdigest()


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream into a temporary file, which replaces the file at `path` once it is safely on disk."""
    target = os.path.realpath(os.fsdecode(path))  # a symbolic link stays, and points to the new file
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.lexists(target):
            require(os.path.isfile(target), "no regular file stands there")
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        with contextlib.suppress(OSError):  # some systems can't open folders, or sync them
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except (OSError, FileError) as error:
        raise FileError(f"{path} can't be written: {error}; make room, or name another file") from error
    finally:
        with contextlib.suppress(OSError):  # it no longer exists if it was renamed
            os.unlink(temporary)
