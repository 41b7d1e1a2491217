"""Trainings that are killed at drawn moments, also inside the write of a checkpoint, and go on bit for bit."""

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tinygrad_nn.training.checkpoints import load_tree

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EVENTS = 6000  # about as many calls as a write of a checkpoint makes
Ordered = Callable[..., dict[str, Any]]


@pytest.fixture
def ordered(tmp_path: Path) -> Iterator[Ordered]:
    """Return a function that gives the process of `killed.py` an order, and returns its answer."""
    script = Path(__file__).with_name("killed.py")
    with subprocess.Popen([sys.executable, script], stdin=-1, stdout=-1, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def order(folder: Path, **what: Any) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            answer = tmp_path / "answer"
            answer.unlink(missing_ok=True)
            process.stdin.write(json.dumps({"folder": str(folder), "answer": str(answer), **what}) + "\n")
            found: dict[str, Any] = json.loads(process.stdout.readline())
            assert found["killed"] or found["code"] == 0
            return found | {"digest": answer.read_text() if answer.exists() and not found["killed"] else None}

        yield order
        process.stdin.close()


def newest(folder: Path) -> dict[str, Any] | None:
    """Return where the newest checkpoint stands, having read all of them, or None where there is none."""
    states = [load_tree(path) for path in sorted(folder.glob("step-*.npz"))]
    return states[-1] if states else None


def kill_again_and_again(ordered: Ordered, tmp_path: Path, kills: int) -> tuple[int, int]:
    """Kill trainings until there are so many kills, every third time inside a write; compiled or not, as is drawn.

    Return how many were killed inside a write, and how many went on from within an epoch.
    """
    whole, draw = ordered(tmp_path / "whole", compile=False), random.Random(2)
    done = inside = within = 0
    folders = (tmp_path / str(number) for number in itertools.count())
    folder = next(folders)
    while done < kills or folder.exists():
        what: dict[str, Any] = {"compile": draw.random() < 0.4}
        if done < kills and draw.random() < 1 / 3:
            what |= {"write": draw.randint(1, 20), "event": draw.randint(0, EVENTS)}
        elif done < kills:
            what |= {"seconds": draw.uniform(0, whole["seconds"])}
        before, found = newest(folder), ordered(folder, **what)
        if not found["killed"]:
            assert found["digest"] == whole["digest"]
            assert len(list(folder.glob("step-*.npz"))) == 2
            assert not list(folder.glob(".*"))
            folder = next(folders)
            continue
        state = newest(folder)
        assert before is None or (state is not None and state["updates"] >= before["updates"])
        done, inside = done + 1, inside + ("write" in what)
        within += state is not None and state["position"] > 0
    return inside, within


def test_a_few_kills_lose_nothing(ordered: Ordered, tmp_path: Path) -> None:
    _, within = kill_again_and_again(ordered, tmp_path, 3)
    assert within >= 1


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason="takes minutes: HYPOTHESIS_PROFILE=deep")
def test_a_hundred_kills_lose_nothing(ordered: Ordered, tmp_path: Path) -> None:
    inside, within = kill_again_and_again(ordered, tmp_path, 100)
    print(f"100 kills, {inside} inside a write; {within} went on from within an epoch")
    assert inside >= 20
    assert within >= 34
