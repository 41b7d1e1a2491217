"""`compile`: a function of Tensors, as a NumPy program that is run instead of it."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from os import PathLike
from threading import RLock
from types import MethodType
from typing import Any, overload

import numpy as np

from ..engine.allocator import keep_memory_once
from ..engine.grad_mode import recording
from ..errors import CompileError
from ..tensor.handle import Tensor
from .lower.lowering import lowered
from .refusals import too_many_programs, unhashable
from .run.first_run import checked
from .run.module import save
from .run.profile import Profile, profiled
from .run.replay import Replay
from .run.report import Clock, Made, Report, described, eager_peak, reported
from .run.workers import Team
from .trace.traced_call import traced
from .write.explain import Listing, explained
from .write.naming import named

KINDS, ANSWERS = 16, 8

_beside: ContextVar[bool] = ContextVar("beside", default=False)  # whether a function runs beside its program


@overload
def compile(function: Callable[..., Any], *, exact: bool = ..., workers: int | None = ...) -> Compiled: ...
@overload
def compile(*, exact: bool = ..., workers: int | None = ...) -> Callable[[Callable[..., Any]], Compiled]: ...
def compile(function: Callable[..., Any] | None = None, *, exact: bool = False, workers: int | None = None) -> Any:
    """Return the function as a program that NumPy alone runs: traced at its first call, replayed at later ones.

    The function may compute with its arguments, arrays and Tensors in any nesting of lists, tuples and
    dicts, and with tensors from outside; it may call `backward`, `optimizer.step` and the transforms.
    Its first call runs it on stand-ins for all of these, and every NumPy call, forward, backward and
    update, becomes a line of a program without Tensors, graphs or new arrays. That program is
    checked beside the function itself, and run from then on. `.source` is its text, `.explain()` the same as one
    would write it by hand, `.report()` what it costs, `.profile(...)` where its time goes.

    Another shape, dtype, string or flag among the arguments is traced again, another number is not, nor
    another learning rate: parameters, optimisers and their settings are read anew at each call. So are Tensors
    from outside; where what the code names there is another number, string, array or function, also in attributes
    and in lists and dicts of up to 100 entries, it is traced again. Such an array is a constant: what is written
    into it later is not seen, and random numbers are refused. Pass both as arguments. What Python does besides,
    such as printing, or warning that NumPy divided by zero, happens only while tracing; a tensor that the function
    keeps in an attribute or a list is an error, what it writes into a tensor, x[...] = value, is not.
    Results record nothing. Where a program does not hold (an operation was invalid, as 0 * inf is,
    or a decision of the library's went another way), the function itself is run.

    The results have the same bits as the function's own, but for sums in another order; `exact=True`
    forbids these too. `workers=n` splits the batch, the first axis of the longest arguments, into tiles for n
    threads (needs threadpoolctl), where samples meet in sums and means only.

    Raises CompileError, with the line and what to write, where Python reads a value (`if loss < 1`,
    `t.item()`), where a tensor has a hook, and for what gradients would have to go back through.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> slope = tg.compile(tg.grad(lambda x: (x * x).sum()))
    >>> slope(np.array([1.0, 2.0]))
    tg.tensor([2., 4.], dtype='float64')
    >>> print(slope.explain().split("def ")[1])
    gradient(x):
        # forward
        loss = np.sum(x * x)  # ()
    <BLANKLINE>
        # backward, L = loss
        # dL/dx = x + x
        dx = x + x            # (2,)
    <BLANKLINE>
        return dx
    <BLANKLINE>
    """
    if workers is not None and exact:
        raise ValueError("workers= adds up in another order than one pass over the batch; leave out exact=True")
    if workers is not None and (type(workers) is not int or workers < 1):
        raise ValueError(f"workers must be a whole number, at least 1, or None for no threads; got {workers!r}")
    if function is not None and not callable(function):
        raise TypeError(
            f"tg.compile takes a function, got {function!r:.60}; as a decorator it is @tg.compile or "
            "@tg.compile(exact=True)"
        )
    if function is None:
        return functools.partial(compile, exact=exact, workers=workers)
    return Compiled(function, exact, workers)


class Compiled:
    """A function that is traced at its first call for each kind of arguments, and replayed at later ones.

    `programs` holds the programs by kind of arguments: shapes, dtypes, and whatever is no number.
    """

    def __init__(self, function: Callable[..., Any], exact: bool = False, workers: int | None = None) -> None:
        functools.update_wrapper(self, function)
        self.function, self.exact, self.workers = function, exact, workers
        self.name: str = getattr(function, "__name__", "function")
        self.programs: dict[Any, list[Replay]] = {}
        self.lock, self.warned = RLock(), False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns."""
        mode = recording.get()
        if mode is not True and mode is not False:
            return self.function(*args, **kwargs)
        flat: list[Any] = []
        key = _key(mode, args, kwargs, flat)
        failed = ""
        for replay in self.programs.get(key, ()):
            try:
                return replay(flat)
            except replay.unusual as error:
                failed = str(error) or "what is outside its arguments is in another state"
        tried = self.programs.get(key)
        with self.lock:
            if self.programs.get(key) is tried:
                return self._traced(key, flat, args, kwargs, failed)
        return self(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the method of an instance."""
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        """Copy and pickle it by its name, as functions are, else as its function: a copy makes its own programs."""
        if getattr(sys.modules.get(self.function.__module__), self.name, None) is self:
            return self.name
        return Compiled, (self.function, self.exact, self.workers)

    def __repr__(self) -> str:
        count = sum(map(len, self.programs.values()))
        return f"<compiled {self.name}, {count} program{'s' * (count != 1)}>"

    def _traced(self, key: Any, flat: list[Any], args: Any, kwargs: Any, failed: str) -> Any:
        """Return what the function returns, having made a program of it if it can be one for such values."""
        known, clock = self.programs.get(key, []), Clock()
        if len(known) == ANSWERS and not self.warned:
            self.warned = True
            warnings.warn(too_many_programs(self.name, ANSWERS, failed), RuntimeWarning, stacklevel=3)
        if _beside.get() or len(known) == ANSWERS:
            return self._itself(args, kwargs)
        trace = traced(self.function, args, kwargs)
        if trace.fleeting:
            return self._itself(args, kwargs)
        keep_memory_once()
        eager, tracing = eager_peak(trace), clock.lap()
        tiled = None if self.workers is None else functools.partial(Team, workers=self.workers)
        program = lowered(trace.tracer, trace.targets, self.exact, tiled)
        named(program, trace.tracer, trace.result, self.function)
        replay = Replay(trace, program, self.name)
        compiling = clock.lap()
        with replay.lock:
            result, holds = checked(replay, flat, clock.pausing(lambda: self._itself(args, kwargs)), self.exact)
        if not holds:
            return result
        reason = f"the program before does not hold: {failed}" if failed else "other arguments"
        replay.made = Made(
            reason if self.programs else "the first call", described(key[1]), tracing, compiling, clock.lap(), eager
        )
        replay.forget()
        self.programs[key] = [replay, *known]
        if len(self.programs) > KINDS:
            del self.programs[next(iter(self.programs))]
        return result

    def _itself(self, args: Any, kwargs: Any) -> Any:
        """Return what the function computes, and what is compiled inside it, without new programs."""
        before = _beside.set(True)
        try:
            return self.function(*args, **kwargs)
        finally:
            _beside.reset(before)

    @property
    def source(self) -> str:
        """The newest program, as a Python file that needs NumPy only. Raises CompileError for one with workers."""
        newest = self._newest()
        if newest.lowered.team is not None:
            raise CompileError(
                "a program for several workers is one for a tile and one for what follows, and threads; compile the "
                "function without workers= for its source, or see the tile's by .profile(...)"
            )
        return newest.source

    def save(self, path: str | PathLike[str]) -> None:
        """Write the newest program as a Python module that runs without this package, by a function `run`.

        Arrays that it needs, parameters as they are now and large constants, lie beside it in a file of the same
        name that ends in .npz. Raises CompileError for a function without source, ValueError for a path that does
        not end in .py.
        """
        save(self._newest(), path)

    def explain(self) -> Listing:
        """Return the newest program as one would write it by hand: a Python file that needs NumPy only.

        Forward, backward and update, with the shape of each line, and above each line of a backward pass the
        adjoint that it computes, or for which one it does. An operation that takes several lines is a call by its
        name, of a function that holds them. Raises CompileError if the function was not yet called.
        """
        replay = self._newest()
        return explained(replay.lowered, replay.trace, self.name)

    def _newest(self) -> Replay:
        if not self.programs:
            raise CompileError(
                f"{self.name} has no program yet: call it once with the arguments that its program is to be for"
            )
        return list(self.programs.values())[-1][0]

    def report(self) -> Report:
        """Return what a replay of the newest program costs, as a table: calls, bytes, flops, memory, times."""
        newest = self._newest()
        made = [replay.made for replays in self.programs.values() for replay in reversed(replays)]
        return reported(self.name, newest.lowered, newest.made, made)

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """Print the program for these arguments with the median time of each line, and return the times.

        No argument, parameter or state is changed. Raises CompileError where no program is for such arguments.
        """
        self._newest()
        flat: list[Any] = []
        key = _key(recording.get(), args, kwargs, flat)
        for replay in self.programs.get(key, ()):
            try:
                found = profiled(replay, flat)
            except replay.unusual:
                continue
            print(found)
            return found
        raise CompileError(
            f"{self.name} has no program for ({described(key[1])}), or none that holds for these values: call it with "
            "them once first"
        )


def _key(mode: Any, args: Any, kwargs: Any, flat: list[Any]) -> Any:
    """Return under what the programs of such a call are found, and append its arguments to `flat`."""
    return mode, _kind((args, kwargs) if kwargs else args, flat), bool(kwargs)


def _kind(tree: Any, flat: list[Any]) -> Any:
    """Return what two calls have in common that share a program, and append what may differ to `flat`."""
    kind = type(tree)
    if kind is tuple or kind is list:
        return kind, *[_kind(x, flat) for x in tree]
    if kind is np.ndarray:
        flat.append(tree)
        return tree.shape, tree.dtype, None if tree.flags.c_contiguous else tree.strides
    if kind is Tensor:
        for place, x in enumerate(flat):
            if x is tree:
                return Tensor, place
        flat.append(tree)
        node = tree._node
        recorded = None if node is None else node.operation is None
        return Tensor, tree.shape, tree.dtype, None if tree._array.flags.c_contiguous else tree._array.strides, recorded
    if kind is float or kind is int:
        flat.append(tree)
        return kind
    if kind is dict:
        return dict, *[(type(name), name, _kind(x, flat)) for name, x in tree.items()]
    if isinstance(tree, np.generic):
        flat.append(tree)
        return kind
    if isinstance(tree, tuple):
        return kind, *[_kind(x, flat) for x in tree]
    if kind is slice:  # hashed from Python 3.12 on
        return slice, tree.start, tree.stop, tree.step

    if kind is np.memmap:
        return _kind(np.asarray(tree), flat)
    if isinstance(tree, Iterator):
        raise CompileError(
            f"a {kind.__name__} is no argument of a compiled function, which is run twice at first: pass list(...) "
            "of it"
        )
    found = _static(tree)
    try:
        hash(found)
    except TypeError:
        raise CompileError(unhashable(kind.__name__)) from None
    return found


def _static(x: Any) -> Any:
    """Return what a hashable object has in common with others that share a program: 1 and 1.0 are not the same."""
    if isinstance(x, tuple):
        return type(x), *map(_static, x)
    if isinstance(x, frozenset):
        return frozenset, frozenset(map(_static, x))
    if is_dataclass(x) and not isinstance(x, type):
        return type(x), x, *[_static(getattr(x, f.name)) for f in fields(x) if f.compare]
    return type(x), x
