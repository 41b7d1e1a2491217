"""An interrupt at a chosen line of this package: what a signal does at a moment of its own choice."""

from __future__ import annotations

import dis
import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import tinygrad_nn.compiler

PACKAGE = tinygrad_nn.__path__[0]


class Interrupt(KeyboardInterrupt):
    """Ctrl-C."""


class Lines:
    """Counts the lines that run in a call, of this package and of generated code, and interrupts at one of them.

    `within` says which files count by a part of their names. Of `stopped` there is file and line of the interrupt.
    """

    def __init__(self, at: int = -1, within: tuple[str, ...] = (PACKAGE, "<around")) -> None:
        self.at, self.within, self.count, self.stopped = at, within, 0, ""
        self.places: list[str] = []

    def run(self, call: Callable[[], Any]) -> Any:
        """Return what the call returns; None if it was interrupted."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            return call()
        except Interrupt:
            return None
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self.within) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and not _leaves_with(frame):
            if self.at < 0:
                self.places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
            self.count += 1
            if self.count == self.at:
                self.stopped = f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"
                raise Interrupt
        return self._line


def _leaves_with(frame: FrameType) -> bool:
    """Return whether the body of a `with` has ended and what it has entered is about to be left.

    Python tells a tracer of the line of the `with` once more, and leaves nothing if that raises. A signal is not heard
    there: not between the body's last call, which the `with` still guards, and the end of the one that leaves it.
    """
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip()
    return line.startswith("with ") and dis.opname[frame.f_code.co_code[frame.f_lasti]] in ("SWAP", "LOAD_CONST")


def lines_of(call: Callable[[], Any], **options: Any) -> list[str]:
    """Return the lines that run in a call, in their order."""
    lines = Lines(**options)
    lines.run(call)
    return lines.places
