"""Checks of how an operation treats arrays: dtypes, layouts, nan, ownership of memory, and no writing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..checking.numerical import EPS
from ..engine.trees import leaves
from ..errors import GradientError
from ..tensor.handle import Tensor
from .calls import numpy_functions
from .case import Case, close, error_of, is_floating, listed


def frozen(x: Any) -> Any:
    """Return a read-only copy of an array, and anything else unchanged."""
    if not isinstance(x, (np.ndarray, np.generic)):
        return x
    copy = np.array(x)
    copy.flags.writeable = False
    return copy


def _node_contents(case: Case) -> tuple[Any, ...]:
    """Return everything that a rule may name, in the order of slots, as read-only arrays."""
    inputs, values, y = case.run([frozen(x) for x in case.leaves])
    shapes, wanted = [np.shape(x) for x in inputs], tuple(True for _ in inputs)
    many = case.operation is not None and case.operation.variadic
    return ((inputs, frozen(y), shapes) if many else (*inputs, frozen(y), *shapes)) + (wanted, *values.values())


def _arrays_in(value: Any) -> list[Any]:
    return [x for x in leaves(value) if isinstance(x, np.ndarray)]


def check_pure(case: Case) -> None:
    """Forward and rules accept read-only arrays, and change nothing that they are given."""
    if not case.differentiable:
        return
    if case.operation is not None:
        seeds = [frozen(u) for u in case.seeds]
        saved, g = _node_contents(case), tuple(seeds) if case.operation.multiple_outputs else seeds[0]
        before = [a.copy() for a in _arrays_in([saved, g])]
        for i in case.active:
            rule = next(itertools.islice(case.operation.rules, i, None))
            try:
                rule.pull(g, saved)
            except ValueError as error:
                raise AssertionError(case.fails(f"the rule for input {i} isn't pure: {error}")) from error
            if rule.into is not None:
                buffer = np.ones(case.leaves[i].shape, case.leaves[i].dtype)
                rule.into(buffer, g, *[saved[i] for i in rule.into_slots])
                added = close(buffer, 1 + rule.pull(g, saved), 8 * case.eps)
                assert added, case.fails(f"into differs from pull: {buffer}")
        same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(_arrays_in([saved, g]), before))
        assert same, case.fails("a rule changed what it was given")
    whole = case.at(map(frozen, case.leaves)).gradients()
    same = all(close(a, b, 8 * case.eps) for a, b in zip(whole, case.gradients()))
    assert same, case.fails("read-only inputs differ")


def _refuses(case: Case) -> bool:
    """Return whether the operation, like some of NumPy's and SciPy's, does not support float16 or long double."""
    error = error_of(lambda: case.outputs(case.tensors()))
    if not isinstance(error, TypeError):
        return False
    notes = "".join([str(error), *getattr(error, "__notes__", [])])
    assert re.search("unsupported in linalg|ufunc .* not supported|Cannot cast", notes), case.fails(notes)
    assert "astype" in notes, case.fails(f"no remedy in {notes}")
    return True


def _widened(case: Case) -> list[Any]:
    """Return the dtypes of NumPy's own results that are float64, even if the inputs are narrower, as in np.cov."""
    known = numpy_functions(case.function)
    results = case.arrays_by(known[0], case.leaves) if known else []
    return [y.dtype for y in results if y.dtype == np.float64]


def check_dtype(case: Case, dtype: str) -> None:
    """The dtype of inputs is that of results and gradients; values agree with float64's to the lower precision."""
    other = case.astype(dtype)
    double = other.astype("float64")
    if dtype != "float32" and _refuses(other):
        return
    tolerance = 64 * max(float(np.finfo(dtype).eps), EPS)
    for y, expected in zip(other.values, double.values):
        kinds = {np.dtype(np.float64): dtype, np.dtype(np.complex128): np.result_type(dtype, np.complex64)}
        kept = case.parameters.get("dtype", kinds.get(expected.dtype, expected.dtype))
        assert y.dtype == kept or y.dtype in _widened(other), case.fails(f"{dtype} in, {y.dtype} out")
        if y.dtype == dtype:
            finite = np.isfinite(expected)
            assert close(y[finite], expected[finite], tolerance), case.fails(f"{y} in {dtype}")
    if not case.differentiable or not case.active:
        return
    for g, expected in zip(other.gradients(), double.gradients()):
        assert g.dtype == dtype, case.fails(f"{dtype} in, gradient {g.dtype}")
        assert close(g, expected, tolerance), case.fails(f"gradient {g}, not {expected}")


def _spread(x: Any) -> Any:
    """Return an equal array with holes between its entries in every axis."""
    holes: tuple[Any, ...] = (..., *[slice(None, None, 2)] * x.ndim)
    y = np.zeros([2 * n for n in x.shape], x.dtype)[holes]
    y[...] = x
    return y


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "strided": _spread,
    "negative strides": lambda x: np.flip(np.array(np.flip(x)))[...],
    "Fortran order": lambda x: np.array(x, order="F"),
    "stride 0": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim else np.broadcast_to(x, ()),
}


def _refuses_equal_rows(case: Case) -> bool:
    """Return whether the operation needs matrices of full rank, distinct singular values, or distinct points."""
    return isinstance(error_of(case.gradients), (np.linalg.LinAlgError, GradientError, RuntimeWarning))


def check_layout(case: Case, layout: str) -> None:
    """Inputs in another layout give the values and gradients of their contiguous copies."""
    there = case.at(LAYOUTS[layout](x) if isinstance(x, np.ndarray) else x for x in case.leaves)
    here = case.at(np.array(x, order="C") if isinstance(x, np.ndarray) else x for x in there.leaves)
    if layout == "stride 0" and _refuses_equal_rows(here):
        return
    for a, b in zip(there.values, here.values):
        same = a.dtype == b.dtype and close(a, b, 32 * here.eps)  # sums may be in another order
        assert same, case.fails(f"{layout}: {a}, contiguous {b}")
    if case.active:
        for x, a, b in zip([there.leaves[i] for i in case.active], there.gradients(), here.gradients()):
            assert (a.shape, a.dtype) == (x.shape, x.dtype), case.fails(f"{layout}: gradient {a.dtype}{a.shape}")
            assert close(a, b, 32 * here.eps), case.fails(f"{layout}: gradient {a}, contiguous {b}")


def check_owned(case: Case) -> None:
    """Every .grad owns its memory: it is not a view, and shares none with a seed, a value or another gradient."""
    if not case.differentiable:
        return
    leaves = case.tensors()
    active = [leaves[i] for i in case.active]
    outputs = case.smooth(leaves)
    seeds = [Tensor(np.array(u)) for u in case.seeds]
    for y, u in zip(outputs, seeds):
        y.retain_grad()
        y.backward(u, retain_graph=True)
    gradients = [t.grad.data for t in [*active, *outputs]]
    others = [t.data for t in [*seeds, *outputs, *leaves] if isinstance(t, Tensor)]
    for position, g in enumerate(gradients):
        own = g.base is None and g.flags.owndata and g.flags.writeable
        assert own, case.fails(f"gradient {position} is a view")
        shared = [o for o in [*others, *gradients[:position]] if np.may_share_memory(o, g)]
        assert not shared, case.fails(f"gradient {position} shares its memory")


def check_masks(case: Case) -> None:
    """An operation whose output can leave out a nan of its input declares `masks=True`."""
    op = case.operation
    if op is None or op.masks or not case.differentiable:
        return
    for i in case.active:
        for entry in np.ndindex(case.leaves[i].shape):
            beside = [0.0, 1.0, np.inf] if op.pointwise and len(case.leaves) > 1 else []
            found = next((v for v in [None, *beside] if _leaves_out(case, i, entry, v)), "nothing")
            assert found == "nothing", case.fails(f"a nan in input {i} is not in the output; declare masks=True")


def _leaves_out(case: Case, i: int, entry: tuple[int, ...], other: float | None) -> bool:
    """Return whether the output has no nan although an input's entry is nan; the other inputs are `other`, if given."""
    leaves = [x if other is None or not is_floating(x) else np.full_like(x, other) for x in case.leaves]
    leaves[i] = np.array(case.leaves[i])
    leaves[i][entry] = np.nan
    try:
        with np.errstate(all="ignore"):
            results = [np.asarray(y) for y in listed(case.run(leaves)[2])]
    except (np.linalg.LinAlgError, Warning):
        return False
    return all(y.size > 0 and y.dtype.kind == "f" and not np.isnan(y).any() for y in results)
