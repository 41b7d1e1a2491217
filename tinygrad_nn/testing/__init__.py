"""Tools to test your own operations and programs: those that the library's own tests use.

    import tinygrad_nn as tg

`check_op` runs all checks of the library's own operations; `PROPERTIES` are these checks, each a function of a `Case`,
and `cases_of` returns the cases. `check_agreement` compares any function of Tensors with one of arrays. `planted_rule`
swaps a derivative rule for a wrong one, and `mutate_rules` lists the wrong rules that a test misses.

The strategies are for tests with Hypothesis, which is imported when the first of them is used: `arrays`, `tensors`,
`broadcastable`, `shapes`, `axes`, `indices`, `points`, `kink_points`, `architectures`, `programs`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..checking.point import signed
from ..errors import missing
from ..tensor.declaring import sample
from .agreement import check_agreement
from .calls import numpy_functions
from .case import Case
from .derivatives import check_kink
from .mutation import Mutant, MutationReport, mutate_rules
from .operations import PROPERTIES, check_op
from .planting import planted_rule
from .samples import cases_of, spaced

if TYPE_CHECKING:
    from .random_programs import programs
    from .strategies import architectures, arrays, axes, broadcastable, indices, kink_points, points, shapes, tensors

__all__ = [
    "PROPERTIES",
    "Case",
    "Mutant",
    "MutationReport",
    "architectures",
    "arrays",
    "axes",
    "broadcastable",
    "cases_of",
    "check_agreement",
    "check_kink",
    "check_op",
    "indices",
    "kink_points",
    "mutate_rules",
    "numpy_functions",
    "planted_rule",
    "points",
    "programs",
    "sample",
    "shapes",
    "signed",
    "spaced",
    "tensors",
]


def __getattr__(name: str) -> Any:
    """Return a strategy; the first one imports Hypothesis. Raises ImportError with the remedy if that is missing."""
    if name in __all__:
        try:
            return getattr(import_module(".random_programs" if name == "programs" else ".strategies", __name__), name)
        except ImportError as error:
            raise ImportError(missing("the strategies of tg.testing need Hypothesis", "hypothesis")) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
