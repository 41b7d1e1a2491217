"""NumPy's functions that write into their first argument, on tensors: its values, and slopes of every order."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from looped import looped

import tinygrad_nn as tg
from tinygrad_nn.errors import InplaceError
from tinygrad_nn.testing import check_agreement as check

np: Any = numpy  # what is tested is what NumPy does with a Tensor, whatever its stubs say

MASK = np.array([[True, False, True], [False, True, True]])
CALLS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Any]] = {
    "copyto": ((2, 3), (3,), np.copyto),
    "copyto 0-d": ((), (), np.copyto),
    "copyto where": ((2, 3), (2, 1), lambda t, v: np.copyto(t, v, where=MASK[0])),
    "copyto number": ((2, 3), (0,), lambda t, v: np.copyto(t, 2.5, where=MASK)),
    "putmask": ((2, 3), (2, 3), lambda t, v: np.putmask(t, MASK, v)),
    "putmask repeated": ((2, 3), (2,), lambda t, v: np.putmask(t, MASK, v)),
    "putmask flat mask": ((2, 3), (), lambda t, v: np.putmask(t, MASK.ravel(), v)),
    "putmask nothing": ((2, 3), (0,), lambda t, v: np.putmask(t, MASK, v)),
    "place": ((2, 3), (5,), lambda t, v: np.place(t, MASK, v)),
    "place repeated": ((2, 3), (3,), lambda t, v: np.place(t, MASK, v)),
    "place nowhere": ((2, 3), (0,), lambda t, v: np.place(t, MASK & False, v)),
    "put": ((2, 3), (2, 2), lambda t, v: np.put(t, [[4, 0], [-1, 2]], v)),
    "put twice": ((2, 3), (3,), lambda t, v: np.put(t, [1, 3, 1], v)),
    "put repeated": ((2, 3), (2,), lambda t, v: np.put(t, [0, 1, 2, 5], v)),
    "put wrapped": ((2, 3), (2,), lambda t, v: np.put(t, [7, -8], v, mode="wrap")),
    "put clipped": ((2, 3), (2,), lambda t, v: np.put(t, [7, -8], v, mode="clip")),
    "put 0-d": ((), (1,), lambda t, v: np.put(t, 0, v)),
    "put nothing": ((2, 3), (0,), lambda t, v: np.put(t, [1], v)),
    "fill_diagonal": ((2, 3), (), np.fill_diagonal),
    "fill_diagonal tall": ((7, 2), (3,), np.fill_diagonal),
    "fill_diagonal wrapped": ((7, 2), (3,), lambda t, v: np.fill_diagonal(t, v, wrap=True)),
    "fill_diagonal of a cube": ((3, 3, 3), (2,), np.fill_diagonal),
    "fill_diagonal too long": ((2, 2), (5,), np.fill_diagonal),
    "fill_diagonal empty": ((0, 0), (1,), np.fill_diagonal),
    "add.at": ((2, 3), (3, 1), lambda t, v: np.add.at(t, (np.array([1, 0, 1]), slice(1, None)), v)),
    "subtract.at": ((3,), (2, 2), lambda t, v: np.subtract.at(t, [[0, 2], [-1, 2]], v)),
    "multiply.at": ((3,), (4,), lambda t, v: np.multiply.at(t, [2, 0, 2, 2], v)),
    "divide.at": ((2, 3), (3,), lambda t, v: np.divide.at(t, [1, 1], v)),
    "negative.at": ((2, 3), (), lambda t, v: np.negative.at(t, MASK)),
    "maximum.at nothing": ((2, 3), (), lambda t, v: np.maximum.at(t, (np.zeros(0, int), 1), v)),
    "put_along_axis": ((2, 3), (2, 1), lambda t, v: np.put_along_axis(t, np.array([[2], [0]]), v, -1)),
    "put_along_axis flat": ((2, 3), (2,), lambda t, v: np.put_along_axis(t, np.array([0, -1]), v, None)),
}


def after(call: Any) -> Any:
    """Return the function of a target and of values that depends on what a copy of the target is after the call."""

    def function(x: Any, values: Any) -> Any:
        t = x * 1 if isinstance(x, tg.Tensor) else np.array(x, subok=True)
        assert call(t, values * values) is None
        return t * t + values.sum()

    return function


@pytest.mark.parametrize("name", CALLS)
def test_writing_is_numpys_and_is_differentiated(name: str) -> None:
    target, values, call = CALLS[name]
    rng = np.random.default_rng(5)
    x, v = rng.uniform(0.5, 2.0, target), rng.uniform(0.5, 2.0, values)
    check(after(call), looped(after(call)), [x, v], exact=name != "add.at")  # which adds up repeated ones first


@pytest.mark.parametrize("name", CALLS)
def test_older_graphs_keep_their_values_and_the_dtype_stays(name: str) -> None:
    target, values, call = CALLS[name]
    x = tg.tensor(np.full(target, 3.0, np.float32), requires_grad=True)
    t = x * 1
    held, before = t, t * t
    call(t, np.ones(values))
    assert held is t
    assert t.dtype == np.float32
    (g,) = tg.autograd.grad(before.sum(), x)
    assert g is not None
    assert (g.data == 6).all()


@pytest.mark.parametrize("name", ["copyto", "putmask", "place", "put", "fill_diagonal", "put_along_axis", "add.at"])
def test_what_cannot_be_written_is_refused(name: str) -> None:
    call = CALLS[name][2]
    x, v = tg.ones((2, 3), requires_grad=True), tg.ones(CALLS[name][1], requires_grad=True)
    with pytest.raises(InplaceError, match="leaf"):
        call(x, v)
    with tg.no_grad():
        call(x, v * 2)
    assert x.is_leaf
    assert (x.data != 1).any()
    with pytest.raises(TypeError, match=r"into a NumPy array; make that a tensor by tg\.tensor\(array\)|lose the grad"):
        call(np.ones((2, 3)), v)
    with pytest.raises(TypeError, match="dtype"):
        call(tg.ones((2, 3), dtype=int), v)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda t: np.copyto(t, 1.0, casting="unsafe"), TypeError, "same_kind.*astype"),
        (lambda t: np.copyto(t, np.ones(4)), ValueError, "broadcast"),
        (lambda t: np.place(t, [True, False], 1.0), ValueError, "size 6, not 2"),
        (lambda t: np.place(t, MASK, []), ValueError, "at least one value"),
        (lambda t: np.putmask(t, [True, False], 1.0), ValueError, "reshape"),
        (lambda t: np.put(t, [6], 1.0), IndexError, "out of bounds"),
        (lambda t: np.put(t, [0], 1.0, mode="near"), ValueError, "'wrap' or 'clip'"),
        (lambda t: np.fill_diagonal(t.ravel(), 1.0), ValueError, r"\(6,\)"),
        (lambda t: np.fill_diagonal(t[None], 1.0), ValueError, "one length"),
    ],
)
def test_mistakes_are_named_and_change_nothing(call: Any, error: Any, text: str) -> None:
    t = tg.zeros((2, 3), requires_grad=True) * 1
    with pytest.raises(error, match=text):
        call(t)
    assert not t.data.any()


def test_put_along_axis_assigns_as_an_index_does() -> None:
    x, v = (tg.tensor(rows, requires_grad=True) for rows in ([[3.0, 1.0], [5.0, 6.0]], [[10.0], [20.0]]))
    t = x * 2
    before = t * 1
    np.put_along_axis(t, np.array([[1], [0]]), v, 1)
    assert t.tolist() == [[6.0, 10.0], [20.0, 12.0]]
    assert before.tolist() == [[6.0, 2.0], [10.0, 12.0]]
    gx, gv = tg.autograd.grad((t * t).sum(), [x, v])
    assert gx is not None
    assert gv is not None
    assert gx.tolist() == [[24.0, 0.0], [0.0, 48.0]]
    assert gv.tolist() == [[20.0], [40.0]]
    flat = x * 1
    tg.put_along_axis(flat, [0, -1], 7.0, None)
    assert flat.tolist() == [[7.0, 1.0], [5.0, 7.0]]
    with pytest.raises(InplaceError, match="leaf"):
        tg.put_along_axis(x, [[0]], 1.0, 1)
    with pytest.raises(TypeError, match=r"tg\.tensor\(array\)"):
        np.put_along_axis(np.ones((1, 2)), np.array([[0]]), v, 1)
