"""A training in a process of its own, which is killed at a drawn moment: imported once, forked for each order.

Reads orders as lines of JSON: the folder of the checkpoints; after how many seconds to kill; or in which write of a
checkpoint, and at which call of Python or C inside it. Answers each with what became of it.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.training import checkpoints

EPOCHS = 6


def digest(module: Any, optimizer: Any, scheduler: Any, history: tg.History) -> str:
    """Return a hash of everything that a training leaves, to the last bit."""
    sha = hashlib.sha256()
    for name, array in module.state_dict().items():
        sha.update(name.encode() + array.tobytes())
    for state in optimizer.state_dict()["state"].values():
        for name, x in state.items():
            sha.update(name.encode() + np.asarray(x).tobytes())
    generators = {name: g.bit_generator.state for name, g in module.generators().items()}
    sha.update(json.dumps([generators, scheduler.state_dict(), optimizer.lr, history.figures]).encode())
    return sha.hexdigest()


def trained(folder: str, compile: bool) -> str:
    """Train with minibatches, dropout and a schedule, from the newest checkpoint on, and return the hash."""
    X, y = tg.data.make_moons(240, 0.2, 0)
    module = tg.nn.Sequential(
        tg.nn.Linear(2, 16, seed=1), tg.nn.BatchNorm1d(16), tg.nn.Tanh(), tg.nn.Dropout(0.3, seed=2),
        tg.nn.Linear(16, 2, seed=3),
    )  # fmt: skip
    optimizer = tg.optim.Adam(module.parameters(), 0.02)
    scheduler = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    history = tg.train(
        module, X[:200], y[:200].astype(int), EPOCHS, batch_size=16, loss=tg.cross_entropy, optimizer=optimizer,
        scheduler=scheduler, validation=(X[200:], y[200:].astype(int)), early_stopping=6, progress=False,
        checkpoint=folder, every_steps=2, resume=True, compile=compile,
    )  # fmt: skip
    return digest(module, optimizer, scheduler, history)


def kill_inside(write_number: int, event_number: int) -> None:
    """Let a write of a checkpoint kill this process, at that call inside it."""
    left = {"writes": write_number, "events": event_number}

    def profile(frame: Any, event: str, arg: Any) -> None:
        left["events"] -= 1
        if left["events"] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    save_tree = checkpoints.save_tree

    def killing(path: Path, tree: Any) -> None:
        left["writes"] -= 1
        if left["writes"] == 0:
            sys.setprofile(profile)
        save_tree(path, tree)
        sys.setprofile(None)

    vars(checkpoints)["save_tree"] = killing


def in_a_process_of_its_own(order: dict[str, Any]) -> dict[str, Any]:
    answer = Path(order["answer"])
    started = time.monotonic()
    child = os.fork()
    if not child:
        try:
            if "write" in order:
                kill_inside(order["write"], order["event"])
            answer.write_text(trained(order["folder"], order["compile"]))
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    if "seconds" in order:
        time.sleep(order["seconds"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = os.waitstatus_to_exitcode(status)
    return {"killed": signalled == signal.SIGKILL, "code": code, "seconds": time.monotonic() - started}


if __name__ == "__main__":
    _ = tg.train, tg.compile  # which are imported when they are used: once, before any fork
    for line in sys.stdin:
        print(json.dumps(in_a_process_of_its_own(json.loads(line))), flush=True)
