"""Operations that take several lines are calls by the operation's name, forward as backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from listings import agree, run

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.primitive import primitive

x = np.random.RandomState(0).randn(4, 3)


def text_of(function: Any, *args: Any) -> str:
    compiled = tg.compile(function)
    right = compiled(*args)
    agree(run(compiled.explain()), right, 16)
    return compiled.explain()


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sigmoid", "silu", "gelu"])
def test_an_operation_is_one_line_and_its_lines_a_function(name: str) -> None:
    text = text_of(lambda x: getattr(tg, name)(x), x)
    assert text.count(f"    result1 = {name}(x)") == 1
    assert f'def {name}(x):\n    """Return ' in text


@pytest.mark.parametrize("name", ["relu", "elu", "leaky_relu", "softplus"])
def test_one_expression_is_written_where_it_is_used(name: str) -> None:
    text = text_of(lambda x: getattr(tg, name)(x), x)
    assert text.count("def ") == 1
    assert text.count("result1 = np.") == 1


def test_a_rule_of_several_lines_is_a_function_of_what_the_rule_reads() -> None:
    text = text_of(tg.grad(lambda x: (tg.gelu(x) ** 2).sum()), x)
    assert "def gelu_vjp(g, x):" in text
    assert "    # dL/dx = dL/dgelu1 ∘ gelu'(x)\n    dx = gelu_vjp(dgelu1, x) " in text


def test_equal_spans_share_a_function_and_others_have_one_of_their_own() -> None:
    text = text_of(lambda x: tg.softmax(x) + tg.softmax(2 * x) + tg.softmax(x, axis=0), x)
    assert text.count("def softmax") == 2
    assert "softmax(x) + softmax(2 * x) + softmax_2(x)" in text


def test_an_operation_inside_a_rule_is_a_call_there() -> None:
    text = text_of(tg.grad(lambda z: tg.cross_entropy(z, np.array([0, 2, 1, 1]))), x)
    assert "    loss = softmax_cross_entropy(z" in text
    assert "    dz = (softmax(z) - " in text


def test_what_the_derivative_of_a_derivative_reads_is_not_hidden() -> None:
    function = tg.grad(lambda x: (tg.grad(lambda x: tg.exp(x).sum())(x) ** 2).sum())
    text = text_of(function, x)
    assert "dL2/dexp1" in text


def test_the_users_own_operation_is_called_by_its_name() -> None:
    @primitive(name="test_spans_bump", method=False)
    def bump(x: Any, /) -> Any:
        """Return a bump. Shapes: (...) -> (...)."""
        e = np.exp(-(x * x))
        return e / (1 + e)

    del OPERATIONS["test_spans_bump"]  # the other tests are over the library's own
    assert 'def test_spans_bump(x):\n    """Return a bump."""\n    exp1 = np.exp(-(x * x))\n' in text_of(
        lambda x: bump(x), x
    )
