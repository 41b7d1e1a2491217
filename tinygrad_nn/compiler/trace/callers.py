"""Whose code is calling: errors and lines name the user's, and some reads of values are the library's own."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

import numpy as np

from ...errors import PACKAGE, is_ours

_NUMPYS = os.path.dirname(np.__file__) + os.sep
_PYTHONS_OWN = os.path.dirname(os.__file__) + os.sep


def users_line() -> str:
    """Return the file, line and function of the innermost frame outside this package, NumPy and Python."""
    frame: Any = sys._getframe()
    while is_no_users(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"


@functools.cache
def is_no_users(file: str) -> bool:
    """Return whether a file belongs to this package, except its `__main__`, or to NumPy or Python."""
    pythons = file.startswith((_PYTHONS_OWN, "<frozen ")) and "-packages" not in file
    return is_ours(file) or file.startswith(_NUMPYS) or pythons


def in_package(depth: int) -> bool:
    """Return whether the code `depth` frames above the caller is this package's."""
    return sys._getframe(depth + 1).f_code.co_filename.startswith(PACKAGE)
