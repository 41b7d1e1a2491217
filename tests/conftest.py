"""Hypothesis profiles: quick and derandomised by default, deep by HYPOTHESIS_PROFILE=deep.

One BLAS thread: on a busy machine two wait for each other, many times longer than they work.
"""

import os
import sys
from collections.abc import Generator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick", max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

TESTS = Path(__file__).parent
# Measuring coverage takes these twice their time, and finds nothing in them that the others do not reach.
UNMEASURED = {
    TESTS / path
    for path in (
        "test_article.py", "checking/test_gradients_properties.py", "compiler/test_programs.py",
        "engine/test_reverse.py", "ops/numpy/test_ordering.py", "ops/test_broadcasting.py", "ops/test_counterparts.py",
        "ops/test_drawn_operations.py", "ops/test_operations.py", "ops/test_shaping.py",
    )
}  # fmt: skip


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
