"""The history of a training, and how it is shown while it grows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class History:
    """What training recorded: an entry per epoch, each taken before that epoch's update.

    With batches, an epoch's cost and accuracy are the samples' mean over its batches, each before
    its own update. `seconds` is the wall time of the whole training.
    """

    cost: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.cost)

    def end_together(self) -> None:
        """Drop what an interrupted epoch has left in some of the lists only."""
        kept = min(len(self.cost), len(self.accuracy))
        for entries in (self.cost, self.accuracy, self.validation_cost, self.validation_accuracy):
            del entries[kept:]

    def __repr__(self) -> str:
        if not self.cost:
            return "History of 0 epochs"
        return f"History of {len(self)} epochs: cost {self.cost[-1]:.6g}, accuracy {self.accuracy[-1]:.4g}"


def shown(epochs: int, history: History, progress: bool) -> Iterator[int]:
    """Yield the epochs' numbers, showing cost, accuracy and time left: by tqdm, or ten plain lines."""
    if not progress:
        yield from range(epochs)
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _printed(epochs, history)
    else:
        bar = tqdm(range(epochs), unit="epoch", mininterval=0.2)
        shown = 0.0
        for epoch in bar:
            yield epoch
            now = time.perf_counter()
            if history.cost and (now - shown > 0.2 or epoch == epochs - 1):
                shown = now
                bar.set_postfix(cost=f"{history.cost[-1]:.5f}", accuracy=f"{history.accuracy[-1]:.4f}", refresh=False)


def _printed(epochs: int, history: History) -> Iterator[int]:
    """Yield the epochs' numbers, printing a line after each tenth of them."""
    started = time.perf_counter()
    for epoch in range(epochs):
        yield epoch
        if (epoch + 1) * 10 // epochs > epoch * 10 // epochs and history.cost:
            left = (time.perf_counter() - started) * (epochs - epoch - 1) / (epoch + 1)
            figures = f"cost {history.cost[-1]:.5f}, accuracy {history.accuracy[-1]:.4f}"
            print(f"epoch {epoch + 1} of {epochs}: {figures}, {left:.0f} s left", file=sys.stderr)
