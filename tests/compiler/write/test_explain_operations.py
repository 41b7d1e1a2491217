"""The text of every operation, and of its derivatives, computes on its own what the function does.

The quick ring takes a twentieth of the cases, the slow one the rest.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from listings import agree, leaves, run
from orders import EVERY, orders
from rings import sampled

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError
from tinygrad_nn.testing import Case


@pytest.mark.parametrize("case", sampled(EVERY, share=20, seed=8))
def test_the_text_computes_what_the_function_does(case: Case) -> None:
    for function in orders(case).values():
        compiled = tg.compile(function)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                right = compiled(*case.leaves)
                found: Any = run(compiled.explain())
            except CompileError:  # what can't be compiled has no text
                continue
        agree([x for x in leaves(found) if x.dtype != object], [x for x in leaves(right) if x.dtype != object], 64)
