"""Tests for operations and programs of one's own: the tools that the library's own tests use.

    import tinygrad_nn as tg

`check_op` holds an operation to everything that the library's own are held to; `PROPERTIES` are its checks,
each a function of a `Case`, which `cases_of` makes. `planted_rule` swaps a derivative rule for a wrong one.
"""

from ..operation import sample
from .calls import numpy_functions
from .case import Case, cases_of
from .derivatives import check_kink
from .operations import PROPERTIES, check_op
from .planting import planted_rule

__all__ = ["PROPERTIES", "Case", "cases_of", "check_kink", "check_op", "numpy_functions", "planted_rule", "sample"]
