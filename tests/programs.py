"""Programs of the repository, run as a user runs them."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def finished(program: pathlib.Path, *options: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Return a program that has run in a folder of its own."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # One thread each: the tests may share their cores, and BLAS threads that wait for one spin.
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg",
    }  # fmt: skip
    command = [sys.executable, "-W", "default", str(program), *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300)


def run(program: pathlib.Path, *options: str, folder: pathlib.Path) -> str:
    """Return what a program prints that succeeds without warnings."""
    done = finished(program, *options, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    warned = [line for line in done.stderr.splitlines() if "Warning" in line and f"{ROOT}{os.sep}" in line]
    assert [line for line in warned if "site-packages" not in line] == []
    return done.stdout
