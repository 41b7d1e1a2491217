"""Keep freed memory for reuse: without that, allocation is the largest single cost of an eager step.

glibc gives every large array back to the kernel when it is freed, and the kernel zeroes fresh pages
for the next one. A training step frees and allocates the same arrays over and over.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_GLIBC_DEFAULT, _KEEP = 128 * 1024, 1 << 30


class _Allocator:
    """Whether the use of the process's only allocator has been decided."""

    decided = os.environ.get("TINYGRAD_NN_KEEP_MEMORY", "1") == "0"


def keep_memory(keep: bool = True) -> bool:
    """Return whether freed arrays of up to 1 GB now stay with the process for reuse.

    The first backward pass or `tg.train` turns it on; importing never does. The price: the process does not shrink when
    arrays are freed, and its memory can be a little more fragmented. It works on Linux with glibc and does nothing
    elsewhere. `keep_memory(False)` restores glibc's starting
    thresholds; the environment variable TINYGRAD_NN_KEEP_MEMORY=0 stops the automatic start.

    >>> import tinygrad_nn as tg
    >>> tg.keep_memory(False)
    False
    """
    _Allocator.decided = True
    libc: Any = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if not (hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version")):
        return False
    size = _KEEP if keep else _GLIBC_DEFAULT
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, size) and libc.mallopt(_M_TRIM_THRESHOLD, size)) and keep


def keep_memory_once() -> None:
    """Turn reuse on, unless `keep_memory` or the environment variable has decided already."""
    if not _Allocator.decided:
        keep_memory()
