"""What of NumPy is recorded: `python -m tinygrad_nn.coverage` walks NumPy's own names and prints a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from . import ops
from .dispatch import WITHOUT_DERIVATIVE
from .operation import OPERATIONS
from .tensors import NUMPY_FUNCTIONS

DIFFERENTIABLE, CONSTANT = "differentiable", "piecewise constant"
NO_FUNCTION, UNSUPPORTED = "not a function of arrays", "not supported"
_UTILITIES = """
    arange array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix bartlett base_repr
    binary_repr blackman bmat busday_count busday_offset datetime_as_string datetime_data diag_indices
    diag_indices_from empty eye format_float_positional format_float_scientific from_dlpack frombuffer fromfile
    fromfunction fromiter frompyfunc fromregex fromstring full genfromtxt get_include get_printoptions getbufsize
    geterr geterrcall hamming hanning identity indices info is_busday isdtype isfortran isnat isscalar issubdtype
    iterable ix_ kaiser load loadtxt mask_indices mintypecode nested_iters ones printoptions promote_types
    ravel_multi_index require save savetxt savez savez_compressed set_printoptions setbufsize seterr seterrcall
    show_config show_runtime test tri tril_indices tril_indices_from triu_indices triu_indices_from typename
    unravel_index zeros packbits unpackbits row_stack
""".split()  # noqa: SIM905
_STEPS = ["histogram", "histogram2d", "histogramdd", "nanargmax", "nanargmin", "spacing"]
_MISSING = {
    "a derivative of complex numbers": {"angle": "arctan2", "sort_complex": "sort"},
    "its polynomial is an array of coefficients; compose it": dict.fromkeys(
        ("poly", "polydiv", "polyint", "roots"), "polyval"
    )
    | {"polyfit": "linalg.lstsq"},
    "it calls a Python function for each slice": {"apply_along_axis": "stack", "apply_over_axes": "sum"},
    "its shape depends on values": dict.fromkeys(
        ("intersect1d", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse",
         "unique_values"), "getitem",
    ),
    "it writes into an array": dict.fromkeys(("copyto", "fill_diagonal", "place", "put", "putmask"), "set_at"),
    "write it with arange": {"linspace": "arange", "geomspace": "exp", "logspace": "exp2"},
    "a Bessel function": {"i0": "exp"},
    "not done": {"astype": "astype", "bincount": "scatter_add", "piecewise": "select", "nextafter": "positive"},
}  # fmt: skip


class Row(NamedTuple):
    """One name of NumPy's: what it is here, and why, with the nearest supported name, where it isn't."""

    name: str
    kind: str
    remark: str = ""


def rows() -> list[Row]:
    """Return a row for every public name of numpy and numpy.linalg, and for the methods of ufuncs.

    A name that no table knows has the kind "unknown": a test looks for those.
    """
    found = [_row(name, getattr(np, name), name) for name in _public(np)]
    found += [_row(f"linalg.{name}", getattr(np.linalg, name), name) for name in _public(np.linalg)]
    return [*found, *_methods()]


def _public(module: Any) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_")]


def _row(shown: str, value: Any, name: str) -> Row:
    if isinstance(value, type) or not callable(value) or name in _UTILITIES:
        return Row(shown, NO_FUNCTION)
    if value in NUMPY_FUNCTIONS:
        return Row(shown, CONSTANT if _is_constant(NUMPY_FUNCTIONS[value]) else DIFFERENTIABLE)
    if value in WITHOUT_DERIVATIVE or name in _STEPS:
        return Row(shown, CONSTANT)
    for reason, names in _MISSING.items():
        if name in names:
            return Row(shown, UNSUPPORTED, f"{reason}; nearest: tg.{names[name]}")
    return Row(shown, "unknown")


def _is_constant(call: Any) -> bool:
    operation = getattr(call, "operation", None)
    return operation is not None and not operation.differentiable


def _methods() -> Iterator[Row]:
    for method in ("reduce", "accumulate", "outer", "reduceat"):
        yield Row(f"ufunc.{method}", DIFFERENTIABLE, "of every recorded ufunc of two operands")
    yield Row("ufunc.at", UNSUPPORTED, "it writes into an array; nearest: tg.scatter_add")
    yield Row("fft.*", UNSUPPORTED, "a derivative of complex numbers")


def share() -> float:
    """Return the share of NumPy's functions with a derivative that are differentiable here."""
    counts = Counter(row.kind for row in rows())
    return counts[DIFFERENTIABLE] / (counts[DIFFERENTIABLE] + counts[UNSUPPORTED])


def table() -> str:
    """Return the table as text: a section per kind, and a line per name that is not supported."""
    everything, parts = rows(), []
    for kind in (DIFFERENTIABLE, CONSTANT, NO_FUNCTION):
        names = [row.name for row in everything if row.kind == kind]
        parts.append(f"{kind} ({len(names)}): {', '.join(names)}")
    missing = [row for row in everything if row.kind == UNSUPPORTED]
    parts.append(f"{UNSUPPORTED} ({len(missing)}):")
    width = max(len(row.name) for row in missing)
    parts += [f"  {row.name.ljust(width)}  {row.remark}" for row in missing]
    own = sorted(ops.functions().keys() - set(dir(np)))
    parts.append(f"beyond NumPy ({len(own)}): {', '.join(own)}")
    parts.append(f"{share():.1%} of NumPy's functions with a derivative; {len(OPERATIONS)} operations have rules")
    return "\n".join(parts)


if __name__ == "__main__":
    print(table())
