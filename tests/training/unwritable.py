"""A process that may not write into a folder: run with its path, it says what each attempt gets.

Root may write anywhere: so a process of root's becomes nobody's first.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_nn as tg

NOBODY = 65534
X, Y = np.arange(8.0).reshape(4, 2), np.ones((4, 1))


def answer(call: Callable[[], Any]) -> str:
    try:
        return repr(call())
    except tg.errors.FileError as error:
        return f"FileError: {error}"


def attempts(folder: Path) -> dict[str, str]:
    """Return what becomes of each attempt to write, and what the module is then."""
    module = tg.nn.Linear(2, 1, seed=0)

    def train(where: Path, epochs: int, **options: Any) -> Any:
        return len(tg.train(module, X, Y, epochs, 0.01, loss=tg.mse_loss, checkpoint=where, progress=False, **options))

    found = {"save": answer(lambda: tg.save(folder / "a.npz", {"w": np.zeros(3)}))}
    found["load"] = answer(lambda: tg.load(folder / "a.npz")["w"].tolist())
    found["new"] = answer(lambda: train(folder / "new", 2))
    found["untouched"] = repr(bool((module.weight.data == tg.nn.Linear(2, 1, seed=0).weight.data).all()))
    found["resumed"] = answer(lambda: train(folder / "begun", 4, resume=True, every=1))
    twin = tg.nn.Linear(2, 1, seed=0)
    tg.train(twin, X, Y, 3, 0.01, loss=tg.mse_loss, progress=False)
    return found | {"kept": repr(bool((module.weight.data == twin.weight.data).all()))}


def begin(folder: Path) -> None:
    """Put a file and a checkpoint into the folder, and close both to writers."""
    tg.save(folder / "a.npz", {"w": np.ones(3)})
    module = tg.nn.Linear(2, 1, seed=0)
    tg.train(module, X, Y, 2, 0.01, loss=tg.mse_loss, checkpoint=folder / "begun", progress=False)
    for each in (folder / "begun", folder):
        each.chmod(0o555)


def contents(folder: Path) -> list[Any]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


if __name__ == "__main__":
    begin(folder := Path(sys.argv[1]))
    before = contents(folder)
    tg.load(folder / "a.npz")  # whose code nobody may perhaps not read later
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    print(json.dumps(attempts(folder) | {"as it was": contents(folder) == before}))
