"""Every operation's cases: its samples, with what NumPy or an independent formula says about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from references import function_of, of_symmetric_part, reads_a_triangle, reference_of

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.tensor.declaring import COMPOSITES
from tinygrad_nn.testing import Case


def cases_of(name: str, samples: Iterable[Any] | None = None) -> list[Case]:
    """Return an operation's cases, which know its values: what NumPy says, or an independent formula."""
    function = function_of(name)
    reference = reference_of(name)
    found = tg.testing.cases_of(function, samples, reference)
    return [replace(case, call=of_symmetric_part(case.call)) if reads_a_triangle(case) else case for case in found]


# Those of the library itself: a bridge declares more where it is imported, as by its own tests in the same process.
OWN = {name: op for name, op in OPERATIONS.items() if not op.home[0].startswith("tinygrad_nn.interop.")}
NAMES = [*OWN, *COMPOSITES]
CASES = {name: cases_of(name) for name in NAMES}
SMOOTH = [case for cases in CASES.values() for case in cases if case.differentiable]
