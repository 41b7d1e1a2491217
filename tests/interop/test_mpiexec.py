"""Ranks that are processes, started by mpiexec: they reach what one process does, end together, and go on."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from optional import mpiexec

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def started(
    ranks: int, program: pathlib.Path, *arguments: Any, seconds: float = 200
) -> subprocess.CompletedProcess[str]:
    """Return a program that has run on so many ranks; raises TimeoutExpired if they hang."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [mpiexec(), "-n", str(ranks), sys.executable, str(program), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=seconds)


def result_of(ranks: int, folder: pathlib.Path, *arguments: Any) -> Any:
    done = started(ranks, ROOT / "tests/mpi_ranks.py", folder / "result.json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("scenario", ["full_batches", "minibatches"])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_reach_the_parameters_of_one_process(ranks: int, scenario: str, tmp_path: pathlib.Path) -> None:
    alone, together = result_of(ranks, tmp_path, scenario)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)
    assert np.abs(alone).max() > 1


def test_a_killed_rank_ends_all_and_the_training_goes_on_bit_for_bit(tmp_path: pathlib.Path) -> None:
    whole = result_of(2, tmp_path, "checkpointed", tmp_path / "whole")
    killed = started(2, ROOT / "tests/mpi_ranks.py", tmp_path / "no", "checkpointed", tmp_path / "broken", 5)
    assert killed.returncode != 0
    assert "KILLED" in (killed.stdout + killed.stderr).upper()
    assert (
        sorted(path.name for path in (tmp_path / "broken").iterdir())[-1]
        < sorted(path.name for path in (tmp_path / "whole").iterdir())[-1]
    )
    assert result_of(2, tmp_path, "checkpointed", tmp_path / "broken") == whole


@pytest.mark.parametrize("when", ["training", "before"])
def test_an_error_on_one_rank_ends_all_and_is_printed(when: str, tmp_path: pathlib.Path) -> None:
    done = started(3, ROOT / "tests/mpi_ranks.py", tmp_path / "no", "failing", when)
    assert done.returncode != 0
    assert "RuntimeError: the disk of this rank is on fire" in done.stderr
    assert "rank 2 of 3 failed with the error above; all ranks end" in done.stderr


@pytest.mark.parametrize("how", ["in peace", "with a code", "gathering"])
def test_a_rank_that_leaves_early_ends_all(how: str, tmp_path: pathlib.Path) -> None:
    done = started(3, ROOT / "tests/mpi_ranks.py", tmp_path / "no", "leaving", how)
    assert done.returncode != 0
    assert how == "gathering" or "RuntimeError: a rank has ended while others go on" in done.stderr


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("when", ["before the optimiser", "before the loader", "before the step"])
def test_a_rank_that_leaves_before_the_first_step_ends_all(when: str, ranks: int, tmp_path: pathlib.Path) -> None:
    for who in (0, ranks - 1):
        done = started(ranks, ROOT / "tests/mpi_ranks.py", tmp_path / "no", "leaving_at_first", who, when, seconds=20)
        assert done.returncode != 0
        assert f"rank {who}: the data file is missing" in done.stderr
        assert when == "before the loader" or "RuntimeError: a rank has ended while others go on" in done.stderr


@pytest.mark.parametrize(
    ("how", "words"), [("an error", "failed with the error above"), ("no disk", "has exited with")]
)
def test_a_rank_that_dies_ends_all_wherever_the_others_wait(how: str, words: str, tmp_path: pathlib.Path) -> None:
    done = started(3, ROOT / "tests/mpi_ranks.py", tmp_path / "no", "waiting", how, seconds=20)
    assert done.returncode != 0
    assert f"rank 2 of 3 {words}" in done.stderr
    assert "RuntimeError: the disk of this rank is on fire" in done.stderr or "no disk\n" in done.stderr


@pytest.mark.parametrize("made", ["nothing", "an optimiser", "one for some", "one alone", "an exit that is caught"])
def test_ranks_without_a_common_step_end_as_usual(made: str, tmp_path: pathlib.Path) -> None:
    assert result_of(3, tmp_path, "ending", made) == made


def test_without_mpi_the_bridge_does_nothing_at_the_end(tmp_path: pathlib.Path) -> None:
    mpiexec()  # and so mpi4py is there
    program = tmp_path / "program.py"
    program.write_text("import mpi4py\nmpi4py.rc.initialize = False\nimport mpi4py.MPI, tinygrad_nn.interop.mpi\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_learns_the_same_on_any_number_of_ranks(tmp_path: pathlib.Path) -> None:
    printed = [started(n, ROOT / "examples/data_parallel.py", "--epochs", 3).stdout.splitlines() for n in (1, 2)]
    for n, lines in zip((1, 2), printed, strict=True):
        assert len(lines) == 2
        assert lines[0].startswith(f"{n} ranks: cost 0.")
    assert printed[0][0].split(":")[1] == printed[1][0].split(":")[1]
