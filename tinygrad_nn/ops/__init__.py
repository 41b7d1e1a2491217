"""The operations: each is declared once, with its rules beside it."""

# ruff: noqa: F401  (importing a module declares its operations)

import re
import sys
from inspect import cleandoc
from operator import attrgetter
from textwrap import fill
from types import ModuleType
from typing import Any

import numpy as np

from ..tensor import numpy_protocols
from ..tensor.declaring import PUBLIC
from ..tensor.handle import NUMPY_FUNCTIONS, Tensor
from . import (
    activation,
    broadcasting,
    elementwise,
    fused,
    indexing,
    joining,
    products,
    reduction,
    rounding,
    selection,
    shaping,
    special,
)
from .descriptions import DESCRIPTIONS
from .examples import EXAMPLES
from .linalg import chains, decompositions, determinants, inverses, least_squares, norms
from .numpy import (
    applying,
    assignment,
    contraction,
    correlation,
    cumulative,
    interpolation,
    ordering,
    padding,
    polynomials,
    quantiles,
    ranges,
    rearranging,
    splitting,
    statistics,
    ufunc_methods,
    vectors,
)
from .recurrent import cells, kernels
from .windows import convolution, convolution_kernels, pooling, sliding

EXAMPLE = "\n\n>>> import numpy as np\n>>> import tinygrad_nn as tg\n{}"  # appended to a description


def by_task() -> dict[str, list[str]]:
    """Return the Tensor's public names by task: the first words in the docstring of the file that declares them."""
    files = [m for name, m in sys.modules.items() if name.startswith(__name__)]
    homes = {id(f): m for m in reversed(files) for f in vars(m).values()}  # the first that has it, not an importer
    found: dict[str, list[str]] = {}
    for name in [name for name in vars(Tensor) if not name.startswith("_") and hasattr(Tensor, name)]:
        home = homes.get(id(vars(Tensor)[name]))
        about = "Values and gradients" if home is None else re.split("[:;,.]", home.__doc__ or "")[0]
        found.setdefault(about, []).append(name)
    return found


def help_by_task() -> str:
    """Return the Tensor's description with its names by task; `help(tg.Tensor)` itself lists them alphabetically."""
    tasks = (fill(f"{about}: {', '.join(names)}.", 100, subsequent_indent="    ") for about, names in by_task().items())
    return cleandoc(Tensor.__doc__ or "") + "\n\nWhat a Tensor has, by task:\n\n" + "\n".join(tasks) + "\n"


def add_examples(package: ModuleType) -> None:
    """Add first sentences and generated examples to the functions that are declared without."""
    for name, description in DESCRIPTIONS.items():
        function = getattr(package, name)
        shapes = function.__doc__.partition("\n\n")[2]
        function.__doc__ = f"Return {description}.\n\n{shapes}"
    for path, example in EXAMPLES.items():
        function = attrgetter(path)(package)
        text = function.__doc__ or ""
        text = cleandoc(text) if "\n " in text else text.rstrip()  # for a quick import: most need no cleaning
        function.__doc__ = text + EXAMPLE.format(example)


def functions(namespace: Any = np) -> dict[str, Any]:
    """Return the public operations by name: their own names, and all that a NumPy namespace has for them.

    `np.acos` is `np.arccos`, so both names stand for the operation here. For a namespace other than `numpy` itself,
    such as `numpy.linalg`, only its names are returned.
    """
    named = {name: f for name, f in vars(namespace).items() if not name.startswith("_") and callable(f)}
    found = {name: NUMPY_FUNCTIONS[f] for name, f in named.items() if f in NUMPY_FUNCTIONS}
    if namespace is not np:
        return found
    elsewhere = {call for f, call in NUMPY_FUNCTIONS.items() if f.__module__ != "numpy.linalg"}
    of_linalg = {call for call in NUMPY_FUNCTIONS.values() if call not in elsewhere}
    return found | {name: call for name, call in PUBLIC.items() if call not in of_linalg}
