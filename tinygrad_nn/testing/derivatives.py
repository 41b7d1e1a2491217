"""Checks of derivatives: against differences, the complex step, forward mode, and declared subgradients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ..checking.numerical import complex_slope
from ..checking.point import signed
from ..engine.grad_mode import no_grad
from ..tensor.handle import Tensor
from ..transforms import autograd
from ..transforms.functions import jvp
from .case import Case, close, is_floating
from .numerical import extrapolated, slopes
from .samples import build, kink_inputs


def check_gradient(case: Case) -> None:
    """Every entry of every gradient agrees with central differences; at a kink, it lies between both slopes."""
    if not case.differentiable:
        return
    step, tolerance = case.accuracy
    moved = case.results(case.tensors([np.asarray(x * (1 + 1e-9)) if is_floating(x) else x for x in case.leaves]))
    for i, (y, e) in enumerate(zip(moved, case.results(case.tensors()))):
        constant = i in case.recording or len(moved) == 1 or np.array_equal(y.data, e.data)
        assert constant, case.fails(f"result {i} depends on the inputs, but is not recorded")
    for i, g in zip(case.active, case.gradients()):
        x = case.leaves[i]
        assert (g.shape, g.dtype) == (x.shape, x.dtype), case.fails(f"gradient of input {i} is {g.dtype}{g.shape}")
        assert np.isfinite(g).all(), case.fails(f"gradient of input {i} is {g}")
        found = case.slopes(i, step)
        kinked, smooth = found.kinked, ~found.kinked & np.isfinite(x)
        assert not (case.drawn and kinked.any()), case.fails(f"input {i} was drawn at a kink: {x}")
        right = close(g[smooth], found.central[smooth], tolerance)
        assert right, case.fails(f"gradient of input {i} is {g}, by central differences {found.central}")
        low, high = np.minimum(found.left, found.right) - step, np.maximum(found.left, found.right) + step
        between = (low <= g) & (g <= high)
        assert between[kinked].all(), case.fails(f"input {i} at a kink: {g} is no subgradient of {found}")
    if not case.at_kink:
        _check_elsewhere(case)


def _check_elsewhere(case: Case) -> None:
    """Gradients are right at another point, too, in one direction: a rule may remember the values of its first use."""
    step, tolerance = case.accuracy
    rng = np.random.default_rng(4)
    aside, along = [{i: signed(rng, case.leaves[i].shape) for i in case.active} for _ in range(2)]
    mirrored = case.drawn and case.operation is not None and case.operation.pointwise
    there = case.at([np.flip(x) if mirrored and is_floating(x) else x for x in case.leaves])
    there = there.at(_moved(there, step, aside))
    moved = [_moved(there.wide, by, along) for by in (step, -step, step / 2, -step / 2)]
    expected = extrapolated(list(map(there.wide.weighed, moved)), step)
    parts = zip(there.gradients(), along.values(), strict=True)
    found = math.fsum(float(np.sum(np.where(np.isfinite(g), g, 0) * v)) for g, v in parts)
    right = close(np.array(found), np.array(expected), 10 * tolerance)
    assert right, case.fails(f"nearby, the slope along a direction is {found}, by central differences {expected}")


def _complex_slopes(case: Case, i: int) -> Any:
    """Return the slopes in input `i` by the complex step, None if the forward refuses complex numbers."""
    assert case.operation is not None
    values = case.run(case.leaves)[1]  # a run may fill in some that the forward reads
    forward, x, seed = case.operation.forward, case.leaves[i], case.seeds[0]

    def line(entry: tuple[int, ...], step: complex) -> Any:
        z = x.astype(complex)
        z[entry] += step
        y = forward(*case.arguments([*case.leaves[:i], z, *case.leaves[i + 1 :]]), **values)
        return None if isinstance(y, tuple) else np.sum(np.where(seed == 0, 0, y) * seed)

    found = [complex_slope(partial(line, entry)) for entry in np.ndindex(x.shape)]
    return np.reshape([slope.value for slope in found], x.shape) if all(slope.known for slope in found) else None


def check_complex_step(case: Case) -> bool:
    """Compare gradients to the last digits with the complex step; return whether the operation allows it."""
    if case.operation is None or not case.differentiable:
        return False
    checked = False
    for i, g in zip(case.active, case.gradients()):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            exact = _complex_slopes(case, i)
        rough = case.slopes(i)
        if exact is None or not close(exact, rough.central, 1e-6) or rough.kinked.any():
            continue  # it refuses complex numbers, or its |x| or comparison is not analytic
        checked = checked or g.size > 0
        assert close(g, exact, 64 * case.eps), case.fails(f"gradient of input {i} is {g}, by the complex step {exact}")
    return checked


def check_second_order(case: Case) -> None:
    """The gradient of <gradient, v> is the derivative along v: in inputs that of the gradient, in cotangents of values.

    The former is the Hessian times v, because a Hessian is symmetric.
    """
    if not case.differentiable:
        return
    step, tolerance = case.accuracy
    rng = np.random.default_rng(2)
    directions = {i: signed(rng, case.leaves[i].shape) for i in case.active}
    seeds = [Tensor(u, requires_grad=True) for u in case.seeds]
    leaves = case.tensors()
    active = [leaves[i] for i in case.active]
    first = autograd.grad(case.smooth(leaves), active, seeds, create_graph=True)
    recorded = all(g is not None and g.requires_grad for g in first)
    assert recorded, case.fails("the gradient doesn't record its cotangent")
    inner = [(g * v).sum() for g, v in zip(first, directions.values()) if g is not None]
    found = autograd.grad(inner, [*active, *seeds], allow_unused=True)
    if case.at_kink:
        return
    moved = [_moved(case.wide, by, directions) for by in (step, -step, step / 2, -step / 2)]
    for i, g, values in zip(case.active, found, zip(*map(case.wide.gradients, moved))):
        x = case.leaves[i]
        data, expected = np.zeros_like(x) if g is None else g.data, extrapolated(values, step)
        assert (data.shape, data.dtype) == (x.shape, x.dtype), case.fails(f"second order of input {i}: {g}")
        finite = np.isfinite(x) & np.isfinite(expected)
        right = close(data[finite], expected[finite], 10 * tolerance)
        assert right, case.fails(f"second order of input {i} is {data}, by central differences {expected}")
    with no_grad():
        results = [[y.data for y in case.wide.smooth(case.wide.tensors(leaves))] for leaves in moved]
    for g, u, values in zip(found[len(active) :], case.seeds, zip(*results)):
        seen, expected = (u != 0) & np.isfinite(values[0]), extrapolated(values, step)
        data = np.zeros(u.shape) if g is None else g.data
        assert close(data[seen], expected[seen], 10 * tolerance), case.fails(f"along v it is {data}, not {expected}")


def _moved(case: Case, by: float, directions: Mapping[int, Any]) -> list[Any]:
    """Return the leaves, of which those with a direction are moved along it."""
    return [np.asarray(x + by * directions[i], x.dtype) if i in directions else x for i, x in enumerate(case.leaves)]


def check_tangents(case: Case) -> None:
    """Forward mode is the transpose of reverse mode, input by input: <u, J v> = <J' u, v>."""
    if not case.differentiable:
        return
    rng = np.random.default_rng(3)
    transposed = case.gradients()

    def function(*active: Any) -> list[Any]:
        given = dict(zip(case.active, active))
        return case.outputs([given.get(i, x) for i, x in enumerate(case.tensors())])

    for position, i in enumerate(case.active):
        directions = [np.zeros_like(case.leaves[j]) for j in case.active]
        directions[position] = signed(rng, case.leaves[i].shape).astype(case.leaves[i].dtype)
        found = [t.data for t in jvp(function, [case.leaves[i] for i in case.active], directions)[1]]
        for t, y in zip(found, case.values):
            assert (t.shape, t.dtype) == (y.shape, y.dtype), case.fails(f"tangent is {t.dtype}{t.shape}")
        pairs = [np.where(u == 0, 0, t) * u for t, u in zip(found, case.seeds)]
        finite = np.isfinite(case.leaves[i])
        across = [np.where(finite, transposed[position], 0) * directions[position]]
        scale = max(1.0, *[float(np.abs(p).sum()) for p in [*pairs, *across]])
        sums = [math.fsum(float(p.sum()) for p in side) for side in (pairs, across)]
        single = max(np.finfo(x.dtype).eps for x in [*case.values, case.leaves[i]])
        right = abs(sums[0] - sums[1]) <= 100 * float(single) * scale
        assert right or case.at_kink, case.fails(f"along input {i}: <u, J v> = {sums[0]}, <J' u, v> = {sums[1]}")


def check_kink(function: Any, key: Any) -> None:
    """At a kink, gradients are those declared; for one operand alone, the slope nearest to 0 between both sides.

    >>> import tinygrad_nn as tg
    >>> tg.testing.check_kink(tg.abs, 0)
    """
    op = function.operation
    among_entries = len(op.arguments) == 1 and np.ndim(key) == 1
    case = build(op.name, function, kink_inputs(op, key), {}, f"kink at {key}")
    flat = [] if among_entries else [case.at(x.reshape(()) for x in case.leaves)]
    expected = [op.kinks[key]] if len(op.arguments) == 1 else op.kinks[key]
    for inputs in (case, *flat):
        unit = [np.ones_like(y) for y in inputs.values]
        vars(inputs)["seeds"] = unit
        for g, e in zip(inputs.gradients(), expected):
            assert np.array_equal(g, np.broadcast_to(e, g.shape)), inputs.fails(f"gradient {g}, the table says {e}")
        for lone in [] if among_entries else inputs.active:
            found = slopes(inputs.weighed, inputs.leaves, lone, 1e-6)
            low, high = sorted([found.left.item(), found.right.item()])
            nearest = min(max(0.0, low), high)
            leaves = [Tensor(x, requires_grad=i == lone) for i, x in enumerate(inputs.leaves)]
            (g,) = autograd.grad(inputs.outputs(leaves), leaves[lone], unit)
            assert abs(g.item() - nearest) < 1e-6, inputs.fails(f"gradient {g}, between {low} and {high}")
