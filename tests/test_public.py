"""What users can call is a list, and changes only when somebody means it to."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import public
import pytest

import tinygrad_nn as tg

LIST = Path(__file__).with_name("public_names.txt")


def test_public_names_and_signatures_are_those_of_the_list() -> None:
    """A change that is meant goes into the list, and into the changelog."""
    assert public.listing() == LIST.read_text(encoding="utf-8").splitlines()


def test_another_signature_or_name_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(network: Any, X: Any) -> None:
        """Take less."""

    monkeypatch.setattr(tg, "train", train)
    changed = set(public.listing()) ^ set(LIST.read_text(encoding="utf-8").splitlines())
    assert {line.partition("(")[0] for line in changed} == {"tg.train"}
    assert "tg.train(network, X)" in changed


def test_public_modules_are_found_by_their_public_names() -> None:
    from tinygrad_nn.autograd import grad
    from tinygrad_nn.data import make_moons
    from tinygrad_nn.linalg import solve

    assert (grad, make_moons, solve) == (tg.autograd.grad, tg.data.make_moons, tg.linalg.solve)


def printed(code: str) -> set[str]:
    """Return the words that a new process prints."""
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_what_networks_declare_is_public() -> None:
    """The package names what it imports when it is used; an operation that a module declares belongs to that list."""
    declared = printed("from tinygrad_nn import nn, ops; print(*ops.functions())")
    assert {"huber_loss"} < declared <= {*tg.__all__}


def test_the_import_leaves_out_what_builds_trains_and_compiles() -> None:
    rooms = printed("import sys, tinygrad_nn; print(*{m.split('.')[1] for m in sys.modules if 'tinygrad_nn.' in m})")
    assert "ops" in rooms
    assert not {"nn", "optim", "compiler", "checking", "testing", "interop"} & rooms
    assert not {"concurrent.futures", "zipfile"} & printed("import sys, tinygrad_nn; print(*sys.modules)")
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, _, told = page.partition("`import tinygrad_nn` imports ")
    assert rooms - {"autograd", "data", "linalg"} == set(re.findall(r"`(\w+)`", told.partition("\n")[0]))
