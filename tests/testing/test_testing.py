"""The test kit as a module: imported late, and without hidden names."""

import subprocess
import sys
from typing import Any

import pytest

import tinygrad_nn as tg


def test_the_library_imports_no_testing_until_it_is_used() -> None:
    program = (
        "import sys, tinygrad_nn as tg\n"
        "late = ('tinygrad_nn.testing', 'tinygrad_nn.checking', 'matplotlib', 'hypothesis')\n"
        "assert not any(n.startswith(late) for n in sys.modules)\n"
        "tg.gradcheck, tg.diff_backprop\n"
        "tg.testing.planted_rule\n"
        "assert 'hypothesis' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("module", [tg, tg.testing])
def test_there_are_no_other_hidden_names(module: Any) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        module.no_such_name
    assert all(hasattr(module, name) for name in module.__all__)
