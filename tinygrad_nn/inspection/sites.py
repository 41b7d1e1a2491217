"""Where something is computed: the user's line, the modules around it, and the user's names for what it reads."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from itertools import islice
from traceback import FrameSummary
from types import ModuleType
from typing import Any

import numpy as np

from ..compiler.trace.callers import is_no_users
from ..engine.forward import pushforward
from ..engine.reverse import pullback
from ..nn.module import Module
from ..tensor.handle import Tensor

_PASSES = {pullback.__code__, pushforward.__code__}
_HOLD_NOTHING = (int, float, str, np.generic, np.ndarray, Tensor, Module, ModuleType)  # a Module names its own parts
_MOST, _EACH = 600, 200  # entries searched for a name: in total, and of one container


class Site:
    """What surrounds a computation: `line` and `frame` of the user's code, and `modules`, the outermost first.

    `passes` counts the derivative passes between the user's line and here: a rule runs in one, that of the operation
    that `rule_of` recorded. `around` is the site of the watched body; frames outside of it are not searched again.
    """

    def __init__(self, around: Site | None = None) -> None:
        frame: Any = sys._getframe(2)  # without the watcher's own method
        outer = around.frame if around else None
        self.frame: Any = None
        self.passes: int = 0
        self.rule_of: Any = None
        self.modules: list[Module] = []
        while frame is not None and frame is not outer:
            code = frame.f_code
            if self.frame is None:
                if code in _PASSES:
                    self.rule_of = self.rule_of or variables_of(frame).get("node")
                    self.passes += 1
                if not is_no_users(code.co_filename):
                    self.frame = frame
            if code.co_argcount and code.co_varnames[0] == "self":
                owner = variables_of(frame).get("self")
                if isinstance(owner, Module) and (not self.modules or self.modules[0] is not owner):
                    self.modules.insert(0, owner)
            frame = frame.f_back
        if frame is not None and around is not None:
            self.frame = self.frame or frame
            self.modules[: self.modules[:1] == around.modules[-1:]] = around.modules
        self.line: FrameSummary | None = None
        if self.frame is not None:
            code, number = self.frame.f_code, self.frame.f_lineno
            self.line = FrameSummary(code.co_filename, number, code.co_name, lookup_line=False)

    def named(self, entries: bool = True) -> list[tuple[str, Any]]:
        """Return the names and values of variables in the user's innermost function, then the `entries` of the values.

        Entries of dictionaries are named by their keys, of lists and tuples by the variable and a number from 1 on, of
        other objects by the attributes that the code names; entries of entries likewise.
        """
        if self.frame is None:
            return []
        code, own, shared = self.frame.f_code, variables_of(self.frame), self.frame.f_globals
        names = filter(str.isidentifier, (*code.co_varnames, *code.co_cellvars, *code.co_freevars, *code.co_names))
        found = [(name, own[name] if name in own else shared[name]) for name in names if name in own or name in shared]
        for name, x in found if entries else ():  # grows on the way: the nearest comes first
            if len(found) < _MOST and not isinstance(x, _HOLD_NOTHING):
                found += islice(_entries(name, x, code.co_names), _EACH)
        return found

    def name_of(self, *objects: Any, entries: bool = True) -> str:
        """Return the user's name for the first of these objects that has one, "" if none has."""
        known = self.named(entries)
        return next((name for one in objects for name, x in known if x is one), "")


def _entries(name: str, x: Any, attributes: Iterable[str]) -> Iterable[tuple[str, Any]]:
    """Return the entries of an object, with names."""
    if type(x) is dict:
        return ((key, entry) for key, entry in [*x.items()] if isinstance(key, str))
    if type(x) in (list, tuple):
        return ((f"{name}{i}", entry) for i, entry in enumerate(x, start=1))
    own = getattr(x, "__dict__", {})
    return ((attribute, own[attribute]) for attribute in attributes if attribute in own)


def variables_of(frame: Any) -> dict[str, Any]:
    """Return a copy of a frame's local variables; they are kept alive no longer than the copy is."""
    own = frame.f_locals
    found = dict(own)
    if sys.version_info < (3, 13) and frame.f_code.co_flags & inspect.CO_OPTIMIZED and sys.getrefcount(own) <= 3:
        own.clear()  # the frame would hold this snapshot until it ends; a caller of locals() holds it, too
    return found
