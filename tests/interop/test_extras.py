"""Who imports the library imports no bridge, and a bridge without its tool says in one sentence what to install."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest


def used(bridge: str) -> Any:
    """Import a bridge, and use it where that imports its tool."""
    module = importlib.import_module(f"tinygrad_nn.interop.{bridge}")
    return module.world() if bridge == "mpi" else module


@pytest.mark.parametrize(
    ("bridge", "tool", "install"),
    [
        ("scipy", "scipy", "scipy"),
        ("sklearn", "sklearn.base", '"scikit-learn>=1.6"'),
        ("mpi", "mpi4py", "mpi4py mpich"),
        ("torch", "torch", "torch"),
    ],
)
def test_a_missing_tool_is_named_with_the_line_that_installs_it(
    bridge: str, tool: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"tinygrad_nn.interop.{bridge}", raising=False)
    monkeypatch.setitem(sys.modules, tool, None)
    with pytest.raises(ImportError) as raised:
        used(bridge)
    first, last = str(raised.value).split("; ")
    assert first.startswith(f"tinygrad_nn.interop.{bridge} needs ")
    assert last == f"install it with: {sys.executable} -m pip install {install}"


def test_the_library_imports_no_bridge_and_no_tool() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, tinygrad_nn; print(*sys.modules)"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    modules = {name.split(".")[0] for name in done.stdout.split()}
    assert modules & {"scipy", "sklearn", "torch", "mpi4py", "onnx"} == set()
    assert "tinygrad_nn.interop" not in done.stdout.split()
    assert np.__name__ in modules
