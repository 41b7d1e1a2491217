"""How far something has come, on stderr: a bar by tqdm where that is installed, else ten plain lines."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
Figures = Callable[[], dict[str, str]]


def counted(items: Iterable[T], total: int, unit: str, figures: Figures = dict) -> Iterator[T]:
    """Yield the items while showing how many of `total` are done, the time that is left, and `figures()`."""
    if not total:
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _printed(items, total, unit, figures)
    else:
        yield from _barred(tqdm, items, total, unit, figures)


def _barred(tqdm: Any, items: Iterable[T], total: int, unit: str, figures: Figures) -> Iterator[T]:
    columns = shutil.get_terminal_size().columns
    layout = "{desc} {n_fmt}/{total_fmt}|{bar}| {remaining} left" + ", {rate_fmt}" * (columns >= 100) + "{postfix}"
    with tqdm(total=total, desc=f"{unit}s", unit=f" {unit}s", mininterval=0.2, ncols=columns, bar_format=layout) as bar:
        shown = time.perf_counter()
        for count, item in enumerate(items, start=1):
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


def _printed(items: Iterable[T], total: int, unit: str, figures: Figures) -> Iterator[T]:
    """Yield the items, printing a line after each tenth of them."""
    started = time.perf_counter()
    for count, item in enumerate(items, start=1):
        yield item
        if count * 10 // total > (count - 1) * 10 // total:
            left = (time.perf_counter() - started) * (total - count) / count
            said = "".join(f"{name} {figure}, " for name, figure in figures().items())
            print(f"{unit} {count:,} of {total:,}: {said}{left:.0f} s left", file=sys.stderr, flush=True)
