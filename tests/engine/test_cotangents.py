"""Cotangents on their way: what leaves and arrives, in whose memory it is added up, and sums over broadcast axes."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from slopes import fail, leaf

import tinygrad_nn as tg
from tinygrad_nn.engine.cotangents import SMALL, Cotangents, owned, project
from tinygrad_nn.engine.grad_mode import recording_rules
from tinygrad_nn.engine.node import Node, record
from tinygrad_nn.errors import DtypeError
from tinygrad_nn.tensor.handle import make

RULE = SimpleNamespace(argument="x")


def node(shape: tuple[int, ...] = (2,), dtype: Any = np.float64) -> Node:
    return record(SimpleNamespace(name="some"), (), None, np.empty(shape, dtype))


def cotangents() -> Cotangents:
    return Cotangents({}, make, False)


def address(array: Any) -> int:
    found: int = array.__array_interface__["data"][0]
    return found


# What leaves.


def test_what_has_arrived_leaves_once() -> None:
    n, c = node(), np.array([1.0, 2.0])
    found = Cotangents({n: c}, make, False)
    assert found.leave(n) is c
    assert n not in found
    assert found.leave(n) is None


def test_a_node_that_nothing_reached_runs_no_hook() -> None:
    n = node()
    n.hooks = {0: fail}
    assert cotangents().leave(n) is None


# What arrives.


def test_the_first_cotangent_is_kept_as_it_is_and_the_next_are_added() -> None:
    n, c = node(), np.array([1.0, 2.0])
    found = cotangents()
    found.arrive(n, c, n, RULE)
    assert found[n] is c
    found.arrive(n, np.array([10.0, 20.0]), n, RULE)
    found.arrive(n, np.array([100.0, 200.0]), n, RULE)
    np.testing.assert_array_equal(found[n], [111.0, 222.0])
    np.testing.assert_array_equal(c, [1.0, 2.0])


def test_what_arrives_gets_the_shape_and_dtype_of_its_node() -> None:
    n = node((2,), np.float32)
    found = cotangents()
    found.arrive(n, np.array([[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]]), n, RULE)
    found.arrive(n, np.array([100.0, 200.0]), n, RULE)
    assert found[n].dtype == np.float32
    np.testing.assert_array_equal(found[n], [121.0, 242.0])


def test_a_large_sum_is_made_in_memory_that_nobody_else_holds() -> None:
    n = node((SMALL + 1,))
    found = cotangents()
    found.arrive(n, np.full(SMALL + 1, 1.0), n, RULE)
    before = address(found[n])
    found.arrive(n, np.full(SMALL + 1, 2.0), n, RULE)
    assert address(found[n]) == before
    np.testing.assert_array_equal(found[n], np.full(SMALL + 1, 3.0))


def test_a_small_sum_is_made_in_memory_of_its_own() -> None:
    n = node((SMALL,))
    found = cotangents()
    found.arrive(n, np.full(SMALL, 1.0), n, RULE)
    before = address(found[n])
    found.arrive(n, np.full(SMALL, 2.0), n, RULE)
    assert address(found[n]) != before
    np.testing.assert_array_equal(found[n], np.full(SMALL, 3.0))


@pytest.mark.parametrize("part", [slice(None), slice(0, SMALL + 1)], ids=["held by a caller", "a view"])
def test_memory_that_somebody_else_holds_is_not_written_to(part: slice) -> None:
    n, whole = node((SMALL + 1,)), np.full(SMALL + 1, 1.0)
    found = cotangents()
    found.arrive(n, whole if part == slice(None) else whole[part], n, RULE)
    found.arrive(n, np.full(SMALL + 1, 2.0), n, RULE)
    np.testing.assert_array_equal(whole, np.full(SMALL + 1, 1.0))
    np.testing.assert_array_equal(found[n], np.full(SMALL + 1, 3.0))


# Rules that add into a buffer.


def add_seven(buffer: Any, g: Any, index: Any) -> None:
    buffer[index] += 7 * g


ADDS = SimpleNamespace(into=add_seven, into_slots=[0])


def test_a_rule_adds_into_memory_that_nobody_else_holds() -> None:
    n = node((3,))
    found = cotangents()
    found.arrive(n, np.array([1.0, 2.0, 3.0]), n, RULE)
    before = address(found[n])
    found.add_into(n, ADDS, 10.0, (1,))
    assert address(found[n]) == before
    np.testing.assert_array_equal(found[n], [1.0, 72.0, 3.0])


def test_a_rule_adds_into_a_copy_of_what_somebody_else_holds() -> None:
    n, seed = node((3,)), np.array([1.0, 2.0, 3.0])
    found = Cotangents({n: seed}, make, False)
    found.add_into(n, ADDS, 10.0, (1,))
    np.testing.assert_array_equal(found[n], [1.0, 72.0, 3.0])
    np.testing.assert_array_equal(seed, [1.0, 2.0, 3.0])


def test_a_rule_that_adds_to_a_numpy_scalar_adds_to_an_array_of_the_nodes_dtype() -> None:
    n = node((), np.float32)
    found = Cotangents({n: np.float64(2.0)}, make, False)
    found.add_into(n, ADDS, 1.0, ((),))
    assert isinstance(found[n], np.ndarray)
    assert found[n].dtype == np.float32
    assert found[n] == 9.0


# Hooks.


def hooked(n: Node, *hooks: Callable[[Any], Any]) -> Node:
    n.hooks = dict(enumerate(hooks))
    return n


def test_each_hook_sees_what_the_one_before_returned() -> None:
    n = hooked(node(), lambda g: g + 1, lambda g: None, lambda g: g * 10)
    found = Cotangents({n: np.array([1.0, 2.0])}, make, False).leave(n)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, [20.0, 30.0])


def test_a_hook_is_handed_a_tensor_that_is_private_to_it() -> None:
    handed: list[Any] = []

    def vandal(g: Any) -> None:
        handed.append(g)
        g.data[...] = 99.0

    c = np.array([1.0, 2.0])
    n = hooked(node(), vandal)
    assert Cotangents({n: c}, make, False).leave(n) is c
    np.testing.assert_array_equal(c, [1.0, 2.0])
    assert isinstance(handed[0], tg.Tensor)


def test_what_a_hook_returns_gets_the_nodes_dtype_and_is_the_engines_own() -> None:
    mine = np.array([3.0, 4.0])
    n = hooked(node((2,), np.float32), lambda g: mine)
    found = Cotangents({n: np.ones(2, np.float32)}, make, False).leave(n)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [3.0, 4.0])
    assert not np.shares_memory(found, mine)


def test_a_hook_that_returns_another_shape_is_an_error_that_names_both() -> None:
    n = hooked(node(), lambda g: np.ones(3))
    with pytest.raises(ValueError, match=r"a hook returned has shape \(3,\), its tensor \(2,\); pass one"):
        Cotangents({n: np.ones(2)}, make, False).leave(n)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(("returned", "message"), [(np.ones(2, complex), "complex"), ("no", "can't be made a tensor")])
def test_a_hook_that_returns_no_real_numbers_is_an_error(returned: Any, message: str, create_graph: bool) -> None:
    n = hooked(node(), lambda g: returned)
    with pytest.raises(DtypeError, match=message):
        Cotangents({n: make(np.ones(2), None) if create_graph else np.ones(2)}, make, create_graph).leave(n)


@pytest.mark.parametrize("returned", [np.array([True, True]), [1, 1]])
def test_a_hook_may_return_booleans_or_integers(returned: Any) -> None:
    n = hooked(node(), lambda g: returned)
    np.testing.assert_array_equal(Cotangents({n: np.zeros(2)}, make, False).leave(n), [1.0, 1.0], strict=True)


def test_with_create_graph_what_a_hook_returns_stays_recorded() -> None:
    n, g = hooked(node(), lambda g: g * g), leaf([3.0, 4.0])
    found = Cotangents({n: g}, make, True).leave(n)
    (slope,) = tg.autograd.grad(found.sum(), g)
    assert slope is not None
    np.testing.assert_array_equal(slope.data, [6.0, 8.0])


def test_a_hook_is_no_rule_and_may_read_arrays() -> None:
    n = hooked(node(), lambda g: np.asarray(g.data) * 2)
    with recording_rules():
        found = Cotangents({n: leaf([3.0, 4.0]) * 1}, make, True).leave(n)
    np.testing.assert_array_equal(found.data, [6.0, 8.0])


# Sums over what was broadcast.

# The cotangent's entries are 1, 2, 3, ... in order; the sums are worked out by hand.
SUMS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Any]] = {
    "nothing": ((2, 2), (2, 2), [[1, 2], [3, 4]]),
    "a vector to a number": ((4,), (), 10),
    "a matrix to a number": ((2, 3), (), 21),
    "a vector to one entry": ((4,), (1,), [10]),
    "a matrix to one entry": ((2, 3), (1, 1), [[21]]),
    "a matrix to one entry of a vector": ((2, 3), (1,), [21]),
    "rows": ((2, 3), (3,), [5, 7, 9]),
    "as many rows as columns": ((2, 2), (2,), [4, 6]),
    "rows of rows": ((2, 2, 3), (3,), [22, 26, 30]),
    "a stack of matrices": ((2, 2, 2), (2, 2), [[6, 8], [10, 12]]),
    "rows that stay": ((2, 3), (1, 3), [[5, 7, 9]]),
    "columns that stay": ((2, 3), (2, 1), [[6], [15]]),
    "a middle axis": ((2, 2, 2), (2, 1, 2), [[[4, 6]], [[12, 14]]]),
    "the last axis of three": ((2, 2, 2), (2, 2, 1), [[[3], [7]], [[11], [15]]]),
    "the outer axes": ((2, 2, 2), (1, 2, 1), [[[14], [22]]]),
    "a new axis and the last": ((2, 3, 2), (3, 1), [[18], [26], [34]]),
    "a new axis and a middle one": ((2, 3, 2), (1, 2), [[36, 42]]),
    "axes of one entry": ((1, 1, 3), (3,), [1, 2, 3]),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("case", SUMS)
def test_a_cotangent_is_summed_over_what_was_broadcast(case: str, dtype: Any) -> None:
    wide, shape, expected = SUMS[case]
    c = np.arange(1, 1 + np.prod(wide, dtype=int)).reshape(wide).astype(dtype)
    found = project(c, node(shape, dtype), node(), RULE)
    assert found.shape == shape
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def test_what_fits_is_handed_on_and_not_copied() -> None:
    c = np.array([1.0, 2.0])
    assert project(c, node(), node(), RULE) is c


@pytest.mark.parametrize("case", SUMS)
def test_a_sum_with_create_graph_is_recorded(case: str) -> None:
    wide, shape, expected = SUMS[case]
    c = leaf(np.arange(1.0, 1 + np.prod(wide, dtype=int)).reshape(wide))
    found = project(c, node(shape), node(), RULE)
    np.testing.assert_array_equal(found.data, expected)
    (slope,) = tg.autograd.grad(found, c, np.full(shape, 2.0))
    assert slope is not None
    np.testing.assert_array_equal(slope.data, np.full(wide, 2.0))


@pytest.mark.parametrize(
    ("wide", "shape"),
    [((0,), ()), ((0, 3), (3,)), ((3, 0), (0,)), ((2, 3, 0), (0,)), ((3, 0), (3, 1)), ((0, 3), (1, 3)), ((0,), (1,))],
)
def test_a_sum_of_no_entries_is_zero(wide: tuple[int, ...], shape: tuple[int, ...]) -> None:
    found = project(np.empty(wide), node(shape), node(), RULE)
    assert found.shape == shape
    np.testing.assert_array_equal(found, np.zeros(shape))


@pytest.mark.parametrize("length", [64, 65, 300])
def test_long_last_axes_are_summed_too(length: int) -> None:
    c = np.ones((2, length))
    c[1] = 3.0
    np.testing.assert_array_equal(project(c, node((2, 1)), node(), RULE), [[length], [3.0 * length]])


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_sums_of_float16_neither_overflow_on_the_way_nor_lose_digits(shape: tuple[int, ...]) -> None:
    c = np.array([[60000.0, 1.0], [60000.0, 2048.0], [-60000.0, 1.0]], np.float16)
    found = project(c, node(shape, np.float16), node(), RULE)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found.ravel(), [60000.0, 2050.0])  # one more than 2048 is 2048 in float16


@pytest.mark.parametrize(
    ("wide", "shape"),
    [((3,), (2,)), ((2,), (3, 2)), ((), (1,)), ((3, 2), (3,)), ((1,), (2,)), ((2, 3), (2, 2)), ((1,), (0,))],
)
def test_a_shape_that_nothing_was_broadcast_to_is_an_error_that_names_both(
    wide: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    kind = f"returned ndarray of shape {wide}"
    said = f"the rule of 'some' for 'x' {kind}, which can't be summed to the input's shape {shape}; return the"
    with pytest.raises(ValueError, match=re.escape(said)):
        project(np.ones(wide), node(shape), node(), RULE)


# Whose memory an array is.

OWNED: dict[str, tuple[Callable[[], Any], bool]] = {
    "a new array": (lambda: np.ones(3), True),
    "a new array of one number": (lambda: np.array(1.0), True),
    "a new array of no entries": (lambda: np.empty(0), True),
    "a NumPy scalar": (lambda: np.float64(1.0), False),
    "a slice": (lambda: np.ones(3)[1:], False),
    "a view in another shape": (lambda: np.ones(4).reshape(2, 2), False),
    "a broadcast view": (lambda: np.broadcast_to(np.float64(1.0), (3,)), False),
    "another's memory": (lambda: np.frombuffer(bytearray(8)), False),
    "a subclass": (lambda: np.ma.ones(3), False),
    "a tensor": (lambda: tg.ones(3), False),
}


@pytest.mark.parametrize("case", OWNED)
def test_an_array_is_owned_if_its_memory_is_nobody_elses(case: str) -> None:
    made, expected = OWNED[case]
    array = made()
    found = owned(array)
    assert found is expected


def test_an_array_that_is_held_twice_is_not_owned() -> None:
    array = np.ones(3)
    held = [array]
    twice = owned(array)
    held.clear()
    once = owned(array)
    assert (twice, once) == (False, True)
    view = array[:]
    viewed = owned(array)
    assert viewed is False
    assert view.base is array


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_long_sum_to_one_entry_keeps_its_digits(shape: tuple[int, ...]) -> None:
    """Added one after the other, a million float32 numbers lose half of the digits."""
    c = np.full((10**6, *shape), 0.1, np.float32)
    found = project(c, node(shape, np.float32), node(c.shape, np.float32), RULE)
    assert found.shape == shape
    np.testing.assert_allclose(found, np.float32(0.1) * 1e6, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8])
def test_what_a_rule_returns_in_a_narrow_dtype_is_counted(dtype: Any) -> None:
    """A product of booleans with ones would say whether there is any, one of int8 numbers would overflow."""
    c, parent = np.ones((200, 3), dtype), node((3,))
    found = project(c, parent, node(c.shape), RULE)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [200.0, 200.0, 200.0])
