"""The test kit that users get: each of its tools finds what it is there to find, and disturbs nobody else."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn import autodiff
from tinygrad_nn.operation import OPERATIONS
from tinygrad_nn.primitive import PUBLIC, primitive
from tinygrad_nn.testing import PROPERTIES, cases_of, check_op, mutate_rules, planted_rule, sample

SLOPE = 1 - np.tanh(1.0) ** 2


def slope() -> float:
    return float(tg.grad(tg.tanh)(1.0))


def doubled(g: Any, y: Any) -> Any:
    return 2 * g * (1 - y * y)


# ---- planted rules ----


def test_a_planted_rule_is_used_while_the_body_runs() -> None:
    declared = OPERATIONS["tanh"].rules
    with planted_rule(np.tanh, "x", doubled):
        assert slope() == 2 * SLOPE
        with planted_rule("tanh", "x", lambda g: 7 * g):
            assert slope() == 7.0
        assert slope() == 2 * SLOPE
    assert slope() == SLOPE
    assert OPERATIONS["tanh"].rules is declared


def test_a_planted_rule_counts_where_the_derivative_is_taken() -> None:
    x = tg.tensor(1.0, requires_grad=True)
    y = tg.tanh(x)
    with planted_rule(tg.tanh, "x", doubled):
        later = tg.tanh(x)
        assert tg.autograd.grad(y, x)[0].item() == 2 * SLOPE
    assert tg.autograd.grad(later, x)[0].item() == SLOPE


def test_an_error_ends_a_planted_rule() -> None:
    def fails() -> None:
        with planted_rule(tg.tanh, "x", doubled):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails()
    assert slope() == SLOPE


def test_other_threads_do_not_see_a_planted_rule() -> None:
    inside, done, seen = threading.Event(), threading.Event(), []

    def plants() -> None:
        with planted_rule(tg.tanh, "x", doubled):
            inside.set()
            done.wait(10)
            seen.append(slope())

    thread = threading.Thread(target=plants)
    thread.start()
    inside.wait(10)
    assert slope() == SLOPE
    with planted_rule(tg.tanh, "x", lambda g: 5 * g):
        assert slope() == 5.0
    done.set()
    thread.join()
    assert seen == [2 * SLOPE]
    assert isinstance(OPERATIONS["tanh"].rules, tuple)


def test_other_tasks_do_not_see_a_planted_rule() -> None:
    async def with_factor(k: float) -> float:
        with planted_rule(tg.tanh, "x", lambda g, y: k * g):
            await asyncio.sleep(0)
            return slope()

    async def without() -> float:
        await asyncio.sleep(0)
        return slope()

    async def all_three() -> list[float]:
        return list(await asyncio.gather(with_factor(3.0), without(), with_factor(4.0)))

    assert asyncio.run(all_three()) == [3.0, SLOPE, 4.0]


def test_a_planted_rule_differentiates_to_any_order_and_forwards() -> None:
    with planted_rule(tg.tanh, "x", lambda g, y: g * y * y):
        t = np.tanh(1.0)
        assert float(tg.grad(tg.grad(tg.tanh))(1.0)) == pytest.approx(2 * t**3, rel=1e-14)  # y' is by the rule, too
        assert float(tg.jvp(tg.tanh, (1.0,), (1.0,))[1]) == pytest.approx(t**2, rel=1e-14)


def test_a_rule_planted_for_one_input_leaves_the_other() -> None:
    with planted_rule(tg.multiply, "b", lambda g, a: -g * a):
        a, b = tg.grad(lambda a, b: a * b, argnums=(0, 1))(3.0, 5.0)
    assert (float(a), float(b)) == (5.0, -3.0)


def test_a_rule_planted_in_an_operation_on_many_inputs() -> None:
    xs = [tg.tensor([1.0], requires_grad=True), tg.tensor([2.0, 3.0], requires_grad=True)]
    join = OPERATIONS["join"]
    with planted_rule("join", "xs", lambda g, index_of_input, xs_shapes: np.full(xs_shapes[index_of_input], 9.0)):
        tg.concatenate(xs).sum().backward()
    assert [x.grad.tolist() for x in xs] == [[9.0], [9.0, 9.0]]  # type: ignore[union-attr]
    assert join.arguments == ("xs",)


def test_a_planted_rule_replaces_adding_in_place() -> None:
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with planted_rule("getitem", "x", lambda g, x_shape: np.full(x_shape, 4.0)):
        (x[0] + x[2]).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [8.0, 8.0, 8.0]


def test_a_planted_rule_that_reads_less_does_not_starve_the_declared_one() -> None:
    """What nodes keep is remembered by the operation: it must not be learnt from the planted rule."""
    operation = OPERATIONS["softmax"]
    operation._kept.clear()
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with planted_rule(operation, "x", lambda g: g):
        y = tg.softmax(x)
    y.backward([1.0, 0.0])
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([y.data[0] * y.data[1], -y.data[0] * y.data[1]], rel=1e-12)


@pytest.mark.parametrize(
    ("operation", "argument", "rule", "error", "match"),
    [
        ("tnah", "x", doubled, ValueError, "'tnah' is no operation; the nearest are .*tanh"),
        (tg.mean, "x", doubled, ValueError, "'mean' is composed of operations and has no rule of its own"),
        ("mean", "x", doubled, ValueError, "'mean' is composed of operations and has no rule of its own"),
        (np.mean, "x", doubled, ValueError, "'mean' is composed of operations and has no rule of its own"),
        (np.unique, "x", doubled, ValueError, "'unique' is no operation"),
        (tg.tanh, "a", doubled, ValueError, "'tanh' has no rule for an input named 'a'; it has rules for x"),
        (tg.floor, "x", doubled, ValueError, "'floor' has no rule for an input named 'x'; it has rules for none"),
        (tg.tanh, "x", lambda g, x: g * x, TypeError, "'tanh' for 'x' reads x, which is not kept; it may read g, y"),
        (tg.tanh, "x", lambda g, z: g * z, TypeError, r"a rule reads \['z'\]"),
    ],
)
def test_what_cannot_be_planted_says_why(operation: Any, argument: str, rule: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match), planted_rule(operation, argument, rule):
        raise AssertionError("planted")
    assert slope() == SLOPE


# ---- check_op ----


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
    check_op(declared(third_power, *CUBE, samples=[sample((2, 3), scale=2.0)]))
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
        monkeypatch.setattr("tinygrad_nn.autodiff._owned", lambda array: True)
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


# ---- strategies ----


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
    with pytest.raises(ValueError, match="'softmax' is not on corresponding entries"):
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


# ---- check_agreement ----


@pytest.mark.parametrize(
    ("function", "reference", "match"),
    [
        (lambda x: x * 2, lambda x: x * 2.5, "is not the reference's"),
        (lambda x: tg.sum(x), lambda x: x, r"results have shapes \[\(\)\], the reference's \[\(2,\)\]"),
        (lambda x: x * x.data, lambda x: x * x, "gradient of input 0 is .* by central differences"),
        (lambda x: x.detach() * (x * 2 - x.detach()), lambda x: x * x, "the second order of input 0 is 0"),
    ],
    ids=["value", "shape", "gradient", "second order"],
)
def test_disagreement_is_told(function: Any, reference: Any, match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        tg.testing.check_agreement(function, reference, [np.array([0.5, -1.5])])


# ---- mutate_rules ----


def mutants(found: Any) -> set[str]:
    return {str(mutant) for mutant in found}


def product(x: Any, w: Any) -> Any:
    return tg.sum(tg.tanh(x * w))


X, W = np.array([[0.5, -0.3, 0.8], [1.1, 0.2, -0.7]]), np.array([0.4, -0.6, 0.9])


def by_differences() -> None:
    """A test with teeth: several points, a cotangent that is not 1, broadcasting, two orders."""
    tg.testing.check_agreement(lambda x, w: tg.tanh(x * w), lambda x, w: np.tanh(x * w), [X, W])
    tg.testing.check_agreement(lambda x, w: tg.tanh(x * w), lambda x, w: np.tanh(x * w), [-X, W + 1.0])


def of_the_sign() -> None:
    """A toothless test."""
    x = tg.tensor(X, requires_grad=True)
    product(x, W).backward()
    assert x.grad is not None
    assert (np.sign(x.grad.data) == np.sign(W)).all()


def test_a_test_with_teeth_leaves_no_survivor() -> None:
    report = mutate_rules(by_differences, [tg.tanh, tg.multiply])
    assert report
    assert report.survivors == ()
    assert mutants(report.without_effect) == {
        "tanh for x: skips the sum over what was broadcast",
        "multiply for a: skips the sum over what was broadcast",
    }
    expected = {
        "tanh for x: flips the sign", "tanh for x: drops the factor g", "tanh for x: drops the factor y",
        "tanh for x: uses a stale y", "tanh for x: takes y for a constant", "tanh for x: transposes",
        "multiply for b: skips the sum over what was broadcast", "multiply for b: transposes",
    }  # fmt: skip
    assert expected <= mutants(report.noticed)


def test_the_survivors_of_a_toothless_test_are_listed() -> None:
    report = mutate_rules(of_the_sign)
    assert not report
    assert {"multiply for a: flips the sign", "multiply for a: drops the factor b"} <= mutants(report.noticed)
    assert {"multiply for a: drops the factor g", "tanh for x: transposes"} <= mutants(report.survivors)
    assert {"tanh for x: drops the factor g", "tanh for x: uses a stale y"} <= mutants(report.without_effect)
    assert "multiply for b" not in {m.partition(":")[0] for m in mutants(report.noticed)}
    text = str(report)
    assert "survived, though they changed a derivative:\n  " in text
    assert "changed no derivative that the test computes:\n  " in text


def test_a_test_that_computes_no_derivative_has_no_teeth() -> None:
    report = mutate_rules(lambda: None)
    assert not report
    assert str(report) == "no rule was mutated: the test computes no derivative by these operations"


def test_rules_that_were_asked_for_and_not_used_are_told() -> None:
    report = mutate_rules(of_the_sign, ["multiply", tg.exp])
    assert report.unused == ("multiply for b", "exp for x")
    assert "never used by the test:\n  multiply for b\n  exp for x" in str(report)


def test_mutations_of_an_operation_on_many_inputs_and_of_one_with_several_outputs() -> None:
    def many() -> None:
        tg.testing.check_agreement(lambda a, b: tg.concatenate([a, b]), lambda a, b: np.concatenate([a, b]), [X, X[:1]])

    def several() -> None:
        tg.testing.check_agreement(lambda x: tg.unstack(x), lambda x: list(x), [X])

    assert mutants(mutate_rules(many, ["join"]).noticed) == {
        "join for xs: flips the sign", "join for xs: transposes", "join for xs: drops the factor g",
    }  # fmt: skip
    report = mutate_rules(several, ["unstack"])
    assert "unstack for x: drops the factor g" in mutants(report.noticed)
    assert report.survivors == ()


def test_what_pytest_raises_counts_as_noticing() -> None:
    def fails() -> None:
        if slope() < 0:
            pytest.fail("negative")

    assert mutants(mutate_rules(fails, [tg.tanh]).noticed) == {"tanh for x: flips the sign"}


def test_a_test_that_fails_as_it_is_says_so() -> None:
    def fails() -> None:
        raise AssertionError("mine")

    with pytest.raises(AssertionError, match="mine") as caught:
        mutate_rules(fails)
    assert caught.value.__notes__ == [
        "the test fails as it is, before any rule was mutated; mutate_rules needs one that passes"
    ]


def test_an_interrupt_ends_the_mutations_and_leaves_nothing_behind() -> None:
    calls = []

    def interrupted() -> None:
        calls.append(slope())
        if len(calls) == 3:
            raise KeyboardInterrupt

    before = autodiff.project
    with pytest.raises(KeyboardInterrupt):
        mutate_rules(interrupted, [tg.tanh])
    assert calls[1] == -SLOPE
    assert slope() == SLOPE
    assert autodiff.project is before
    assert isinstance(OPERATIONS["tanh"].rules, tuple)


# ---- the module ----


def test_the_library_imports_no_testing_until_it_is_used() -> None:
    program = (
        "import sys, tinygrad_nn as tg\n"
        "late = ('tinygrad_nn.testing', 'tinygrad_nn.checking', 'tinygrad_nn.study', 'hypothesis')\n"
        "assert not any(n.startswith(late) for n in sys.modules)\n"
        "tg.gradcheck, tg.diff_backprop\n"
        "tg.testing.planted_rule\n"
        "assert 'hypothesis' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("module", [tg, tg.testing])
def test_there_are_no_other_hidden_names(module: Any) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        module.no_such_name
    assert all(hasattr(module, name) for name in module.__all__)
