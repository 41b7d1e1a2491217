"""Memory kept for reuse: from the first backward on, and never by the import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import tinygrad_nn as tg


def test_keep_memory_says_whether_it_keeps() -> None:
    assert tg.keep_memory(True) in (True, False)
    assert tg.keep_memory(False) is False
    tg.keep_memory(True)


_PROBE = """
import tinygrad_nn as tg
from tinygrad_nn.engine import allocator
calls = []
allocator.keep_memory, kept = lambda keep=True: calls.append(keep), allocator.keep_memory
{first}
x = tg.tensor(1.0, requires_grad=True)
print(len(calls), end=" ")
(x * x).backward()
print(len(calls))
"""


@pytest.mark.parametrize(
    ("first", "variable", "expected"),
    [("", None, "0 1"), ("", "0", "0 0"), ("kept(False)", None, "0 0")],
    ids=["by the first backward", "variable turns it off", "keep_memory(False) turns it off"],
)
def test_memory_is_kept_from_the_first_backward_on_and_never_by_the_import(
    first: str, variable: str | None, expected: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TINYGRAD_NN_KEEP_MEMORY"}
    if variable is not None:
        environment["TINYGRAD_NN_KEEP_MEMORY"] = variable
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", _PROBE.format(first=first)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.strip() == expected
