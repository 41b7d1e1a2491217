"""Every exception of the package, and the messages that several rooms share.

Any other message stands where it is raised, or in its room's `refusals`.
"""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from .remedies import called, remedy
from .remedies import noted as noted
from .unsupported import NOT_RECORDED, table

PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


class GradientError(RuntimeError):
    """A requested derivative can't be computed."""


class FreedGraphError(GradientError):
    """The graph to differentiate was freed by an earlier backward pass."""


class DisconnectedError(GradientError):
    """Nothing recorded connects the output to a requested input."""


class CompileError(TypeError):
    """A function can't be turned into a program; the message names the line and what to write."""


class DetachedError(TypeError):
    """An operation would have silently lost the recorded graph."""


class InplaceError(RuntimeError):
    """An assignment would have changed a value that the graph depends on."""


class DtypeError(TypeError):
    """A dtype that can't represent what was asked for."""


class BackpropError(AssertionError):
    """A hand-derived gradient is not the adjoint."""


class GradientCheckError(AssertionError):
    """A function's derivative disagrees with differences of its values."""


class ArchitectureError(ValueError):
    """A network's description contradicts itself or names what doesn't exist."""


class DataError(ValueError):
    """Training data that can't be learnt from."""


class StateError(ValueError):
    """A state dictionary that doesn't fit what it is loaded into."""


class FileError(ValueError):
    """A file that can't be written, or that is not what it should be."""


class DivergedError(ArithmeticError):
    """Training reached a cost that is not finite; `origin` is what `tg.why_nan` found, or None."""

    origin: Any = None


FREED = "this graph was freed by an earlier backward pass; pass retain_graph=True there, or compute the output again"


def records_nothing(what: str) -> str:
    return (
        f"{what} records nothing, so there is no graph to differentiate; make an input with "
        "tg.tensor(..., requires_grad=True), and compute outside tg.no_grad()"
    )


def returns_no_tensor(kind: str) -> str:
    return (
        f"a function to differentiate returns a Tensor, got {kind}; build its result with operations on its "
        "arguments, and return what is not to be differentiated as aux, with has_aux=True"
    )


def of_another(kind: str, what: str, x: Any, of: str, like: Any, advice: str = "") -> str:
    needed = getattr(like, kind)
    if not advice:
        advice = f"pass one of shape {needed}" if kind == "shape" else f"write .astype('{needed}')"
    return f"the {what} has {kind} {getattr(x, kind)}, {of} {needed}; {advice}"


def no_gradient_dtype(dtype: Any) -> str:
    if dtype.kind == "c":
        return f"complex numbers have no gradients here yet (dtype {dtype}); use two real tensors"
    return f"a tensor of dtype {dtype} can't require a gradient; write its numbers as floats, or pass dtype=float"


def unsupported_values(what: str) -> str:
    return f"{what} can't be made a tensor; pass numbers, or arrays of them, such as np.asarray(x, dtype=float)"


def unknown_numpy(name: str, known: Iterable[Any]) -> str:
    short = name.rpartition(".")[2]
    hint = NOT_RECORDED.get(short)
    if hint is None:
        names = sorted({f.__name__ for f in known if hasattr(f, "__name__") and f.__name__[:7] != "linalg_"})
        near = difflib.get_close_matches(short, names, n=3, cutoff=0.6)
        hint = f"the nearest that are: {', '.join(map(called, near))}" if near else "see tg.__all__"
    return f"{name} is not recorded by tinygrad_nn: {hint}; or call it on t.data, without gradients"


# Operations that users know by another name.
PUBLIC = table("""
    total: sum | largest: max | smallest: min | either: where | permute: transpose | join: concatenate |
    reshape_to: reshape | matrix_product vector_product: matmul | running_total: cumsum | running_largest: cummax |
    running_smallest: cummin | at_least: maximum | bernoulli_cross_entropy: binary_cross_entropy |
    softmax_cross_entropy: cross_entropy | sigmoid_cross_entropy: binary_cross_entropy_with_logits |
    huber: huber_loss | linear_solution: solve | least_squares: lstsq | pseudo_inverse: pinv | singular_factors: svd |
    qr_factors: qr | full_convolution: convolve | valid_correlation: correlate | convolution: conv{}d |
    transposed_convolution: conv_transpose{}d | window_maximum: max_pool{}d
""")


def public(name: str, x: Any) -> str:
    """Return the name by which users know an operation; all axes of the input or result `x` but two are spatial."""
    return PUBLIC.get(name, name).format(max(1, len(getattr(x, "shape", ())) - 2))


def given(x: Any) -> str:
    if isinstance(x, type):
        return f"the class {x.__name__}"
    kind = type(x).__name__
    if hasattr(x, "shape"):
        return f"{kind} of shape {tuple(x.shape)}"
    return f"{' '.join(repr(x).split()):.40} of type {kind}"


def only_tensors(what: str, found: Any) -> str:
    return (
        f"{what} is {given(found)}, and only Tensors are differentiated; make it one before you compute with it: "
        "x = tg.tensor(x, requires_grad=True)"
    )


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, each column as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn at the line that called this package."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and is_ours(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def is_ours(file: str) -> bool:
    """Return whether a file belongs to this package, except its `__main__`, which users run."""
    return file.startswith(PACKAGE) and file != f"{PACKAGE}__main__.py"


def _shown(message: warnings.WarningMessage) -> None:
    """Show a warning; one that names a line of this package is given again, at the line that called the package."""
    if is_ours(message.filename):
        warn(str(message.message), message.category)
    else:
        _show(message)


# NumPy warns at the line that calls it, and only its error state could change that, at the price of an operation.
_show = warnings._showwarnmsg  # type: ignore[attr-defined]
warnings._showwarnmsg = _shown  # type: ignore[attr-defined]
warnings.filterwarnings("always", module=rf"{__package__.partition('.')[0]}\.")


def missing(what: str, package: str) -> str:
    return f"{what}; install it with: {sys.executable} -m pip install {package}"


_IN_OPERATION = "in tinygrad_nn operation"


def failed(error: Exception, name: str, inputs: Iterable[Any]) -> None:
    """Add a note to an error: the operation, its inputs and the remedy; of nested operations, the outermost counts."""
    met, known = ", ".join(map(_described, inputs)), public(name, next(iter(inputs), None))
    advice = "" if type(error).__module__ == __name__ else f"; {remedy(error, name)}"
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith(_IN_OPERATION)]
    error.__notes__ = [*notes, f"{_IN_OPERATION} {known!r} on inputs {met}{advice}"]


def _described(x: Any) -> str:
    if isinstance(x, (list, tuple)) and any(_is_array(part) for part in x):
        return f"[{', '.join(map(_described, x))}]"
    return f"{x.dtype}{list(x.shape)}" if _is_array(x) else f"{x!r:.20}" if np.isscalar(x) else type(x).__name__


def _is_array(x: Any) -> bool:
    return isinstance(getattr(x, "dtype", None), np.dtype)
