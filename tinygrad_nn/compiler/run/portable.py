"""A program to be run elsewhere: no memory is planned, and lengths that depend on its arguments' rows are known.

What depends on the rows is learned by tracing the function with other numbers of rows.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ...engine.trees import leaves
from ...errors import CompileError
from ...nn.module import Module
from ...tensor.handle import Tensor
from ..lower.lowering import Lowered, lowered, merged
from ..program import Line, Program, Value, over_leaves
from ..signature import BY_VALUE, Identity
from ..trace.records import Location
from ..trace.snapshot import held_by
from ..trace.table import Table
from ..trace.traced_call import Trace, traced
from ..write.naming import named
from .replay import Replay, agree
from .rows import Differs, Ratio, Rows, affine, alike, ratio

_FEW = 5  # this and 7 are the numbers of rows that are tried first: two primes, whose fractions can't be reduced


@dataclass
class Portable:
    """A program that reads memory and writes none.

    `shapes` are those of its values; `rows` maps a symbol to the argument whose first axis has that length. Without
    `rows`, `reason` says why the program is only for the traced shapes. `labels` are the names of what it reads besides
    its arguments and hyperparameters, and of what it changes, by their places.
    """

    name: str
    program: Program
    lowered: Lowered
    trace: Trace
    labels: dict[Any, str]
    shapes: dict[Value, tuple[int, ...]] = field(default_factory=dict)
    rows: dict[str, Value] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        self.sources: list[Location] = self.lowered.sources
        self.targets: list[Location] = self.lowered.targets
        self.result: Any = self.trace.result
        self.arguments: list[Location] = [*filter(is_given, self.sources)]

    def shape(self, value: Value) -> tuple[int, ...]:
        """Return the shape of a value, with lengths that depend on the rows as `Rows`."""
        return self.shapes.get(value, value.shape)

    def computed(self, inputs: Sequence[Any], rows: dict[str, int]) -> list[Any]:
        """Return the outputs for these numbers of rows. Raises Differs if a guard does not hold."""

        def now(x: Any) -> Any:
            if isinstance(x, (Rows, Ratio)):
                return eval(repr(x), {"np": np, **rows})
            return found[x] if isinstance(x, Value) else x

        found = {v: v.concrete for v in self.program.constants} | dict(zip(self.program.inputs, inputs, strict=True))
        for line in self.program.lines:
            with np.errstate(all="ignore"):
                result = line.function.apply(*over_leaves(now, line.args), **over_leaves(now, line.kwargs))
            if line.function.kind == "guard" and not result:
                raise Differs
            found |= zip(line.outputs, result if line.several else [result], strict=False)
        return [found[v] for v in self.program.outputs]

    def computes(self, other: Portable, rows: dict[str, int], may_fail: bool) -> bool:
        """Return whether it computes what the function did in the trace of another program, with these rows."""
        try:
            found = self.computed([s.value.concrete for s in other.sources], rows)
        except Differs:  # as the program itself will say of such values
            return True
        except Exception:
            return may_fail
        return all(agree(x, y, exact=True) for x, y in zip(found, other.trace.values, strict=True))


def remembered(args: Any, kwargs: Any) -> Any:
    """Return a call's arguments, but keep only arrays and numbers alive, no Tensors or other objects."""
    twins: dict[int, Tensor] = {}

    def held(x: Any) -> Any:
        if isinstance(x, Tensor):
            return twins.setdefault(id(x), Tensor(x.data, x.requires_grad, x.name))
        return x if isinstance(x, (np.ndarray, *BY_VALUE)) else Identity(x)

    return over_leaves(held, (args, kwargs))


def for_any_rows(replay: Replay, own: list[Any], kinds: Sequence[Callable[[np.ndarray], Any]]) -> Portable:
    """Return a program for any number of rows, if one serves all; else for its own shapes, with the reason.

    `own` are the functions whose code counts as the function's own, the function first. It is run again, on other rows,
    with each array of its arguments made one of the `kinds`: the first one that there is such a program for.
    """
    if replay.draws:
        raise CompileError(
            "the program draws from a module's generator, and a file has none; pass the numbers as an argument, or "
            "save the program of a module that draws nothing, as after net.eval()"
        )
    table = Table(own)
    objects = [(table.labels[id(x)], x) for x in table.objects]
    objects += [("module", x.held()) for x in leaves(replay.given) if isinstance(x, Identity)]
    roots = {label: x for label, x in reversed(objects) if isinstance(x, Module)}

    def of(lowered: Lowered, trace: Trace) -> Portable:
        return Portable(replay.name, merged(lowered.plain.copy()), lowered, trace, labelled(lowered, roots))

    def finished(trace: Trace) -> Portable:
        program = lowered(trace.tracer, trace.targets)
        named(program, trace)
        return of(program, trace)

    def traced_again(kind: Callable[[np.ndarray], Any], lengths: dict[int, int]) -> Any:
        args, kwargs = resized(replay.given, kind, lengths)
        return traced(own[0], args, kwargs, own, finished)

    arrays = [s.value for s in replay.lowered.sources if is_given(s) and s.value.shape]
    lengths = list(dict.fromkeys(v.shape[0] for v in arrays))
    symbols = {n: f"rows_{i}" if i > 1 else "rows" for i, n in enumerate(lengths, start=1)}
    reason = "the function takes no arrays"
    # Some lengths may be those of parameters, as in a gradient by an argument: the more of them vary, the better.
    attempts = [part for n in range(len(lengths), 0, -1) for part in itertools.combinations(lengths, n)]
    for attempt, kind in [*itertools.product(attempts, kinds), *[((), kind) for kind in kinds[:-1]]]:
        try:
            with warnings.catch_warnings(action="ignore"):  # of the function, such as about a mean of no rows
                found = _learned({n: symbols[n] for n in attempt}, partial(traced_again, kind))
        except Exception as error:  # the function's own error for such shapes, a refusal, or another program
            reason = str(error) or "another program for other numbers of rows"
        else:
            break
    else:
        found = of(replay.lowered, replay.trace)
    found.reason = "" if found.rows else reason
    return found


def _learned(symbols: dict[int, str], traced_again: Callable[[dict[int, int]], Portable]) -> Portable:
    """Return the program with all lengths that depend on the rows. Raises Differs if there are several programs."""
    start = {n: _FEW + 6 * i for i, n in enumerate(symbols)}
    base = traced_again(start)
    given, made = [s.value for s in base.sources if is_given(s)], dict[Value, Line]()
    for n, symbol in symbols.items():
        more = start[n] + 2
        made |= _Comparison(symbol, (start[n], more), base, traced_again(start | {n: more})).made
        base.rows[symbol] = next(v for v in given if repr(base.shape(v)[:1]) == f"({symbol},)")
    base.program.lines[:0] = made.values()
    base.program.constants = [v for v in base.program.constants if v not in made]
    for lengths in [*[{n: rows} for n in symbols for rows in (0, 1, n, 2 * n + 1)], {n: n for n in symbols}]:
        try:
            one = traced_again(start | lengths)
        except Exception:  # the function's own error for so many rows
            continue
        may_fail = 0 in lengths.values() and 0 not in lengths  # without rows, unless it was called without
        if not base.computes(one, {symbols[n]: rows for n, rows in (start | lengths).items()}, may_fail):
            raise Differs(f"another program for {' and '.join(map(str, lengths.values()))} rows")
    return base


def is_given(source: Location) -> bool:
    """Return whether a source is one of the function's arguments, or the array of one."""
    return source.kind == "argument" or isinstance(source.owner, int)


def resized(given: Any, kind: Callable[[np.ndarray], Any], lengths: dict[int, int]) -> Any:
    """Return remembered arguments with other numbers of rows in arrays: the rows are repeated."""
    made: dict[int, Any] = {}

    def with_rows(x: Any) -> Any:
        if not isinstance(x, (np.ndarray, Tensor)):
            return x.held() if isinstance(x, Identity) else x
        if id(x) not in made:
            rows = [lengths.get(n, n) for n in x.shape[:1]]
            array = np.resize(x.data if isinstance(x, Tensor) else x, (*rows, *x.shape[1:]))
            made[id(x)] = Tensor(array, x.requires_grad, x.name) if isinstance(x, Tensor) else kind(array)
        return made[id(x)]

    return over_leaves(with_rows, given)


class _Comparison:
    """Compares two programs line by line, and makes the first one fit any number of rows.

    `made` are lines that make constants of any number of rows. Raises Differs unless the programs are the same, except
    for lengths.
    """

    def __init__(self, symbol: str, counts: tuple[int, int], base: Portable, other: Portable) -> None:
        self.symbol, self.counts, self.base = symbol, counts, base
        programs = base.program, other.program
        values, twins = ([*p.inputs, *p.constants, *[v for x in p.lines for v in x.outputs]] for p in programs)
        places = [[(x.kind, x.key) for x in (*one.sources, *one.targets)] for one in (base, other)]
        if places[0] != places[1] or len(values) != len(twins):
            raise Differs
        self.twins = dict(zip(values, twins, strict=True))
        self.note_shapes([*base.program.inputs, *base.program.constants])
        differ = {v: x for v in base.program.constants if (x := self.differ(v))}
        self.made: dict[Value, Line] = {v: alike(v, base.shape(v), x, self.number) for v, x in differ.items()}
        for line, twin in zip(base.program.lines, other.program.lines, strict=False):
            self.line(line, twin)
        base.program.outputs = self.tree(base.program.outputs, other.program.outputs)
        base.result = self.tree(base.result, other.result)

    def note_shapes(self, values: Sequence[Value]) -> None:
        """Note how the shapes of values depend on the rows."""
        self.base.shapes |= {v: self.tree(self.base.shape(v), self.twins[v].shape) for v in values}

    def differ(self, constant: Value) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the two arrays of a constant, if it is not the same in both programs."""
        a, b = constant.concrete, self.twins[constant].concrete
        return None if a.shape == b.shape and a.tobytes() == b.tobytes() else (a, b)

    def line(self, line: Line, twin: Line) -> None:
        """Compare one line of each program."""
        called = [[x.function.text, x.function.kind, x.several, x.args, x.kwargs, x.outputs] for x in (line, twin)]
        try:
            *_, line.args, line.kwargs, _ = self.tree(*called)
            self.note_shapes(line.outputs)
        except Differs:
            raise Differs(f"another program for other numbers of rows, from {line.where} on") from None

    def tree(self, x: Any, twin: Any) -> Any:
        """Return nested arguments, in which lengths that depend on the rows are `Rows`."""
        leaves_of: tuple[list[Any], list[Any]] = [], []
        forms = {repr(over_leaves(found.append, one)) for found, one in zip(leaves_of, (x, twin), strict=True)}
        if len(forms) > 1:
            raise Differs
        found = iter([self.number(*pair) for pair in zip(*leaves_of, strict=True)])
        return over_leaves(lambda _: next(found), x)

    def number(self, x: Any, twin: Any) -> Any:
        """Return a leaf, a number as `Rows` or a `Ratio` if it depends on the rows."""
        learned = isinstance(x, (Rows, Ratio))
        same = self.twins[x] is twin if isinstance(x, Value) else twin is x or repr(twin) == repr(x)
        if same or (learned and twin == x):
            return x
        if type(x) is int and type(twin) is int:
            return affine(self.symbol, self.counts, (x, twin))
        if isinstance(x, (float, np.floating)) and type(x) is type(twin):
            return ratio(self.symbol, self.counts, (x, twin))
        raise Differs


def present(source: Location) -> Any:
    """Return what a parameter or a hyperparameter is now; for a gradient, which may be gone, what it was."""
    return source.value.concrete if source.kind == "gradient" else source.now()


def labelled(lowered: Lowered, roots: dict[str, Module]) -> dict[Any, str]:
    """Return unique names for what a program reads or changes: 0.weight is the first layer's weight.

    If several modules have such a name, it begins with the name of the module.
    """
    names: dict[int, tuple[str, str]] = {}
    for label, root in roots.items():
        for name, t in [*root.named_parameters(), *root.named_buffers()]:
            names.setdefault(id(t), (label, name))
        for name, module in root.named_modules():
            names.setdefault(id(held_by(module)), (label, f"{name}." if name else ""))
    for s in [s for s in lowered.sources if s.kind == "array"]:
        names.setdefault(s.place[1], ("", s.value.name.removesuffix("#")))
    found: dict[Any, str] = {}
    given = {s.place for s in lowered.sources if is_given(s)}
    for s in [*lowered.sources, *lowered.targets]:
        if s.kind in ("hyperparameter", "result") or s.place in given or s.place in found:
            continue
        label, own = names.get(s.place[1], ("", "")) if s.kind != "state" else ("", "")
        own = f"{own}{s.key}" if s.kind == "entry" else own or s.value.name.removesuffix("#")
        own += ".grad" if s.kind == "gradient" else ""
        own = f"{label}.{own}" if own in found.values() else own
        names_of_it = (own if n == 1 else f"{own}_{n}" for n in itertools.count(1))
        found[s.place] = next(name for name in names_of_it if name not in found.values())
    return found
