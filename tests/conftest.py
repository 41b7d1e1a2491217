"""Hypothesis profiles: quick and derandomised by default, deep by HYPOTHESIS_PROFILE=deep.

Two rings: `pytest` runs what is quick, `pytest -m slow` what takes seconds and the cases outside samples, and
`pytest -m ""` both, as the deep profile wants it.

One BLAS thread: on a busy machine two wait for each other, many times longer than they work.
"""

import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from article import Experiment

settings.register_profile(
    "quick", max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

TESTS = Path(__file__).parent
collect_ignore = ["mpi_ranks.py"]  # a program for mpiexec, which imports what not everyone has
# Measuring coverage takes these twice their time, and finds nothing in them that the others do not reach.
UNMEASURED = {
    TESTS / folder / f"test_{name}.py"
    for folder, names in {
        "": "article",
        "checking": "gradients_properties",
        "compiler": "hostile programs",
        "engine": "allocator create_graph hooks long_graphs memory node retained_graphs reverse",
        "nn": "dense",
        "ops": "broadcasting counterparts drawn_operations operations shaping",
        "ops/numpy": "ordering padding rearranging splitting",
        "optim": "adam optimizer sgd",
        "training": "batches history loop",
        "transforms": "grad",
    }.items()
    for name in names.split()
}


def pytest_collection_finish() -> None:
    """Keep the tests themselves, which stay to the end, out of every collection: there are tens of thousands."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> "Experiment":
    """Return the article's experiment, which is run once, whatever the number of processes that run the tests."""
    from article import Experiment  # imported later than coverage begins

    own = tmp_path_factory.getbasetemp()
    return Experiment(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Run a test, without whoever traces its lines where that costs much and finds nothing."""
    tracer = sys.gettrace()
    if item.path in UNMEASURED:
        sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
