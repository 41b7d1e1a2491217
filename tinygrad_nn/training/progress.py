"""How far something has come, on stderr: a bar by tqdm where that is installed, else ten plain lines."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
Figures = Callable[[], dict[str, str]]


def counted(items: Iterable[T], total: int, unit: str, figures: Figures = dict, done: int = 0) -> Iterator[T]:
    """Yield the items while showing how many of `total` are done, the time that is left, and `figures()`.

    `done` is how many were done before the first of the items.
    """
    if total <= done:
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _printed(items, total, unit, figures, done)
    else:
        yield from _barred(tqdm, items, total, unit, figures, done)


def _barred(tqdm: Any, items: Iterable[T], total: int, unit: str, figures: Figures, done: int) -> Iterator[T]:
    columns = shutil.get_terminal_size().columns
    layout = "{desc} {n_fmt}/{total_fmt}|{bar}| {remaining} left" + ", {rate_fmt}" * (columns >= 100) + "{postfix}"
    settings = {"mininterval": 0.2, "ncols": columns, "bar_format": layout, "initial": done}
    with tqdm(total=total, desc=f"{unit}s", unit=f" {unit}s", **settings) as bar:
        shown = time.perf_counter()
        for count, item in enumerate(items, start=done + 1):
            yield item
            now = time.perf_counter()
            if now - shown > 0.2 or count == total:
                shown = now
                bar.set_postfix_str(_fitting(figures(), columns - 45), refresh=False)
            bar.update()


def _fitting(figures: dict[str, str], columns: int) -> str:
    """Return as many of the figures, the first ones, as fit into a line."""
    text = ""
    for name, figure in figures.items():
        longer = f"{text}, {name}={figure}" if text else f"{name}={figure}"
        text = longer if len(longer) <= columns else text
    return text


def _printed(items: Iterable[T], total: int, unit: str, figures: Figures, done: int) -> Iterator[T]:
    """Yield the items, printing a line after each tenth of them."""
    started = time.perf_counter()
    for count, item in enumerate(items, start=done + 1):
        yield item
        if count * 10 // total > (count - 1) * 10 // total:
            left = (time.perf_counter() - started) * (total - count) / (count - done)
            said = "".join(f"{name} {figure}, " for name, figure in figures().items())
            print(f"{unit} {count:,} of {total:,}: {said}{left:.0f} s left", file=sys.stderr, flush=True)
