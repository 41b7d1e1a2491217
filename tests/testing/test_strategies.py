"""The strategies: they draw what they say, of every kind, and failures shrink."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from tanh import doubled

import tinygrad_nn as tg
from tinygrad_nn.testing import planted_rule

FOUND: dict[str, Any] = {
    "0-d": lambda x: x.ndim == 0,
    "size 0": lambda x: x.size == 0,
    "three axes": lambda x: x.ndim == 3,
    "float16": lambda x: x.dtype == np.float16,
    "float32": lambda x: x.dtype == np.float32,
    "float64": lambda x: x.dtype == np.float64,
    "read-only": lambda x: not x.flags.writeable,
    "negative strides": lambda x: any(stride < 0 for stride in x.strides),
    "Fortran order": lambda x: x.flags.f_contiguous and not x.flags.c_contiguous,
    "no contiguous order": lambda x: not x.flags.f_contiguous and not x.flags.c_contiguous and min(x.strides) > 0,
}
SHRUNK = settings(max_examples=5000, derandomize=True, database=None)
SEARCH = settings(SHRUNK, phases=[Phase.generate])


@pytest.mark.parametrize("kind", FOUND)
def test_arrays_are_of_every_kind(kind: str) -> None:
    find(tg.testing.arrays(), FOUND[kind], settings=SEARCH)
    group = find(tg.testing.broadcastable(3), lambda xs: any(map(FOUND[kind], xs)), settings=SEARCH)
    assert len({x.dtype for x in group}) == 1


@given(x=tg.testing.arrays(dtype="float64", domain=(0.5, 1.0)), t=tg.testing.tensors((2, 3), "float32"))
def test_entries_lie_in_the_domain_and_none_are_tied(x: Any, t: tg.Tensor) -> None:
    assert ((x > 0.5) & (x < 1.0)).all()
    assert len(np.unique(x)) == x.size
    assert (t.shape, t.dtype, t.requires_grad) == ((2, 3), np.float32, True)


@given(tg.testing.broadcastable(3))
def test_groups_broadcast_and_have_no_ties(group: tuple[Any, ...]) -> None:
    np.broadcast_arrays(*group)
    entries = np.concatenate([x.ravel() for x in group])
    assert len(np.unique(entries)) == entries.size


@given(data=st.data(), shape=tg.testing.shapes())
def test_axes_and_indices_are_numpys(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = np.zeros(shape)
    np.sum(x, axis=data.draw(tg.testing.axes(x.ndim)))
    x[data.draw(tg.testing.indices(shape))]


@pytest.mark.parametrize(
    "kind",
    [
        lambda i: isinstance(i, tuple) and any(isinstance(p, np.ndarray) and p.dtype == int for p in i),
        lambda i: isinstance(i, tuple) and any(isinstance(p, np.ndarray) and p.dtype == bool for p in i),
        lambda i: isinstance(i, np.ndarray) and i.shape == (3, 2),
        lambda i: isinstance(i, tuple) and None in [p for p in i if not isinstance(p, np.ndarray)],
        lambda i: isinstance(i, tuple) and any(isinstance(p, slice) and (p.step or 1) < 0 for p in i),
        lambda i: isinstance(i, tuple) and any(isinstance(p, int) and p < 0 for p in i),
    ],
    ids=["integers", "mask of an axis", "mask", "None", "negative step", "negative integer"],
)
def test_indices_are_of_every_kind(kind: Any) -> None:
    find(tg.testing.indices((3, 2)), kind, settings=SEARCH)


@pytest.mark.parametrize("function", [tg.abs, tg.log, tg.hypot, tg.relu, tg.remainder])
@given(data=st.data())
def test_points_are_away_from_kinks_and_in_the_domain(function: Any, data: st.DataObject) -> None:
    op = function.operation
    operands = data.draw(tg.testing.points(function))
    assert len(operands) == len(op.arguments)
    kinks = [k for k in op.kinks if np.ndim(k) == 0]
    assert all(abs(x - k).min(initial=1) >= 0.1 for x in operands for k in kinks)
    assert all(((x >= op.domain[0]) & (x <= op.domain[1])).all() for x in operands)


@pytest.mark.parametrize("function", [tg.abs, tg.relu, tg.maximum, tg.minimum, tg.hypot])
@given(data=st.data())
def test_kink_points_have_the_declared_gradients(function: Any, data: st.DataObject) -> None:
    operands, expected = data.draw(tg.testing.kink_points(function))
    leaves = [tg.Tensor(x, requires_grad=True) for x in operands]
    function(*leaves).sum().backward()
    for leaf, e in zip(leaves, expected):
        assert leaf.grad is not None
        np.testing.assert_array_equal(leaf.grad.data, e)


@given(tg.testing.architectures(max_layers=3, max_width=4))
def test_an_architecture_makes_a_network(architecture: list[dict[str, Any]]) -> None:
    network = tg.nn.DenseNetwork(architecture)
    assert network(np.ones((2, architecture[0]["input_dim"]))).shape == (2, architecture[-1]["output_dim"])
    assert len(architecture) <= 3


@given(tg.testing.programs(max_steps=8))
def test_a_program_runs_on_tensors_and_says_what_it_does(program: Any) -> None:
    leaves = [tg.Tensor(x, requires_grad=True) for x in program.inputs]
    assert program.run(leaves).shape == ()
    assert str(program.steps[0]) in repr(program)


def test_a_failure_shrinks_to_a_small_example() -> None:
    """With tanh's rule wrong, the smallest program that shows it is found: one step on one number."""

    def wrong(program: Any) -> bool:
        leaves = [tg.Tensor(x, requires_grad=True) for x in program.inputs]
        y = program.run(leaves)
        right = tg.autograd.grad(y, leaves, retain_graph=True, allow_unused=True)
        with planted_rule("tanh", "x", doubled):
            found = tg.autograd.grad(y, leaves, allow_unused=True)
        return any(a is not None and not np.allclose(a.data, b.data) for a, b in zip(right, found))

    program = find(tg.testing.programs(min_steps=1), wrong, settings=SHRUNK)
    assert [step.name for step in program.steps] == ["tanh"]
    assert [x.shape for x in program.inputs] == [()]


def test_strategies_for_what_is_not_there_say_why() -> None:
    with pytest.raises(ValueError, match=r"'exp' declares no kinks; use tg\.testing\.points"):
        find(tg.testing.kink_points(tg.exp), lambda _: True)
    with pytest.raises(ValueError, match="'softmax' is not pointwise"):
        find(tg.testing.points(tg.softmax), lambda _: True)


def test_without_hypothesis_a_strategy_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import tinygrad_nn as tg\n"
        "tg.testing.check_op(tg.tanh)\n"
        "for name in ('arrays', 'programs'):\n"
        "    try: getattr(tg.testing, name)\n"
        "    except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    message = (
        f"the strategies of tg.testing need Hypothesis; install it with: {sys.executable} -m pip install hypothesis"
    )
    assert done.stdout.splitlines() == [message, message]
