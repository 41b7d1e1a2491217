"""Noting what is computed on proxies: the lines of a program, and the inputs and constants that they read."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ...engine.grad_mode import recording, setting
from ...engine.watching import Watcher, watched, watcher
from ...engine.zero_safe import FLAG_TELLS
from ...errors import CompileError
from ...tensor.handle import Tensor
from ..numpy_calls import GETITEM, GUARD, KIND, OPERANDS, kind_follows, operand_count, takes_numbers
from ..program import Function, Line, Span, Value, concrete, mapped, over_leaves
from .arrays import Traced
from .callers import users_line
from .proxies import Number, Proxy, held
from .records import Location

_calls: ContextVar[int] = ContextVar("calls", default=0)  # how many calls were noted in this context


class Recorder(Watcher):
    """Notes each call as a line.

    `open` says whether the function still runs, `singular` whether an operation was invalid, such as 0 * inf; `refused`
    is what was refused, `failed` the error that a line raised, and where, and `raising` are the floating-point errors
    that `np.errstate` lets raise. New lines belong to `span`, the run of an operation; `arrays` are the proxies of
    arrays that are still held.
    """

    __slots__ = ("grad_enabled",)

    def __init__(self) -> None:
        self.grad_enabled: bool = True
        self.lines: list[Line] = []
        self.inputs: dict[Any, Location] = {}  # by their places
        self.constants: dict[int, tuple[np.ndarray, Value]] = {}
        self.viewed: set[Value] = set()
        self.arrays: weakref.WeakValueDictionary[int, Traced] = weakref.WeakValueDictionary()
        self.answered: set[Any] = set()
        self.open: bool = True
        self.singular: bool = False
        self.refused: CompileError | None = None
        self.failed: tuple[Exception, str] | None = None
        self.raising: set[str] = set()
        self.calls: int = 0
        self.span: Span | None = None

    def call(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a call on proxies, note it as a line, and return proxies for its result."""
        self._refuse_strangers()
        given = function, args, kwargs
        kwargs = {name: x for name, x in kwargs.items() if x is not np._NoValue}
        args, kwargs = self._operands(function, args, kwargs)
        result = self._computed(function, args, kwargs)
        several = isinstance(result, (tuple, list))
        parts = result if several else [result]
        if not all(isinstance(part, (np.ndarray, np.generic, int, float, complex)) for part in parts):
            raise CompileError(
                f"{function.text} at {users_line()} returns something that is no array; compute it outside the "
                "compiled function"
            )
        line = Line(function, args, kwargs, (), users_line(), several, self.span)
        line.outputs = tuple(self._outputs(line, parts))
        self.lines.append(line)
        if not kind_follows(line):
            self._guard_kinds(line)
        proxies = [self.proxy_of(v) for v in line.outputs]
        if not several:
            if line.outputs[0].base is not None and isinstance(given[1][0], Traced):
                proxies[0].window = given
            return proxies[0]
        return type(result)(*proxies) if hasattr(result, "_fields") else type(result)(proxies)

    def _refuse_strangers(self) -> None:
        """Raise CompileError if a proxy is used after its trace, or by a thread that does not trace."""
        if not self.traces() or _calls.get() != self.calls:
            line = self.lines[-1].where if self.traces() else users_line()
            raise self.refusal(
                "an array of the program is used in another thread or context, or after its trace has ended, at "
                f"{line}: a program is what one thread computes in one call. Compute with it in the function itself, "
                "and return what is needed later"
            )
        # In another context the two get out of step: what is set there is not seen here, and the other way round.
        self.calls += 1
        _calls.set(self.calls)

    def traces(self) -> bool:
        """Return whether the traced function is running, and in this thread."""
        return self.open and getattr(watcher(), "__dict__", None) is self.__dict__

    def _computed(self, function: Function, args: Any, kwargs: Any) -> Any:
        """Return what a call returns, and note what goes wrong in it."""
        modes: dict[str, Any] = dict(np.geterr())
        raising = {kind for kind, what in modes.items() if what == "raise"}
        self.raising |= raising | {"invalid"} if FLAG_TELLS else raising  # the function itself sees to 0 * inf
        listener = np.geterrcall() if modes["invalid"] == "call" else None
        modes |= {kind: "call" if kind == "invalid" and FLAG_TELLS else "ignore" for kind in modes.keys() - raising}

        def alarmed(kind: str, flag: int) -> None:
            self.singular = True
            if callable(listener):
                listener(kind, flag)

        try:
            with np.errstate(**modes, call=alarmed):
                return function.apply(*mapped(concrete, args), **mapped(concrete, kwargs))
        except Exception as error:
            self.failed = error, users_line()
            raise

    def _operands(self, function: Function, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with values in place of proxies and of arrays that are not traced.

        A number or a NumPy scalar stays a value of the program if it is an operand; if it is a length, an axis or the
        end of a slice, the program is for that number.
        """
        known = operand_count(function)
        operands = [self._unwrapped(x, i < known, takes_numbers(function, i)) for i, x in enumerate(args)]
        if function.kind == "setitem" or function is GETITEM:
            operands[1] = self._index(args[1])
        named = {name: self._unwrapped(x, name in OPERANDS, name in OPERANDS) for name, x in kwargs.items()}
        return tuple(operands), named

    def _index(self, index: Any) -> Any:
        """Return an index with values in place of proxies; the ends of slices are numbers that the program is for."""
        if isinstance(index, tuple):
            return tuple(map(self._index, index))
        index = self._unwrapped(index, not isinstance(index, slice), False)
        return over_leaves(lambda x: int(x) if isinstance(x, np.integer) else x, index)

    def _unwrapped(self, tree: Any, operand: bool, number: bool) -> Any:
        def unwrapped(x: Any) -> Any:
            x = self.array(x) if isinstance(x, Tensor) else x
            if isinstance(x, Number):
                own = vars(x.tracer) is vars(self)  # not of a trace that is over
                return x.value if number and own else x.number()
            if isinstance(x, Traced):
                return x.value if operand or x.shape else x.number()
            if isinstance(x, int) and type(x) is not bool:
                return int(x)  # its class may have its own repr
            return self.constant(x) if isinstance(x, np.ndarray) else x

        return over_leaves(unwrapped, tree)

    def _outputs(self, line: Line, parts: Any) -> Iterator[Value]:
        """Yield the values of a call's results; an operation's are no views, as it may return an array next time."""
        reads = line.reads()
        for part in parts:
            looks = line.function.kind != "operation"
            base = next((v for v in reads if looks and _looks_into(part, v)), None)
            if base is not None:
                self.viewed.add(base.root)
            value = Value(part, base=base, temporary=True)
            value.known |= bool(reads) and not value.shape and all(v.known for v in reads)
            yield value

    def _guard_kinds(self, line: Line) -> None:
        """Restrict the program to the shapes and dtypes that this line's results have now."""
        for value in [value for value in line.outputs if value.dtype is not None]:
            kind = KIND.apply(value)
            self.lines.append(Line(KIND, (value,), {}, (Value(kind),), users_line()))
            self.guarded(self.lines[-1].outputs[0], kind)

    def refusal(self, reason: str) -> CompileError:
        """Return the error to raise, and remember it: NumPy, or the function, may catch it."""
        self.refused = CompileError(reason)
        return self.refused

    def proxy_of(self, value: Value) -> Any:
        """Return the proxy for a value: an array, or a Python number."""
        return Number(self, value) if value.dtype is None else Traced(self, value)

    def constant(self, array: np.ndarray) -> Value:
        """Return the value of an array that is not traced: its entries as they are now, even if it changes later.

        Raises CompileError if it was written into after it was first read: the function may have read that, too.
        """
        if id(array) not in self.constants:
            self.constants[id(array)] = array, Value(frozen_copy(array))
        value = self.constants[id(array)][1]
        floats = array.dtype.kind in "fcmM"
        if array.dtype.kind != "O" and not np.array_equal(array, value.concrete, equal_nan=floats):
            raise CompileError(
                "an array that the compiled function computes with, a constant of its program, was written into after "
                f"it was read, found at {users_line()}; write into a copy, x = x.copy(), before each use"
            )
        return value

    def guarded(self, value: Value, answer: Any) -> Any:
        """Restrict the program to this answer about a number, and return the answer."""
        if self.open and (guard := (value, repr(answer))) not in self.answered:  # True is 1, and says less
            self.answered.add(guard)
            self.lines.append(Line(GUARD, (value, answer), {}, (), users_line()))
        return answer

    def input(self, x: Any, name: str, kind: str, owner: Any, key: Any = None) -> Any:
        """Return the proxy of an array or number that each replay fetches from a place of its own."""
        location = Location(Value(x, name), kind, owner, key)
        location.value.known |= isinstance(x, np.generic)
        if location.place not in self.inputs:
            location.proxy = self.proxy_of(location.value)
            self.inputs[location.place] = location
        return self.inputs[location.place].proxy

    @property
    def sources(self) -> list[Location]:
        """Where the program's inputs are found."""
        return list(self.inputs.values())

    def array(self, tensor: Tensor) -> Any:
        """Return the proxy of a tensor's array."""
        return held(self.shadow(tensor))

    def value(self, x: Any) -> Value:
        """Return the value of a Tensor or a proxy, or of a constant array."""
        x = self.array(x) if isinstance(x, Tensor) else x
        return x.value if isinstance(x, Proxy) else self.constant(np.asarray(x))

    def alive(self) -> str | None:
        """Return which line made an array that is still held, None if none is."""
        held = {proxy.value for proxy in self.arrays.values()}
        lines = (line.where for line in reversed(self.lines) if not held.isdisjoint(line.outputs))
        return next(lines, "the call") if held else None

    def windows(self, array: Traced) -> list[Traced]:
        """Return the other arrays that share the memory of one, in the order in which they were made."""
        root, held = array.value, list(self.arrays.values()) if array.value in self.viewed else []
        return [x for x in held if x is not array and x.value.is_array and x.value.root is root]

    def switched(self, grad_enabled: bool) -> Self:
        """Return the same recorder, for the body of `no_grad()` or `enable_grad()`: they share all that they note."""
        twin = object.__new__(type(self))
        twin.__dict__, twin.grad_enabled = self.__dict__, grad_enabled
        return twin

    @contextmanager
    def running(self) -> Any:
        """Trace what is computed in the body."""
        try:
            with watched(self.switched(bool(recording.get()))), setting(_calls, 0):
                yield
                self._refuse_strangers()
        finally:
            self.open = False


def _looks_into(part: Any, value: Value) -> bool:
    """Return whether a result is a view of a value, or the value itself."""
    if not (isinstance(part, np.ndarray) and value.is_array):
        return False
    return part is value.concrete or (not part.flags.owndata and np.may_share_memory(value.concrete, part))


def frozen_copy(array: np.ndarray) -> np.ndarray:
    """Return a copy in the memory layout of the array: the order of sums depends on it."""
    low, high = byte_bounds(array)
    if high - low > 2 * array.nbytes or array.dtype.hasobject:
        return array.copy(order="K")
    memory = np.empty(high - low, np.uint8)
    copy = np.ndarray(array.shape, array.dtype, memory, array.ctypes.data - low, array.strides)
    copy[...] = array
    return copy
