"""Which names of NumPy are recorded: `python -m tinygrad_nn.coverage` walks them all and prints a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_nn import ops
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.errors.unsupported import NOT_RECORDED
from tinygrad_nn.tensor.handle import NUMPY_FUNCTIONS
from tinygrad_nn.tensor.numpy_protocols import UFUNC_METHODS, WITHOUT_DERIVATIVE

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
    unravel_index zeros packbits unpackbits row_stack in1d trapz
""".split()  # noqa: SIM905
_CREATION = ["empty_like", "fftfreq", "full_like", "ones_like", "rfftfreq", "zeros_like"]
_GROUPS = {"numpy": np, "numpy.linalg": np.linalg, "numpy.fft": np.fft}


class Row(NamedTuple):
    """A name of NumPy: what it is here, and, if it is not supported, why, with the nearest supported name."""

    group: str
    name: str
    kind: str
    remark: str = ""

    def __str__(self) -> str:
        return self.name if self.group == "numpy" else f"{self.group.removeprefix('numpy.')}.{self.name}"


def rows() -> list[Row]:
    """Return a row for every public name of numpy, numpy.linalg and numpy.fft, and for the methods of ufuncs.

    A name that no table knows has the kind "unknown"; a test looks for these.
    """
    found = [_row(group, name, getattr(home, name)) for group, home in _GROUPS.items() for name in _public(home)]
    return [*found, *_methods()]


def _public(module: Any) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_")]


def _row(group: str, name: str, value: Any) -> Row:
    if isinstance(value, type) or not callable(value) or name in _UTILITIES or name in _CREATION:
        return Row(group, name, NO_FUNCTION)
    if name in NOT_RECORDED:
        return Row(group, name, UNSUPPORTED, NOT_RECORDED[name])
    if value in NUMPY_FUNCTIONS:
        return Row(group, name, CONSTANT if _is_constant(NUMPY_FUNCTIONS[value]) else DIFFERENTIABLE)
    if value in WITHOUT_DERIVATIVE:
        return Row(group, name, CONSTANT)
    return Row(group, name, "unknown")


def _is_constant(call: Any) -> bool:
    operation = getattr(call, "operation", None)
    return operation is not None and not operation.differentiable


def _methods() -> Iterator[Row]:
    for method in UFUNC_METHODS:
        yield Row("ufunc", method, DIFFERENTIABLE)


def share() -> float:
    """Return the share of NumPy's functions with a derivative that are differentiable here; numpy.fft is left out."""
    return _share(Counter(row.kind for row in rows() if row.group != "numpy.fft"))


def _share(counts: Counter[str]) -> float:
    return counts[DIFFERENTIABLE] / (counts[DIFFERENTIABLE] + counts[UNSUPPORTED])


def summary() -> str:
    """Return a table in Markdown of how many names each group and kind has, and the names that are not supported."""
    everything = rows()
    groups = {group: Counter(row.kind for row in everything if row.group == group) for group in (*_GROUPS, "ufunc")}
    lines = [
        "| names of | differentiable | not supported | share | piecewise constant |",
        "| --- | --- | --- | --- | --- |",
    ]
    together = sum((counts for group, counts in groups.items() if group != "numpy.fft"), Counter[str]())
    for group, counts in (groups | {"all but numpy.fft": together}).items():
        numbers = [counts[DIFFERENTIABLE], counts[UNSUPPORTED], f"{_share(counts):.1%}", counts[CONSTANT]]
        lines.append(f"| {' | '.join(map(str, [group, *numbers]))} |")
    missing = [f"`{row}`" for row in everything if row.kind == UNSUPPORTED and row.group != "numpy.fft"]
    return "\n".join([*lines, "", f"Not supported: {', '.join(missing)}, and the transforms of `numpy.fft`."])


def table() -> str:
    """Return the table as text: a section for each kind, and a line for each name that is not supported."""
    everything, parts = rows(), []
    for kind in (DIFFERENTIABLE, CONSTANT, NO_FUNCTION):
        names = [str(row) for row in everything if row.kind == kind]
        parts.append(f"{kind} ({len(names)}): {', '.join(names)}")
    missing = [row for row in everything if row.kind == UNSUPPORTED]
    parts.append(f"{UNSUPPORTED} ({len(missing)}):")
    width = max(len(str(row)) for row in missing)
    parts += [f"  {str(row).ljust(width)}  {row.remark}" for row in missing]
    own = sorted(ops.functions().keys() - set(dir(np)))
    parts.append(f"beyond NumPy ({len(own)}): {', '.join(own)}")
    parts.append(f"{share():.1%} of NumPy's functions with a derivative, numpy.fft left out")
    with_rules = sum(operation.differentiable for operation in OPERATIONS.values())
    parts.append(f"{with_rules} operations have rules")
    return "\n".join(parts)


if __name__ == "__main__":
    print(table())
