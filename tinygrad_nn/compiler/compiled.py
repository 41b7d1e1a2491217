"""`compile`: a function of Tensors as a NumPy program, which runs in its place."""

from __future__ import annotations

import functools
import re
import sys
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from os import PathLike
from pathlib import Path
from time import perf_counter
from types import MethodType
from typing import Any, NoReturn, overload

import numpy as np

from ..engine.allocator import keep_memory_once
from ..engine.grad_mode import recording, setting
from ..errors import CompileError
from ..tensor.handle import Tensor
from .lower.lowering import lowered
from .program import over_leaves
from .run.portable import for_any_rows, remembered
from .run.replay import Made, Replay
from .run.report import Profile, Report, profiled, reported
from .run.wrapper import Wrapper
from .signature import identities, in_words, raising, signature
from .trace.table import line_of
from .trace.traced_call import Trace, traced
from .turns import Turn
from .write.explain import Explainer, Listing
from .write.naming import named

SIGNATURES, SPECIALISATIONS = 32, 8  # how many signatures have programs, and how many programs one has
_WRITERS = {".py": ".run.module", ".onnx": "..interop.onnx"}  # by file extension; imported when used
FRUITLESS = 8  # how often a kind of arguments is traced in vain before the function runs without a program
_FEWER = "Pass what changes as an argument, choose by np.where, keep 0 * inf out of it, or call it with fewer shapes"


@overload
def compile(function: Callable[..., Any], *, exact: bool = ..., verify: bool = ...) -> Compiled: ...
@overload
def compile(*, exact: bool = ..., verify: bool = ...) -> Callable[[Callable[..., Any]], Compiled]: ...
def compile(function: Callable[..., Any] | None = None, *, exact: bool = False, verify: bool = False) -> Any:
    """Return the function compiled to a program of NumPy calls: traced at its first call, replayed at later ones.

    The function may compute with its arguments (arrays, Tensors and numbers in any nesting of lists, tuples and dicts)
    and with tensors from outside; it may call `backward`, `optimizer.step` and the transforms. Its first call runs it
    once. Every NumPy call, in forward, backward and update, becomes a line of a program without Tensors and graphs,
    which has its own memory and runs from then on. `.source` is its text, `.explain()` the program as one would write
    it by hand, `.report()` what it costs, `.profile(...)` where its time goes, `.constants` what was baked into it.

    **Live**, read anew at every call: the arguments; every Tensor; optimisers' settings and state; the state of
    modules, and their random generators.
    **Compared** at every call, and traced anew if it differs: what the function's own code names outside, its `self`,
    and one level further: attributes that the code names, and entries of lists, tuples, dicts and sets. Numbers and
    strings are compared by value, all else by identity; an array is a constant: pass it if it is written into.
    **Frozen** at the first call, as in `jax.jit`: everything deeper, what called functions read, `type(x)`, `x is y`,
    the clock. Printing happens only then; NumPy tells nobody of overflow and the like, unless `np.errstate` raises.
    **Refused**, with everything left as before the call: changing a list, dict, set, deque, array, attribute or
    optimiser's setting; random numbers that are not drawn from a module's generator; reading an iterator; keeping an
    array somewhere; catching an error; computing with an array in another thread.

    Another shape, dtype, string or flag among the arguments is traced anew; another number only if Python decides by
    it. If an operation is invalid (0 * inf) or a line raises, the function itself is run. Results record nothing, and
    have the bits of the function's own, except where sums are added in another order; with `exact=True`, a first call
    whose bits differ raises. With `verify=True`, the function runs beside its program at later calls, for tests.

    Raises CompileError, with the line and what to write instead, for everything that is refused, and if Python reads a
    value (`if loss < 1`, `t.item()`), if a tensor has a hook, if gradients would have to go back through the program,
    or, with `verify`, if function and program differ.

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
    if function is not None and not callable(function):
        raise TypeError(
            f"tg.compile takes a function, got {function!r:.60}; as a decorator it is @tg.compile or "
            "@tg.compile(exact=True)"
        )
    if function is None:
        return functools.partial(compile, exact=exact, verify=verify)
    return Compiled(function, exact, verify)


class Compiled:
    """A function that is traced at its first call for each kind of arguments, and replayed at later ones.

    `programs` holds the programs by kind of arguments (shapes, dtypes, everything but numbers), oldest kind first.
    `own` are further functions whose code counts as the function's own.
    """

    def __init__(
        self, function: Callable[..., Any], exact: bool = False, verify: bool = False, own: tuple[Any, ...] = ()
    ) -> None:
        functools.update_wrapper(self, function)
        self.function: Callable[..., Any] = function
        self.exact: bool = exact
        self.verify: bool = verify
        self.own: tuple[Any, ...] = own
        self.name: str = getattr(function, "__name__", "function")
        self.programs: dict[Any, list[Replay]] = {}
        self.fruitless: Counter[Any] = Counter()  # how often a trace made no program, or one that was dropped
        self.turn: Turn = Turn()
        self.warned: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns."""
        enabled = recording.get()
        if enabled is not True and enabled is not False:  # a watcher
            return self.function(*args, **kwargs)
        flat: list[Any] = []
        try:
            key = (enabled, raising(), signature(args, kwargs, flat))
        except CompileError as error:
            self._refused(error)
        known, failed = self.programs.get(key, ()), ""
        for replay in known:
            try:
                if self.verify:
                    return replay.verified(flat, lambda: self._itself(args, kwargs), self.exact)
                return replay(flat)
            except replay.stale as error:
                failed = str(error) or "the state outside its arguments has changed"
            except CompileError:
                raise
            except Exception:  # an invalid operation, or one that fails: the function itself handles it
                return self._itself(args, kwargs)
        with self.turn.lock:
            if self.programs.get(key, ()) is known:
                return self._traced(key, flat, args, kwargs, failed)
        return self(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the method of an instance."""
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        """Copy and pickle it by name, as functions are, or else by its function: a copy makes its own programs."""
        if getattr(sys.modules.get(self.function.__module__), self.name, None) is self:
            return self.name
        return Compiled, (self.function, self.exact, self.verify, self.own)

    def __repr__(self) -> str:
        count = sum(map(len, self.programs.values()))
        return f"<compiled {self.name}, {count} program{'s' * (count != 1)}>"

    def _traced(self, key: Any, flat: list[Any], args: Any, kwargs: Any, failed: str) -> Any:
        """Return what the function returns, and trace it, unless that was in vain too often."""
        known = self.programs.get(key, ())
        if len(known) == SPECIALISATIONS or self.fruitless[key] >= FRUITLESS:
            holds = f"none of {len(known)} programs holds for this call: {failed}"
            self._warn(holds if failed else "no program holds for long with such arguments", 4)
            return self._itself(args, kwargs)
        words, given, begun = in_words([*args, kwargs]), remembered(args, kwargs), perf_counter()

        def finished(trace: Trace) -> Any:
            replay = None if trace.tracer.singular else self._program_of(trace, failed, words, begun)
            if replay is None:
                self.fruitless[key] += 1
                return Wrapper(trace).first(self.name, flat)
            replay.given = given
            result = replay.first(flat)
            trace.values = []
            self._keep(key, [replay, *self.programs.get(key, ())])
            return result

        try:
            return traced(self.function, args, kwargs, [self.function, *self.own], finished)
        except CompileError as error:
            self._refused(error)

    def _refused(self, error: CompileError) -> NoReturn:
        """Raise the error; if it names no line, with the line of the function."""
        if re.search(r":\d+", str(error)):
            raise error
        raise CompileError(f"{error}; the function is at {line_of(self.function)}") from error

    def _program_of(self, trace: Trace, failed: str, words: str, begun: float) -> Replay | None:
        """Return the program of a trace, None if it does not compute what the trace did.

        A defect of this package gives a warning, and no program; tests turn warnings into errors.
        """
        keep_memory_once()
        times = [begun, perf_counter()]
        try:
            program = lowered(trace.tracer, trace.targets)
            named(program, trace)
            replay = Replay(trace, program, self.name)
            times.append(perf_counter())
            inputs = [s.value.concrete for s in trace.tracer.sources]
            holding = replay.holds(inputs, trace.values, self.exact)
        except CompileError:
            raise
        except Exception as error:
            reason = f"its program fails with {type(error).__name__} ({error}), which is tinygrad_nn's own mistake"
            self._warn(reason, 7, remedy="Please report it, with the function; its results are right")
            return None
        times.append(perf_counter())
        other = f"the program before does not hold: {failed}" if failed else "other arguments"
        spent = [after - before for before, after in pairwise(times)]
        replay.made = Made(other if self.programs else "the first call", words, *spent)
        return replay if holding else None

    def _keep(self, key: Any, replays: list[Replay]) -> None:
        """Keep programs for a kind of arguments, as long as the objects in its signature exist."""
        self.programs.pop(key, None)  # the newest stands last
        self.programs[key] = replays
        here = weakref.ref(self)

        def forget() -> None:
            if (compiled := here()) is not None:
                compiled.programs.pop(key, None)

        for identity in identities(key):
            identity.when_gone(forget)
        if len(self.programs) > SIGNATURES:
            oldest = min(self.programs, key=lambda key: max(replay.used for replay in self.programs[key]))
            self.programs.pop(oldest, None)
            self.fruitless[oldest] += 3
            if len(self.fruitless) > 10 * SIGNATURES:
                self.fruitless.clear()

    def _warn(self, reason: str, stacklevel: int, remedy: str = _FEWER) -> None:
        """Warn once that programs are made in vain."""
        if not self.warned:
            self.warned = True
            message = f"{self.name} runs uncompiled, without a program: {reason}. {remedy}"
            warnings.warn(message, RuntimeWarning, stacklevel=stacklevel)

    def _itself(self, args: Any, kwargs: Any) -> Any:
        """Return what the function itself returns, detached like the results of programs."""
        result = self.function(*args, **kwargs)
        return over_leaves(lambda x: x.detach() if isinstance(x, Tensor) else x, result)

    @property
    def source(self) -> str:
        """The newest program, as a Python file that needs NumPy only; it checks the shapes that it is given."""
        return self._newest().listing()

    def save(self, path: str | PathLike[str]) -> None:
        """Save the newest program for use elsewhere: a path ending in .py gets a Python module that needs only NumPy.

        Its function is `run`. It takes any number of rows: what depends on them is found by running the function on
        other numbers of rows, which changes nothing. If that gives a different program, the module is for the traced
        shapes only, says so, and checks them. Parameters are saved as they are now, in the module, or if there are
        many, beside it in a file of the same name that ends in .npz. A path that ends in .onnx gets an ONNX model: see
        `tinygrad_nn.interop.onnx.save`.

        Raises CompileError if a function has no source, or if random numbers are drawn, ValueError for any other path.
        """
        file, replay = Path(path), self._newest()
        if file.suffix not in _WRITERS:
            endings = " or ".join(_WRITERS)
            raise ValueError(
                f"a program is saved as a Python module or as an ONNX model; pass a path that ends in {endings}, not "
                f"{str(path)!r}"
            )
        enabled, raised, *_ = list(self.programs)[-1]
        modes: dict[str, Any] = dict.fromkeys(raised, "raise")
        writer = import_module(_WRITERS[file.suffix], __package__)
        with self.turn.lock, setting(recording, enabled), np.errstate(**modes):
            writer.save(for_any_rows(replay, [self.function, *self.own], writer.ARGUMENTS), file)

    def explain(self) -> Listing:
        """Return the newest program as one would write it by hand: a Python file that needs NumPy only.

        It shows forward, backward and update, with the shape of each result, and above each line of a backward pass the
        adjoint that the line computes or is needed for. An operation of several lines is a call of a function with its
        name, which holds them. Raises CompileError if the function was not called yet.
        """
        replay = self._newest()
        return Explainer(replay.lowered, replay.trace, self.name).listing()

    @property
    def constants(self) -> list[Any]:
        """Every array and number that was baked into the newest program: no arguments, Tensors or settings."""
        program, kinds = self._newest().lowered.program, (int, float, complex, np.generic)
        given = [x for line in program.lines for x in (*line.args, *line.kwargs.values())]
        numbers = {repr(x): x for x in given if isinstance(x, kinds) and not isinstance(x, bool)}
        return [*[value.concrete.copy() for value in program.constants], *numbers.values()]

    def _newest(self) -> Replay:
        if not self.programs:
            raise CompileError(
                f"{self.name} has no program yet: call it once with the arguments that its program is to be for"
            )
        return list(self.programs.values())[-1][0]

    def report(self) -> Report:
        """Return what a replay of the newest program costs, as a table: calls, memory, and the time to make it."""
        made = [replay.made for replays in self.programs.values() for replay in reversed(replays)]
        return reported(self._newest(), made)

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """Print the program for these arguments with the median time of each line, and return the times.

        No argument, parameter or state is changed. Raises CompileError if no program is for such arguments.
        """
        self._newest()
        flat: list[Any] = []
        key = (recording.get(), raising(), signature(args, kwargs, flat))
        for replay in self.programs.get(key, ()):
            with suppress(*replay.stale, ArithmeticError, np.linalg.LinAlgError):
                found = profiled(replay, flat)
                print(found)
                return found
        raise CompileError(
            f"{self.name} has no program for ({in_words([*args, kwargs])}), or none that holds for these values: call "
            "it with them once first"
        )
