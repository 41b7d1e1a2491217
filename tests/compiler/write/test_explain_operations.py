"""The text of every operation, and of its derivatives, computes on its own what the function does.

The quick profile takes a twentieth of the cases, drawn once; the deep one takes all.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
from listings import agree, leaves, run
from orders import DEEP, EVERY, orders

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError
from tinygrad_nn.testing import Case

CHOSEN = EVERY if DEEP else random.Random(8).sample(EVERY, len(EVERY) // 20)


@pytest.mark.parametrize("case", CHOSEN, ids=str)
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
