"""For every operation, the calls that Hypothesis may draw: shapes, axes, indices and parameters.

`CALLS` is the table, by families. A call is a `sample(...)`: positional inputs, where a tuple stands for an array
of that shape with distinct numbers of the operation's domain, and parameters. All numbers lie away from kinks.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from references import function_of, of_symmetric_part, reads_a_triangle, reference_of

from tinygrad_nn.testing import Case, signed
from tinygrad_nn.testing.case import is_floating
from tinygrad_nn.testing.numerical import slopes
from tinygrad_nn.testing.samples import build

from . import algebra, recurrent, reductions, shapes, windows
from .arrays import Calls, Draw

EXAMPLES = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 4  # of each operation
CALLS: dict[str, Calls] = reductions.CALLS | shapes.CALLS | algebra.CALLS | windows.CALLS | recurrent.CALLS

# Where kinks depend on the parameters, or on several entries together, points near one are drawn anew.
KINKED = {
    "copysign", "fmod", "remainder", "divmod", "floor_divide", "frexp", "modf", "clip", "max", "min",
    "nanmax", "nanmin", "unwrap", "norm", "vector_norm", "matrix_norm", "cond", "interp", "pad",
    "eigh", "svd", "singular_factors", "qr", "qr_factors", "rnn_relu",
}  # fmt: skip
# Derivatives grow without bound next to where both operands are 0: differences there are off by more than rounding.
SINGULAR_AT_ORIGIN = {"hypot", "cosine_of", "over_square"}


@st.composite
def cases(draw: Draw, /, name: str, dtype: str = "float64") -> Case:
    """Return a case of one operation, of a drawn call, with numbers that are drawn from a seed."""
    inputs, parameters = draw(CALLS[name])
    function = function_of(name)
    reference = reference_of(name)
    seed = draw(st.integers(0, 2**16))
    case = replace(build(name, function, inputs, parameters, f"seed {seed}", reference), drawn=True)
    if name in recurrent.CALLS and name not in KINKED:  # fifth derivatives would be too large for differences
        case = case.at(x / 2 if is_floating(x) else x for x in case.leaves)
    if reads_a_triangle(case):
        case = replace(case, call=of_symmetric_part(case.call))
    assume(name not in KINKED or not near_a_kink(case))
    assume(name not in SINGULAR_AT_ORIGIN or np.hypot(*case.leaves).min(initial=1) > 0.3)
    return case.astype(dtype)


def near_a_kink(case: Case) -> bool:
    """Return whether a value or a derivative jumps within reach of the central differences."""
    step = 4 * case.accuracy[0]
    if any(case.slopes(i, step).kinked.any() for i in case.active):
        return True
    rng = np.random.default_rng(0)
    for _ in range(4):
        along = {i: signed(rng, case.leaves[i].shape) for i in case.active}

        def moved(by: Any, along: dict[int, Any] = along) -> float:
            return case.weighed([x + by * along[i] if i in along else x for i, x in enumerate(case.leaves)])

        if slopes(lambda by: moved(by[0]), [np.array(0.0)], 0, step).kinked:
            return True
    return False
