"""check_op: every kind of mistake in an operation is found and told with a small example."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.tensor.declaring import PUBLIC, primitive
from tinygrad_nn.testing import PROPERTIES, cases_of, check_op, sample


@pytest.fixture(autouse=True)
def own_names() -> Iterator[None]:
    """Forget the operations that a test declares."""
    before = dict(OPERATIONS), dict(PUBLIC)
    yield
    for registry, known in zip((OPERATIONS, PUBLIC), before):
        registry.clear()
        registry.update(known)


def declared(forward: Any, *rules: Any, **options: Any) -> Any:
    call = primitive(method=False, **options)(forward)
    if rules:
        call.vjp(*rules)
    return call


def third_power(x: Any, /, scale: float = 1.0) -> Any:
    return scale * x * x * x


def scaled_product(x: Any, w: Any, /, scale: float = 1.0) -> Any:
    return scale * (x @ w)


CUBE = (lambda g, x, scale: g * (3 * scale * x * x),)
PRODUCT = (lambda g, w, scale: scale * (g @ w.T), lambda g, x, scale: scale * (x.T @ g))


def said(*args: Any, **options: Any) -> str:
    """Return what check_op says about an operation that is wrong."""
    with pytest.raises(AssertionError) as caught:
        check_op(*args, **options)
    return str(caught.value)


def test_an_operation_of_one_s_own_gets_the_library_s_test_in_one_line() -> None:
    call = declared(third_power, *CUBE)
    call.samples = [sample((2, 3), scale=2.0)]
    check_op(call)
    check_op(declared(scaled_product, *PRODUCT), inputs=[((4, 3), (3, 5))])


@pytest.mark.parametrize("function", [tg.tanh, tg.maximum, tg.sum, tg.matmul, tg.floor, tg.clip, tg.split, tg.mean])
def test_the_library_s_own_operations_pass(function: Any) -> None:
    check_op(function)


def test_a_function_and_its_reference() -> None:
    check_op(lambda x, y: x * tg.exp(y), lambda x, y: x * np.exp(y), inputs=[((2, 3), (3,)), (np.ones(2), np.ones(1))])
    check_op(lambda x: tg.tanh(x), inputs=[np.ones(3)])


def test_a_sum_that_cancels_has_few_digits_and_a_wrong_one_has_none() -> None:
    x = np.array([1.0, 1e-3, -1.0, 1e-9])
    check_op(lambda x: tg.sum(x), lambda x: (x[0] + x[2]) + (x[1] + x[3]), inputs=[x])
    assert "is not" in said(lambda x: tg.sum(x) * (1 + 1e-14), lambda x: x[0] + x[1], inputs=[np.array([0.5, 0.25])])


def test_the_message_names_operation_property_and_a_small_example() -> None:
    wrong = declared(scaled_product, lambda g, w: g @ w.T, PRODUCT[1])
    text = said(wrong, inputs=[sample((4, 3), (3, 5), scale=2.0)])
    for part in (
        "'scaled_product' fails the check 'gradient'",
        "sample 0:4x3,3x5, made smaller (shapes [(1, 1), (1, 1)], {'scale': 2.0}): gradient of input 0 is [[",
        "by central differences [[",
        "example: scaled_product(array([[",
        "scale=2.0)",
        "fails too: complex step, second order",
    ):
        assert part in text, text
    assert len(text) < 600


def test_a_mistake_that_the_given_calls_do_not_show_is_found_at_their_limits() -> None:
    """A rule that fails for empty arrays is found, though none was given; one that refuses them is left alone."""

    def rule(g: Any, x: Any) -> Any:
        return g * x.flat[0] / x.flat[0] if type(x) is np.ndarray else g

    assert "(shapes [(0,)], {}): IndexError" in said(
        declared(lambda x, /: x + 1, rule, name="one_more"), inputs=[((3,),)]
    )


def forward_of(name: str, function: Any) -> Any:
    """Return a function of one input with a name that operations may have."""

    def forward(x: Any, /) -> Any:
        return function(x)

    forward.__name__ = name
    return forward


def writes(g: Any) -> Any:
    g *= 2
    return g


def detached_slope(g: Any, y: Any) -> Any:
    return g * (1 - (y.detach() if isinstance(y, tg.Tensor) else y) * y)


WRONG: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "value": (lambda x: 2 * x, lambda x: 2 * x + 1e-9, lambda g: g * 2, {}),
    "gradient": (lambda x: 2 * x, None, lambda g: g * 2.00001, {}),
    "second order": (np.tanh, None, detached_slope, {}),
    "purity": (lambda x: 2 * x, None, writes, {}),
    "masks": (lambda x: np.fmax(x, -5.0), None, lambda g: g * 1, {}),
    "float32": (lambda x: x.astype(float) * 2, None, lambda g: g * 2, {}),
    "strided": (lambda x: x * (2 if x.flags.c_contiguous else 3), None, lambda g: g * 2, {}),
    "stride 0": (lambda x: x * (3 if 0 in x.strides else 2), None, lambda g: g * 2, {}),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_kind_of_mistake_is_found(name: str) -> None:
    forward, reference, rule, options = WRONG[name]
    call = declared(forward_of("mistaken", forward), rule, **options)
    text = said(call, reference, inputs=[((2, 3),)])
    assert f"fails the check {name!r}" in text or name in text.partition("fails too: ")[2].split(", "), text


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("in place", lambda a, b: tg.add(a, b) * 1.0),
        ("constant operand", lambda a, b: tg.add(a, b) if isinstance(a, tg.Tensor) else tg.add(a, b).detach()),
        ("no rule", tg.exp),
        ("keywords", lambda x, **ignored: tg.exp(x)),
        ("counted arguments", lambda x, *ignored: tg.exp(x)),
        ("errors", lambda x: tg.Tensor(np.exp(x.data))),
        ("ownership", tg.exp),
    ],
)
def test_every_kind_of_broken_call_is_found(name: str, broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    function: Any = {"in place": tg.add, "constant operand": tg.add, "no rule": tg.floor}.get(name, tg.exp)
    if name == "in place":
        monkeypatch.setattr(tg.Tensor, "__iadd__", lambda self, other: tg.add(self, other))
        broken = function
    if name == "ownership":
        monkeypatch.setattr("tinygrad_nn.engine.reverse.owned", lambda array: True)
        broken = lambda x: tg.reshape(x, x.shape)  # noqa: E731
    with pytest.raises(AssertionError, match=function.operation.name):
        for case in cases_of(function):
            PROPERTIES[name](replace(case, call=broken))


def test_a_declared_kink_that_is_wrong_is_found() -> None:
    def rule(g: Any, x: Any) -> Any:
        return g * (x >= 0)

    call = primitive(method=False, pointwise=True, kinks={0: 0})(forward_of("ramp", lambda x: np.maximum(x, 0)))
    call.vjp(rule)
    assert "the table says 0" in said(call)


def test_what_cannot_be_checked_says_what_to_pass() -> None:
    with pytest.raises(ValueError, match=r"'third_power' has no samples to check it on; pass inputs=\[\.\.\.\]"):
        check_op(declared(third_power, *CUBE))
    with pytest.raises(ValueError, match=r"hold no array; each is a tuple of arguments: write \(\(2, 3\),\)"):
        check_op(tg.tanh, inputs=[(4, 3)])
