"""NumPy's invalid flag is probed, not trusted: gradients are right where it is never set, and where it always is."""

from __future__ import annotations

import os
import pathlib
import platform
import subprocess
import sys

import numpy as np
import pytest
from machines import LOUD, MUTE, machine, numpys_products
from slopes import leaf

from tinygrad_nn.engine import zero_safe
from tinygrad_nn.engine.zero_safe import FLAG_TELLS

TESTS = pathlib.Path(__file__).parent
MACHINES = {"mute": MUTE, "loud": LOUD}


@pytest.mark.skipif(platform.machine() != "x86_64" or numpys_products() is None, reason="needs that wheel, on x86-64")
def test_the_flag_tells_on_linux_and_x86_with_the_products_of_numpys_wheel() -> None:
    """Or else nan would be looked for everywhere, and no test but this one would see that it is."""
    assert FLAG_TELLS


PROGRAM = """
import numpy as np
import tinygrad_nn as tg
from tinygrad_nn.engine.zero_safe import FLAG_TELLS

assert not FLAG_TELLS
norm = tg.compile(tg.grad(tg.linalg.norm))
for x, slope in [([3.0, 4.0], [0.6, 0.8]), ([0.0, 0.0], [0.0, 0.0])] * 3:
    np.testing.assert_allclose(tg.grad(tg.linalg.norm)(np.array(x)), slope)
    np.testing.assert_allclose(norm(np.array(x)), slope)

draws = np.random.default_rng(0)
x, y = draws.normal(size=(900, 2)), draws.integers(0, 2, (900, 1)).astype(float)


def trained(compiled):
    network = tg.nn.Sequential(
        tg.nn.Linear(2, 50, seed=1), tg.nn.ReLU(), tg.nn.Linear(50, 50, seed=2), tg.nn.ReLU(),
        tg.nn.Linear(50, 1, seed=3),
    )
    optimizer = tg.optim.Adam(network.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        loss = ((network(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    step = tg.compile(step) if compiled else step
    losses = [float(step(x, y)) for _ in range(5)]
    if compiled:
        assert len(step.programs) == 1
    return losses


np.testing.assert_allclose(trained(True), trained(False))
assert np.isfinite(trained(True)).all()
print("right")
"""


@pytest.mark.parametrize("kind", MACHINES)
def test_a_program_is_right_and_warns_of_nothing(kind: str, tmp_path: pathlib.Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=machine(MACHINES[kind], tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.stdout, run.stderr) == ("right\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("kind", MACHINES)
def test_all_that_is_zero_safe_is_so(kind: str, tmp_path: pathlib.Path) -> None:
    files = [str(TESTS / f"test_{name}.py") for name in ("zero_safe", "create_graph", "hooks", "reverse")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *files],
        env=machine(MACHINES[kind], tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout


THREADS = """
import numpy as np
import tinygrad_nn as tg

slope = tg.grad(lambda w, x: tg.relu(x @ w).sum())
program = tg.compile(slope)
program(np.ones((784, 128)), np.ones((128, 784)))
for column in range(0, 784, 49):
    x = np.ones((128, 784))
    x[5, column] = np.inf
    for f in (slope, program):
        np.testing.assert_array_equal(f(-np.ones((784, 128)), x), np.zeros((784, 128)))
"""


def test_a_flag_that_another_thread_sets_is_not_needed() -> None:
    """NumPy hears of the 0 * inf that its own thread computes; the library of products has two."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    run = subprocess.run([sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("told", "n"), [(True, 64), (False, 64), (False, 4)], ids=["told", "lost", "small"])
def test_a_nan_that_a_product_shows_is_told_unless_flags_may_get_lost(
    told: bool, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was left out, and 0 * nan raises no flag: so there is no reason to look, but for flags of threads."""
    monkeypatch.setattr(zero_safe, "_flag_tells", lambda *_: told)
    x = leaf(np.ones((n, n)))
    w, scale = np.ones((n, n)), np.ones(n)
    w[0, 0], scale[0] = np.nan, 0.0
    ((x @ w) * scale).sum().backward()
    assert x.grad is not None
    found = x.grad.data[:, 0]
    assert np.isnan(found).all() if FLAG_TELLS and (told or n == 4) else (found == n - 1).all()
