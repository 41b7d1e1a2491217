"""Measure NumPy spellings that mean the same; print how they compare, or write the compiler's table of them.

    python examples/benchmarks/spellings.py                      every pattern: the table
    python examples/benchmarks/spellings.py --only relu mask     these
    python examples/benchmarks/spellings.py --write              also anew the table of those the compiler chooses by

A pattern is a line, or two, of a program: `relu` in place, the product with the transposed weights.
Its first spelling is what the library's rules write; every other is first checked against it, on
numbers as they come and on nan, infinities, zeros of both signs and subnormals. One that rounds in
another order is marked "order", one that differs on those special values "special". All spellings of
a pattern are then timed in turn, round by round, and the median is taken: for arrays in classes of
the number of entries and of the length of the last axis. Another spelling is preferred only if it
takes less than 0.95 of the first one's time, in the median and at its best, so that noise moves little.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

TABLE = Path(__file__).parents[2] / "tinygrad_nn" / "compiler" / "lower" / "spellings.py"
DTYPES = ("float32", "float64")
# Upper ends of the classes, the last without one, and what is measured in each.
SIZES, ENTRIES = (1_000, 10_000, 100_000, 1_000_000), (192, 3_200, 44_800, 320_000, 2_560_000)
WIDTHS, COLUMNS = (1, 16), (1, 8, 64)
PREFERRED, TURN = 0.95, 1e-4

Spellings = dict[str, Callable[[], np.ndarray]]


@dataclass
class Arrays:
    """Draws the operands of one measurement, the same in every one of them.

    `x` and `g` are (rows, columns); with `special`, one in three entries is nan, infinite, a zero or subnormal.
    """

    rows: int
    columns: int
    dtype: str
    special: bool = False
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __post_init__(self) -> None:
        self.x, self.g = self.normal(self.rows, self.columns), self.normal(self.rows, self.columns)
        self.out = np.empty_like(self.x)

    def normal(self, *shape: int) -> np.ndarray:
        """Return numbers of a shape."""
        x = self.generator.standard_normal(shape).astype(self.dtype)
        if self.special:
            tiny = np.finfo(self.dtype).smallest_subnormal
            values = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny], self.dtype)
            chosen = self.generator.random(shape) < 1 / 3
            x[chosen] = self.generator.choice(values, int(chosen.sum()))
        return x

    def tiles(self) -> int:
        """Return how many rows may stand for one: the largest divisor of their number up to 32."""
        return max(n for n in range(1, 33) if self.rows % n == 0)


def into(out: np.ndarray, *calls: Callable[[], object]) -> Callable[[], np.ndarray]:
    """Return what makes the calls in turn, and returns the array that they wrote into."""

    def run() -> np.ndarray:
        for call in calls:
            call()
        return out

    return run


def relu(a: Arrays) -> Spellings:
    x, zeros, row = a.x, np.zeros_like(a.x), np.zeros(a.columns, a.dtype)
    n = a.tiles()
    wide, tile = x.reshape(-1, n * a.columns), np.zeros(n * a.columns, a.dtype)
    return {
        "scalar": lambda: np.maximum(x, 0, out=x),
        "zeros": lambda: np.maximum(x, zeros, out=x),
        "row": lambda: np.maximum(x, row, out=x),
        "tiled": into(x, lambda: np.maximum(wide, tile, out=wide)),
        "clip": lambda: np.clip(x, 0, None, out=x),
    }


def mask(a: Arrays) -> Spellings:
    """Where y > 0 g, else 0, in place; y is what relu returned."""
    word = np.dtype(a.dtype.replace("float", "int"))
    y, g = np.maximum(a.x, 0), a.g
    live, floats, mine, theirs = np.empty(y.shape, bool), a.out, g.view(word), y.view(word)
    ones, bits = np.ones(y.shape, word), np.empty(y.shape, word)
    last = word.itemsize * 8 - 1
    return {
        "boolean": into(g, lambda: np.greater(y, 0, out=live), lambda: np.multiply(g, live, out=g)),
        "bits": into(g, lambda: np.minimum(theirs, ones, out=bits), lambda: np.multiply(mine, bits, out=mine)),
        "shift": into(
            g,
            lambda: np.negative(theirs, out=bits),
            lambda: np.right_shift(bits, last, out=bits),
            lambda: np.bitwise_and(mine, bits, out=mine),
        ),
        "copyto": into(g, lambda: np.less_equal(y, 0, out=live), lambda: np.copyto(g, 0, where=live)),
        "float": into(g, lambda: np.greater(y, 0, out=floats), lambda: np.multiply(g, floats, out=g)),
        "float_copied": into(
            g,
            lambda: np.greater(y, 0, out=live),
            lambda: np.copyto(floats, live),
            lambda: np.multiply(g, floats, out=g),
        ),
        "sign": into(g, lambda: np.sign(y, out=floats), lambda: np.multiply(g, floats, out=g)),
        "index": into(g, lambda: np.less_equal(y, 0, out=live), lambda: g.__setitem__(live, 0)),
    }


def sum_rows(a: Arrays) -> Spellings:
    """The sum over the first axis, as the bias's gradient takes it."""
    g, ones, out = a.g, np.ones(a.rows, a.dtype), np.empty(a.columns, a.dtype)
    return {
        "matmul": lambda: np.matmul(ones, g, out=out),
        "dot": lambda: np.dot(ones, g, out=out),
        "reduce": lambda: np.add.reduce(g, axis=0, out=out),
        "einsum": lambda: np.einsum("ij->j", g, out=out),
    }


def sum_last(a: Arrays) -> Spellings:
    g, ones, out = a.g, np.ones(a.columns, a.dtype), np.empty(a.rows, a.dtype)
    return {
        "reduce": lambda: np.add.reduce(g, axis=-1, out=out),
        "matmul": lambda: np.matmul(g, ones, out=out),
        "dot": lambda: np.dot(g, ones, out=out),
        "einsum": lambda: np.einsum("ij->i", g, out=out),
        "columns": lambda: by_columns(np.add, g, out),
    }


def max_last(a: Arrays) -> Spellings:
    g, out = a.g, np.empty(a.rows, a.dtype)
    return {"reduce": lambda: np.maximum.reduce(g, axis=-1, out=out), "columns": lambda: by_columns(np.maximum, g, out)}


def by_columns(ufunc: np.ufunc, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Reduce the last axis by a call per column."""
    np.copyto(out, x[:, 0])
    for column in range(1, x.shape[1]):
        ufunc(out, x[:, column], out=out)
    return out


def product(a: Arrays) -> Spellings:
    """The product x @ W.T for W (columns, columns): a layer's forward product."""
    x, W, out = a.x, a.normal(a.columns, a.columns), a.out
    return {"matmul": lambda: np.matmul(x, W.T, out=out), "dot": lambda: np.dot(x, W.T, out=out)}


def product_back(a: Arrays) -> Spellings:
    """The product g @ W: the cotangent of a layer's input."""
    g, W, out = a.g, a.normal(a.columns, a.columns), a.out
    return {"matmul": lambda: np.matmul(g, W, out=out), "dot": lambda: np.dot(g, W, out=out)}


def product_weights(a: Arrays) -> Spellings:
    """The product g.T @ x: the gradient of the weights."""
    g, x, out = a.g, a.x, np.empty((a.columns, a.columns), a.dtype)
    return {"matmul": lambda: np.matmul(g.T, x, out=out), "dot": lambda: np.dot(g.T, x, out=out)}


def product_column(a: Arrays) -> Spellings:
    """The product x @ w for w (columns, 1): a layer with one output."""
    x, w, out = a.x, a.normal(a.columns, 1), np.empty((a.rows, 1), a.dtype)
    flat, vector = out[:, 0], w[:, 0]
    return {
        "matmul": lambda: np.matmul(x, w, out=out),
        "dot": lambda: np.dot(x, w, out=out),
        "matmul_vector": into(out, lambda: np.matmul(x, vector, out=flat)),
        "dot_vector": into(out, lambda: np.dot(x, vector, out=flat)),
    }


def product_outer(a: Arrays) -> Spellings:
    """The product g @ w for g (rows, 1): the cotangent that comes from a layer with one output."""
    g, w, out = a.normal(a.rows, 1), a.normal(1, a.columns), a.out
    return {
        "matmul": lambda: np.matmul(g, w, out=out),
        "dot": lambda: np.dot(g, w, out=out),
        "multiply": lambda: np.multiply(g, w, out=out),
    }


def bias(a: Arrays) -> Spellings:
    """The sum x + b for a row b; "tiled" repeats the row, so that NumPy's inner loop is longer."""
    x, b, out, n = a.x, a.normal(a.columns), a.out, a.tiles()
    tile = np.empty(n * a.columns, a.dtype)
    rows, wide, target = (tile.reshape(n, a.columns), x.reshape(-1, n * a.columns), out.reshape(-1, n * a.columns))
    return {
        "row": lambda: np.add(x, b, out=out),
        "tiled": into(out, lambda: np.copyto(rows, b), lambda: np.add(wide, tile, out=target)),
        "filled": into(out, lambda: np.copyto(out, b), lambda: np.add(x, out, out=out)),
    }


def scaled(a: Arrays) -> Spellings:
    """The product x * k for a number k."""
    x, out, zero_d, full = a.x, a.out, np.array(0.3, a.dtype), np.full(a.x.shape, 0.3, a.dtype)
    return {
        "number": lambda: np.multiply(x, 0.3, out=out),
        "array": lambda: np.multiply(x, zero_d, out=out),
        "full": lambda: np.multiply(x, full, out=out),
    }


def mean(a: Arrays) -> Spellings:
    x, n, kind = a.x, a.x.size, np.dtype(a.dtype).type
    flat, ones = x.reshape(-1), np.ones(n, a.dtype)
    return {
        "reduce": lambda: np.asarray(np.add.reduce(x, axis=None) / kind(n)),
        "mean": lambda: np.asarray(np.mean(x)),
        "dot": lambda: np.asarray(np.dot(ones, flat) / kind(n)),
        "einsum": lambda: np.asarray(np.einsum("i->", flat) / kind(n)),
    }


def square(a: Arrays) -> Spellings:
    x, out = a.x, a.out
    return {
        "power": lambda: np.power(x, 2, out=out),
        "square": lambda: np.square(x, out=out),
        "multiply": lambda: np.multiply(x, x, out=out),
    }


def where(a: Arrays) -> Spellings:
    """The function where(c, x, g)."""
    c, x, g, out = a.normal(a.rows, a.columns) > 0, a.x, a.g, a.out
    return {
        "copyto": into(out, lambda: np.copyto(out, g), lambda: np.copyto(out, x, where=c)),
        "where": into(out, lambda: np.copyto(out, np.where(c, x, g))),
        "putmask": into(out, lambda: np.copyto(out, g), lambda: np.putmask(out, c, x)),
        "where_new": lambda: np.where(c, x, g),
    }


def filled(a: Arrays) -> Spellings:
    out = a.out
    return {
        "copyto": into(out, lambda: np.copyto(out, 1)),
        "fill": into(out, lambda: out.fill(1)),
        "slice": into(out, lambda: out.__setitem__(Ellipsis, 1)),
    }


def finite(a: Arrays) -> Spellings:
    """Whether every entry is finite."""
    x, found, flat, zeros = a.x, np.empty(a.x.shape, bool), a.x.reshape(-1), np.zeros(a.x.size, a.dtype)
    return {
        "all": lambda: np.asarray(np.logical_and.reduce(np.isfinite(x, out=found), axis=None)),
        "method": lambda: np.asarray(np.isfinite(x, out=found).all()),
        "extremes": lambda: np.asarray(np.isfinite(np.maximum.reduce(x, axis=None) - np.minimum.reduce(x, axis=None))),
        "dot": lambda: np.asarray(np.dot(flat, zeros) == 0),
    }


PATTERNS: dict[str, Callable[[Arrays], Spellings]] = {
    function.__name__: function
    for function in (
        relu, mask, sum_rows, sum_last, max_last, product, product_back, product_weights, product_column,
        product_outer, bias, scaled, mean, square, where, filled, finite,
    )
}  # fmt: skip


# What the compiler chooses by. The others it leaves as they are: hardly a step has them where they pay.
CHOSEN = ("relu", "sum_rows", "product", "product_weights", "product_column", "product_outer")


def caveat(pattern: str, name: str) -> str:
    """Return how a spelling differs from the pattern's first: "order", "special", both or neither.

    Raises ValueError if it computes something else.
    """
    found = set()
    for dtype in DTYPES:
        for rows, columns, special in [(96, 9, False), (7, 1, False), (96, 9, True), (64, 1, True)]:
            first, other = [
                run(PATTERNS[pattern](Arrays(rows, columns, dtype, special))[which])
                for which in (next(iter(PATTERNS[pattern](Arrays(2, 2, dtype)))), name)
            ]
            tolerance = 1e-12 if dtype == "float64" else 1e-4
            if special:
                if not np.allclose(first, other, tolerance, tolerance, equal_nan=True):
                    found.add("special")
            elif not np.array_equal(first, other):
                found.add("order")
                if not np.allclose(first, other, tolerance, tolerance):
                    raise ValueError(f"{pattern}: {name} computes something else than {first}")
    return " and ".join(sorted(found))


def run(spelling: Callable[[], np.ndarray]) -> np.ndarray:
    """Return a copy of what a spelling computes, whatever its operands are."""
    with np.errstate(all="ignore"):
        return np.array(spelling())


def times(spellings: Spellings, seconds: float) -> dict[str, tuple[float, float]]:
    """Return the median time of each spelling and its lowest, timed in turn.

    A turn is short, so that most pass without another process taking the core.
    """
    calls = {}
    for name, spelling in spellings.items():
        spelling()
        start = time.perf_counter()
        spelling()
        calls[name] = math.ceil(TURN / max(time.perf_counter() - start, 1e-7))
    found: dict[str, list[float]] = {name: [] for name in spellings}
    end = time.perf_counter() + seconds * len(spellings)
    while len(next(iter(found.values()))) < (7 if seconds else 1) or time.perf_counter() < end:
        for name, spelling in spellings.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                spelling()
            found[name].append((time.perf_counter() - start) / calls[name])
    return {name: (median(values), min(values)) for name, values in found.items()}


def measured(pattern: str, dtype: str, columns: int, entries: int, seconds: float) -> dict[str, tuple[float, float]]:
    """Return each spelling's times in a class of arrays."""
    return times(PATTERNS[pattern](Arrays(max(2, entries // columns), columns, dtype)), seconds)


def ranked(found: dict[str, tuple[float, float]]) -> list[str]:
    """Return the spellings that are worth it, fastest first, and last the one that is written otherwise."""
    first, *others = found
    better = [name for name in others if all(t < PREFERRED * f for t, f in zip(found[name], found[first], strict=True))]
    return [*sorted(better, key=found.__getitem__), first]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PATTERNS, default=list(PATTERNS), metavar="PATTERN")
    parser.add_argument("--seconds", type=float, default=0.02, help="timed per spelling and class (default 0.02)")
    parser.add_argument("--write", action="store_true", help="write tinygrad_nn/compiler/lower/spellings.py")
    options = parser.parse_args()
    if options.write and options.only != list(PATTERNS):
        parser.error("--write measures every pattern: leave out --only")
    best: dict[str, dict[str, list[list[str]]]] = {}
    for pattern in options.only:
        caveats = {name: caveat(pattern, name) for name in PATTERNS[pattern](Arrays(2, 2, "float32"))}
        best[pattern] = {dtype: print_pattern(pattern, dtype, caveats, options.seconds) for dtype in DTYPES}
    if options.write:
        TABLE.write_text(written({pattern: best[pattern] for pattern in CHOSEN}), encoding="utf-8")
        print(f"wrote {TABLE}")
    return 0


def print_pattern(pattern: str, dtype: str, caveats: dict[str, str], seconds: float) -> list[list[str]]:
    """Print the medians of one pattern, us and ratios to the first spelling; return the rankings by class."""
    print(f"\n{pattern}, {dtype}")
    row = "{:>16}{:>12}" + "{:>14}" * len(caveats)
    print(row.format("", "us", *caveats))
    rankings: list[list[str]] = []
    for columns in COLUMNS:
        rankings.append([])
        for entries in ENTRIES:
            found = measured(pattern, dtype, columns, entries, seconds)
            first, _ = next(iter(found.values()))
            shape = f"{max(2, entries // columns)} x {columns}"
            print(
                row.format(shape, f"{1e6 * first:,.1f}", *[f"{t / first:.2f}" for t, _ in found.values()]), flush=True
            )
            rankings[-1].append(" ".join(ranked(found)))
    for name, text in caveats.items():
        if text:
            print(f"{'':>16}{name}: another {text}".replace("another special", "differs on special values"))
    return rankings


HEAD = '''# ruff: noqa: E501  (a table)
"""Which NumPy spellings of a line ran fastest: written by examples/benchmarks/spellings.py, which says how.

`RANKED[pattern][dtype][width][size]` names the spellings that are faster than the usual one, fastest
first, and last the usual one; `width` is the class of the last axis's length, `bisect_left(WIDTHS,
columns)`, and `size` that of the number of entries, `bisect_left(SIZES, entries)`.
"""

'''


def written(best: dict[str, dict[str, list[list[str]]]]) -> str:
    """Return the module that the compiler reads."""
    lines = [f"SIZES = {SIZES}", f"WIDTHS = {WIDTHS}", ""]
    lines += ["RANKED: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {"]
    for pattern, by_dtype in best.items():
        lines.append(f'    "{pattern}": {{')
        for dtype, rankings in by_dtype.items():
            lines.append(f'        "{dtype}": (')
            for ranking in rankings:
                lines.append(f"            ({', '.join(quoted(names) for names in ranking)}),")
            lines.append("        ),")
        lines.append("    },")
    return HEAD + "\n".join([*lines, "}", ""])


def quoted(text: str) -> str:
    return f'"{text}"'


if __name__ == "__main__":
    sys.exit(main())
