"""Train networks in minibatches, and compare with PyTorch and scikit-learn: samples per CPU second, peak memory.

    python examples/benchmarks/minibatches.py
    python examples/benchmarks/minibatches.py --only conv torch tinygrad_nn-compiled
    python examples/benchmarks/minibatches.py --rounds 1 --seconds 0

All train by Adam in float32 and draw their batches anew from the whole data in each epoch: a dense network, a small
convolutional one, a GRU and an LSTM whose last state is classified, and a transformer's encoder layer with dropout.
First every contestant takes five steps in float64 from the same numbers, without dropout, and must arrive at the same
loss (not scikit-learn, which places Adam's epsilon elsewhere). Then fresh processes are measured in rounds, in rotating
order, with one thread each by default: CPU time is that of all threads, and on a busy machine threads that wait for
each other would spend most of it. Peaks are the process's highest resident set (VmHWM), first above what was resident
after importing the library and making the data, then in all. Targets never change the exit code.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from one import forget_peak, memory
from run import THREADS, print_verdict, reported, shown

RATE = 1e-3


class Work(NamedTuple):
    """A network with ten classes, the shape of its samples, and its batches."""

    title: str
    samples: int
    batch: int
    shape: tuple[int, ...]
    network: Callable[..., Any]

    def data(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return X (samples, *shape) and class indices y."""
        generator = np.random.default_rng(0)
        X = generator.standard_normal((self.samples, *self.shape), np.float32).astype(dtype, copy=False)
        return X, generator.integers(0, 10, self.samples)


def dense(nn: Any, dropout: float, **settings: Any) -> list[Any]:
    layers = [nn.Linear(k, n, **settings) for k, n in itertools.pairwise((784, 256, 128, 10))]
    return [layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]]


def conv(nn: Any, dropout: float, **settings: Any) -> list[Any]:
    return [
        *[nn.Conv2d(1, 16, 3, **settings), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Conv2d(16, 32, 3, **settings), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10, **settings)],
    ]


def recurrent(kind: str, nn: Any, dropout: float, **settings: Any) -> list[Any]:
    class LastState(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = getattr(nn, kind)(32, 128, batch_first=True, **settings)

        def forward(self, x: Any) -> Any:
            return self.layer(x)[0][:, -1]

    return [LastState(), nn.Linear(128, 10, **settings)]


def transformer(nn: Any, dropout: float, **settings: Any) -> list[Any]:
    layer = nn.TransformerEncoderLayer(128, 4, 256, dropout, batch_first=True, **settings)
    return [layer, nn.Flatten(), nn.Linear(64 * 128, 10, **settings)]


WORKS = {
    "dense": Work("60,000 x 784, batches of 128, 784-256-128-10", 60_000, 128, (784,), dense),
    "conv": Work("60,000 x 1 x 28 x 28, batches of 128, conv 16, pool, conv 32, pool", 60_000, 128, (1, 28, 28), conv),
    "gru": Work("6,400 x 50 x 32, batches of 64, a GRU of 128", 6_400, 64, (50, 32), partial(recurrent, "GRU")),
    "lstm": Work("6,400 x 50 x 32, batches of 64, an LSTM of 128", 6_400, 64, (50, 32), partial(recurrent, "LSTM")),
    "transformer": Work(
        "4,000 x 64 x 128, batches of 32, one encoder layer, 4 heads, 256", 4_000, 32, (64, 128), transformer
    ),
}
Step = Callable[[np.ndarray], Any]  # from indices of samples to the loss


def ours(work: Work, X: Any, y: Any, dropout: float, compiled: bool = False) -> Step:
    import tinygrad_nn as tg

    model = tg.nn.Sequential(*work.network(tg.nn, dropout, dtype=X.dtype))
    model.load_state_dict(same_numbers(model.state_dict()))
    optimizer = tg.optim.Adam(model.parameters(), lr=RATE)

    def step(X: Any, y: Any) -> Any:
        loss = tg.cross_entropy(model(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = tg.compile(step) if compiled else step
    return lambda batch: run(X[batch], y[batch])


def pytorch(work: Work, X: Any, y: Any, dropout: float) -> Step:
    import torch

    X, y = map(torch.from_numpy, (X, y))
    model = torch.nn.Sequential(*work.network(torch.nn, dropout, dtype=X.dtype))
    numbers = same_numbers({name: t.numpy() for name, t in model.state_dict().items()})
    model.load_state_dict({name: torch.from_numpy(t) for name, t in numbers.items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def step(batch: np.ndarray) -> Any:
        batch = torch.from_numpy(batch)
        loss = torch.nn.functional.cross_entropy(model(X[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def same_numbers(state: dict[str, Any]) -> dict[str, Any]:
    """Return numbers of these shapes, the same for every contestant."""
    generator = np.random.default_rng(1)
    return {name: (generator.standard_normal(t.shape) * 0.05).astype(t.dtype) for name, t in state.items()}


def sklearn(work: Work, X: Any, y: Any, dropout: float) -> Step:
    """Return a step that takes a whole epoch: scikit-learn makes the batches itself."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((256, 128), batch_size=work.batch, alpha=0, learning_rate_init=RATE, random_state=0)
    return lambda epoch: model.partial_fit(X[: len(epoch)], y[: len(epoch)], classes=range(10))


# name -> package, what makes a step
CONTESTANTS: dict[str, tuple[str, Callable[..., Step]]] = {
    "tinygrad_nn": ("tinygrad_nn", ours),
    "tinygrad_nn-compiled": ("tinygrad_nn", partial(ours, compiled=True)),
    "torch": ("torch", pytorch),
    "sklearn": ("sklearn", sklearn),
}
# work -> other -> the least of its samples per CPU second that the compiled step may have
TARGETS: dict[str, dict[str, float]] = {
    "dense": {"torch": 1.1, "sklearn": 1.25},
    "conv": {"torch": 1 / 2},
    "gru": {"torch": 1 / 1.2},
    "lstm": {},
    "transformer": {"torch": 1 / 1.3},
}


def checked(work: Work, contestant: str) -> float:
    """Return the loss after five steps in float64."""
    small = work._replace(samples=5 * work.batch)
    step = CONTESTANTS[contestant][1](small, *small.data(np.float64), 0.0)
    return [float(step(batch)) for batch in np.arange(small.samples).reshape(5, -1)][-1]


def batches(n: int, size: int) -> Iterator[np.ndarray]:
    """Yield the indices of batches of n samples for ever, in an order that is drawn anew for each epoch."""
    generator = np.random.default_rng(2)
    while True:
        order = generator.permutation(n)
        yield from (order[i : i + size] for i in range(0, n - size + 1, size))


def measured(work: Work, contestant: str, seconds: float) -> dict[str, Any]:
    """Return samples per CPU second over whole batches, and the peaks in MB."""
    package, make = CONTESTANTS[contestant]
    importlib.import_module("sklearn.neural_network" if package == "sklearn" else package)
    X, y = work.data(np.float32)
    forget_peak()
    before = memory("VmRSS")
    step, n = make(work, X, y, 0.1), work.samples
    size = n if contestant == "sklearn" and seconds else work.batch
    for batch in itertools.islice(batches(n, size), 1 if size == n else 5):  # libraries that compile do so here
        step(batch)
    done, start = 0, time.process_time()
    for batch in batches(n, size):
        if time.process_time() - start > seconds and done:
            break
        step(batch)
        done += 1
    spent, highest = time.process_time() - start, memory("VmHWM")
    above = None if highest is None or before is None else highest - before
    return {"rate": done * size / spent, "above": above, "whole": highest}


def child(task: str, work: str, contestant: str, seconds: float = 0) -> Any:
    """Return what a process of its own reports."""
    command = [sys.executable, str(Path(__file__)), "--child", task, work, contestant, "--seconds", str(seconds)]
    return json.loads(reported(command, {}))


def check_all(pairs: list[tuple[str, str]]) -> None:
    """Raise ValueError if two contestants do not arrive at the same loss."""
    for work in WORKS:
        losses = {name: child("check", work, name) for w, name in pairs if w == work and name != "sklearn"}
        if losses and max(losses.values()) - min(losses.values()) > 1e-9 * abs(max(losses.values())):
            raise ValueError(f"{work}: these steps are not the same: {losses}")


def measured_in_turn(pairs: list[tuple[str, str]], rounds: int, seconds: float) -> dict[tuple[str, str], list[Any]]:
    """Return what each (work, contestant) reports from a fresh process in each round; the order rotates."""
    results: dict[tuple[str, str], list[Any]] = {pair: [] for pair in pairs}
    for turn in range(rounds):
        first = turn % len(pairs)
        for pair in pairs[first:] + pairs[:first]:
            results[pair].append(child("measure", *pair, seconds=seconds))
    return results


def print_results(work: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Print a row for each contestant, and the targets of this work."""
    print(f"\n{WORKS[work].title}")
    found = {name: {key: median(r[key] or 0 for r in runs) for key in runs[0]} for name, runs in rows.items()}
    for name, runs in rows.items():
        rates = [r["rate"] for r in runs]
        to_torch = shown(found[name]["rate"] / found["torch"]["rate"] if "torch" in found else None)
        peaks = [shown(found[name][key], 0) for key in ("above", "whole")]
        spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
        print(f"  {name:<22}{found[name]['rate']:>10,.0f}{spread:>20}{to_torch:>11}{peaks[0]:>12}{peaks[1]:>10}")
    mine = found.get("tinygrad_nn-compiled")
    for other, least in TARGETS[work].items():
        theirs = found.get(other)
        if mine and theirs:
            print_verdict(f"time at most {1 / least:.2f} of {other}'s", theirs["rate"] / mine["rate"], 1 / least)
            if other == "torch" and theirs["above"]:
                print_verdict("peak above import and data at most torch's", mine["above"] / theirs["above"], 1)
                print_verdict("peak of the whole process at most 0.6", mine["whole"] / theirs["whole"], 0.6)


def main() -> None:
    """Print the table, or in a child process one figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="processes per contestant and work (default 5)")
    parser.add_argument("--seconds", type=float, default=3, help="CPU time per process (default 3)")
    parser.add_argument("--only", nargs="+", default=[], choices=[*WORKS, *CONTESTANTS], metavar="NAME")
    parser.add_argument("--threads", type=int, default=1, help="of BLAS and PyTorch (default 1)")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        task, work, contestant = options.child
        found = checked(WORKS[work], contestant) if task == "check" else None
        print(json.dumps(found or measured(WORKS[work], contestant, options.seconds)))
        return
    os.environ.update(dict.fromkeys(THREADS, str(options.threads)))
    works = [w for w in WORKS if w in options.only] or list(WORKS)
    names = [c for c in CONTESTANTS if c in options.only] or list(CONTESTANTS)
    names = [c for c in names if importlib.util.find_spec(CONTESTANTS[c][0])]
    pairs = [(w, c) for w in works for c in names if c != "sklearn" or w == "dense"]
    check_all(pairs)
    results = measured_in_turn(pairs, max(options.rounds, 1), options.seconds)
    print(f"{'':<24}{'samples/CPU s':>10}{'lowest-highest':>18}{'/ PyTorch':>11}{'MB above':>12}{'MB whole':>10}")
    for work in works:
        print_results(work, {c: results[w, c] for w, c in pairs if w == work})


if __name__ == "__main__":
    main()
