"""vjp, jvp, jacobian, hessian, hvp, ravel and unravel, on every nesting of arguments and of each other."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.errors import DtypeError, GradientError, StateError
from tinygrad_nn.transforms.linearization import Run

RNG = np.random.default_rng(0)
X, W, B = RNG.standard_normal((3, 2)), RNG.standard_normal((2, 4)), RNG.standard_normal(4)
Pair = namedtuple("Pair", "a b")


def network() -> Any:
    layers = [(2, 3, "tanh"), (3, 2, "softmax")]
    return tg.nn.DenseNetwork([{"input_dim": i, "output_dim": o, "activation": a} for i, o, a in layers], seed=1)


def layered(x: Any, w: Any, b: Any) -> Any:
    return np.tanh(x @ w + b) * tg.softmax(x, axis=0).sum()


def scalar(x: Any, w: Any, b: Any) -> Any:
    return tg.logsumexp(layered(x, w, b) ** 2) + (w * w * w).sum() * b.sum()


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.data, getattr(expected, "data", expected), rtol=1e-11, atol=1e-12)


# vjp and jvp.


def test_vjp_can_be_called_again_and_again() -> None:
    value, pull = tg.vjp(layered, X, W, B)
    close(value, layered(*map(tg.tensor, (X, W, B))))
    u = RNG.standard_normal((3, 4))
    first, second = pull(u), pull(2 * u)
    assert [g.shape for g in first] == [X.shape, W.shape, B.shape]
    for g, h in zip(first, second, strict=True):
        close(h, 2 * g.data)


def test_jvp_is_the_transpose_of_vjp() -> None:
    tangents = [RNG.standard_normal(p.shape) for p in (X, W, B)]
    value, pushed = tg.jvp(layered, (X, W, B), tangents)
    u = RNG.standard_normal(value.shape)
    pulled = tg.vjp(layered, X, W, B)[1](u)
    across = sum(float((g.data * t).sum()) for g, t in zip(pulled, tangents, strict=True))
    np.testing.assert_allclose(float((pushed.data * u).sum()), across, rtol=1e-12)


def test_auxiliary_results_are_passed_on() -> None:
    def function(x: Any) -> Any:
        return x * x, {"twice": x * 2}

    value, pull, aux = tg.vjp(function, 3.0, has_aux=True)
    assert (value.item(), pull(1.0)[0].item(), aux["twice"].item()) == (9.0, 6.0, 6.0)
    value, slope, aux = tg.jvp(function, (3.0,), (1.0,), has_aux=True)
    assert (value.item(), slope.item(), aux["twice"].item()) == (9.0, 6.0, 6.0)
    assert not aux["twice"].requires_grad
    with pytest.raises(TypeError, match="must return \\(value, aux\\)"):
        tg.jvp(lambda x: x, (3.0,), (1.0,), has_aux=True)


def test_results_record_nothing_unless_an_outer_derivative_needs_it() -> None:
    value, slope = tg.jvp(np.exp, (1.0,), (1.0,))
    assert not value.requires_grad
    assert not slope.requires_grad
    x = tg.tensor(1.0, requires_grad=True)
    value, slope = tg.jvp(np.exp, (x,), (1.0,))
    (again,) = tg.autograd.grad(slope, x)
    assert again is not None
    np.testing.assert_allclose(again.item(), np.e)


def test_a_tangent_can_be_differentiated_by() -> None:
    """The derivative of a directional derivative by its direction is the gradient."""
    direction = tg.tensor(W, requires_grad=True)
    _, slope = tg.jvp(lambda w: scalar(tg.tensor(X), w, B), (W,), (direction,))
    (g,) = tg.autograd.grad(slope, direction)
    assert g is not None
    close(g, tg.grad(scalar, 1)(X, W, B))


def test_a_cotangent_can_be_differentiated_by() -> None:
    """The transpose of the pullback is the pushforward."""
    _, pull = tg.vjp(lambda w: layered(tg.tensor(X), w, B), W)
    u = tg.tensor(np.ones((3, 4)), requires_grad=True)
    t = RNG.standard_normal(W.shape)
    (pushed,) = tg.autograd.grad((pull(u)[0] * t).sum(), u)
    assert pushed is not None
    close(pushed, tg.jvp(lambda w: layered(tg.tensor(X), w, B), (W,), (t,))[1])


def test_zero_tangents_stay_zero_through_singular_derivatives() -> None:
    _, slope = tg.jvp(np.sqrt, (np.array([0.0, 4.0]),), (np.array([0.0, 1.0]),))
    np.testing.assert_array_equal(slope.data, [0.0, 0.25])
    _, slope = tg.jvp(np.sqrt, (np.array([0.0]),), (np.array([1.0]),))
    np.testing.assert_array_equal(slope.data, [np.inf])


# Nesting of arguments.


def nested(tree: Any) -> Any:
    w, (b, c) = tree["w"], tree["pair"]
    return {"sum": (w * w * b).sum(), "all": [np.exp(c) * w, Pair(b, c * c)]}


TREE = {"w": np.array([1.0, 2.0]), "pair": Pair(np.array(3.0), np.array(0.5))}


def test_every_transform_keeps_the_nesting() -> None:
    ones = {"w": np.ones(2), "pair": Pair(1.0, 1.0)}
    value, slope = tg.jvp(nested, (TREE,), (ones,))
    assert isinstance(value["all"][1], Pair)
    assert slope["sum"].item() == 2 * 3 * 3.0 + 5.0
    assert slope["all"][1].b.item() == 1.0
    cotangent = {"sum": 1.0, "all": [np.zeros(2), Pair(0.0, 1.0)]}
    (g,) = tg.vjp(nested, TREE)[1](cotangent)
    assert isinstance(g["pair"], Pair)
    assert (g["pair"].a.item(), g["pair"].b.item()) == (5.0, 1.0)
    np.testing.assert_array_equal(g["w"].data, [6.0, 12.0])


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_the_jacobian_of_a_nesting_is_a_nesting_of_nestings(mode: Any) -> None:
    j = tg.jacobian(nested, mode=mode)(TREE)
    np.testing.assert_array_equal(j["sum"]["w"].data, [6.0, 12.0])
    np.testing.assert_allclose(j["all"][0]["w"].data, np.exp(0.5) * np.eye(2))
    np.testing.assert_allclose(j["all"][0]["pair"].b.data, np.exp(0.5) * TREE["w"])
    assert j["all"][1].a["pair"].a.item() == 1.0
    assert j["all"][1].b["w"].data.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("tangent", "message"),
    [
        ({"w": np.ones(2)}, "keys"),
        ({"pair": Pair(1.0, 1.0), "w": np.ones(3)}, "shape"),
        ({"w": np.ones(2), "pair": [1.0]}, "sequence of 2"),
        (np.ones(4), "a dict with the keys"),
    ],
)
def test_a_tangent_of_another_nesting_is_refused(tangent: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tg.jvp(nested, (TREE,), (tangent,))


def test_dicts_are_matched_by_key_not_by_order() -> None:
    tree, turned = {"a": 2.0, "b": 5.0}, {"b": 0.0, "a": 1.0}
    _, slope = tg.jvp(lambda t: t["a"] * t["a"] + t["b"], (tree,), (turned,))
    assert slope.item() == 4.0


def test_a_module_stands_for_its_parameters() -> None:
    model = network()

    def loss(module: Any, y: Any) -> Any:
        return tg.cross_entropy(module.logits(X), y)

    y = np.array([0, 1, 1])
    gradient = tg.grad(loss)(model, y)
    loss(model, y).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None
        close(gradient[name], p.grad)
    direction = {name: np.ones(p.shape) for name, p in model.named_parameters()}
    product = tg.hvp(lambda m: loss(m, y), (model,), (direction,))[0]
    hessian = tg.hessian(lambda m: loss(m, y))(model)
    for row in direction:
        total = sum(h.data.reshape(*direction[row].shape, -1).sum(-1) for h in hessian[row].values())
        close(product[row], total)


def test_with_parameters_leaves_the_module_alone() -> None:
    model = network()
    before = model.state_dict()
    twin = model.with_parameters({"W1": tg.zeros((3, 2))})
    assert not twin(X).requires_grad or twin is not model
    assert not np.array_equal(twin(X).data, model(X).data)
    np.testing.assert_array_equal(model.state_dict()["W1"], before["W1"])
    with pytest.raises(StateError, match="W9"):
        model.with_parameters({"W9": tg.zeros(1)})


def test_with_parameters_reaches_nested_modules_and_tied_ones() -> None:
    class Tied(tg.nn.Module):
        def __init__(self) -> None:
            self.w = tg.tensor(2.0, requires_grad=True)
            self.parts = [self.w, {"inner": network()}]
            self.pair = Pair(self.w, 3)

        def __call__(self) -> Any:
            return self.w * self.parts[0] * self.pair.a

    assert tg.grad(lambda m: m())(Tied())["w"].item() == 12.0
    assert "parts.1.inner.W1" in tg.grad(lambda m: m())(Tied())


# Jacobians and Hessians.


@pytest.mark.parametrize("argnums", [0, 1, -1, (0, 2), (2, 0, 1)])
def test_forward_and_reverse_jacobians_agree(argnums: Any) -> None:
    found = [tg.jacobian(layered, argnums, mode)(X, W, B) for mode in ("forward", "reverse", None)]
    for j in found[1:]:
        for a, b in zip(*[x if isinstance(x, tuple) else (x,) for x in (found[0], j)], strict=True):
            close(a, b)


def test_jacobians_and_hessians_equal_pytorchs() -> None:
    torch = pytorch()
    functional = torch.autograd.functional
    tensors = tuple(torch.tensor(v) for v in (X, W, B))

    def theirs(x: Any, w: Any, b: Any) -> Any:
        return torch.tanh(x @ w + b) * torch.softmax(x, dim=0).sum()

    def their_scalar(x: Any, w: Any, b: Any) -> Any:
        return torch.logsumexp((theirs(x, w, b) ** 2).reshape(-1), 0) + (w * w * w).sum() * b.sum()

    ours = tg.jacobian(layered, (0, 1, 2))(X, W, B)
    for a, b in zip(ours, functional.jacobian(theirs, tensors), strict=True):
        close(a, b.numpy())
    for row, their_row in zip(
        tg.hessian(scalar, (0, 1, 2))(X, W, B), functional.hessian(their_scalar, tensors), strict=True
    ):
        for a, b in zip(row, their_row, strict=True):
            close(a, b.numpy())
    v = tuple(RNG.standard_normal(t.shape) for t in tensors)
    expected = functional.hvp(their_scalar, tensors, tuple(map(torch.tensor, v)))[1]
    for a, b in zip(tg.hvp(scalar, (X, W, B), v), expected, strict=True):
        close(a, b.numpy())


def test_the_cheaper_mode_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    for name in ("pull", "push"):
        original = getattr(Run, name)

        def noted(self: Any, *args: Any, name: str = name, original: Any = original, **options: Any) -> Any:
            used.append(name)
            return original(self, *args, **options)

        monkeypatch.setattr(Run, name, noted)
    tg.jacobian(lambda x: np.outer(np.ones(5), np.ones(2)) * x)(np.ones(2))
    tg.jacobian(lambda x: x.sum())(np.ones(2))
    assert used == ["push", "push", "pull"]


def test_what_nothing_depends_on_gets_zeros() -> None:
    assert tg.hessian(lambda x: 3 * x.sum())(np.ones(2)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert tg.jacobian(lambda x, y: y * 1.0)(np.ones(2), tg.ones(3)).shape == (3, 2)
    assert tg.jvp(lambda x: tg.ones(3), (1.0,), (1.0,))[1].tolist() == [0.0, 0.0, 0.0]
    assert tg.hvp(lambda x, y: (x * x).sum(), (np.ones(2), 1.0), (np.ones(2), 1.0))[1].item() == 0.0


@pytest.mark.parametrize("shapes", [((0,), (2,)), ((2,), (0,)), ((), ()), ((0,), (0,))])
def test_jacobians_of_empty_and_0d(shapes: Any) -> None:
    n, m = shapes
    for mode in ("forward", "reverse"):
        found = tg.jacobian(lambda x: x.sum() * np.ones(m), mode=mode)(np.ones(n))
        assert found.shape == (*m, *n)


def test_float32_stays_float32() -> None:
    args = [v.astype(np.float32) for v in (X, W, B)]
    for mode in ("forward", "reverse"):
        assert all(j.dtype == np.float32 for j in tg.jacobian(layered, (0, 1, 2), mode)(*args))
    assert tg.jvp(layered, args, args)[1].dtype == np.float32
    assert tg.hessian(scalar, 2)(*args).dtype == np.float32


# Any nesting of transforms.

ORDERS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: tg.grad(f),
    "jvp": lambda f: lambda x: tg.jvp(f, (x,), (1.0,))[1],
    "vjp": lambda f: lambda x: tg.vjp(f, x)[1](1.0)[0],
    "forward": lambda f: tg.jacobian(f, mode="forward"),
    "reverse": lambda f: tg.jacobian(f, mode="reverse"),
    "checkpoint": lambda f: tg.grad(tg.checkpoint(f)),
}


@pytest.mark.parametrize("outer", ORDERS)
@pytest.mark.parametrize("inner", ORDERS)
def test_two_transforms_nest(outer: str, inner: str) -> None:
    derivative = ORDERS[outer](ORDERS[inner](lambda x: np.sin(x) * x * x))
    x = 0.7
    expected = -np.sin(x) * x * x + 4 * x * np.cos(x) + 2 * np.sin(x)
    np.testing.assert_allclose(derivative(x).item(), expected, rtol=1e-12)


@pytest.mark.parametrize("kinds", [list(ORDERS), list(ORDERS)[::-1], ["jvp"] * 4, ["grad"] * 4, ["forward"] * 4])
def test_fourth_order(kinds: list[str]) -> None:
    function: Any = lambda x: np.exp(2 * x) + x**6  # noqa: E731
    for kind in kinds[:4]:
        function = ORDERS[kind](function)
    np.testing.assert_allclose(function(0.5).item(), 16 * np.exp(1.0) + 360 * 0.25, rtol=1e-11)


def test_perturbations_are_not_confused() -> None:
    """d/dx x · d/dy (x + y) is 1, whichever transform takes which derivative."""
    for outer in ORDERS.values():
        for inner in ORDERS.values():
            derivative = outer(lambda x, inner=inner: x * inner(lambda y: x + y)(1.0))
            assert derivative(5.0).item() == 1.0


def test_hessian_of_a_directional_derivative() -> None:
    third = tg.hessian(lambda x: tg.jvp(lambda y: (y**3).sum(), (x,), (np.ones(2),))[1])(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(third.data, [[6.0, 0.0], [0.0, 6.0]])


# Trees in a row.


def test_ravel_and_unravel_are_inverse() -> None:
    tree = {"w": W, "rest": [B, (2.0, np.ones((0, 3)))]}
    vector = tg.ravel(tree)
    assert vector.shape == (W.size + B.size + 1,)
    back = tg.unravel(vector, tree)
    np.testing.assert_array_equal(back["w"].data, W)
    assert back["rest"][1][0].shape == ()
    assert isinstance(back["rest"][1], tuple)
    np.testing.assert_array_equal(tg.ravel(back).data, vector.data)
    with pytest.raises(ValueError, match="a vector of 13 entries is needed"):
        tg.unravel(vector[:-1], tree)


def test_unravel_gives_the_dtypes_of_its_model() -> None:
    tree = [np.ones(2, np.float32), 0.5, np.ones(1), 3]
    for vector in (tg.ravel(tree), np.ones(5)):
        back = tg.unravel(vector, tree)
        assert [x.dtype for x in back] == [np.float32, np.float64, np.float64, np.float64]


def test_ravel_and_unravel_record() -> None:
    vector = tg.tensor(np.arange(3.0), requires_grad=True)
    tree = tg.unravel(vector, {"a": 0.0, "b": np.zeros(2)})
    (tree["a"] * tree["b"]).sum().backward()
    assert vector.grad is not None
    assert vector.grad.tolist() == [3.0, 0.0, 0.0]
    assert tg.ravel({"a": vector, "b": 1.0}).requires_grad


def test_ravel_of_a_module_goes_back_as_a_dict() -> None:
    model = network()
    state = tg.unravel(tg.ravel(model) * 0, model)
    assert list(state) == [name for name, _ in model.named_parameters()]
    model.load_state_dict({name: t.data for name, t in state.items()})
    assert not tg.ravel(model).data.any()


def test_ravel_of_nested_numbers_is_numpys() -> None:
    for numbers in ([[1, 2], [3, 4]], [1.5], 2.0, []):
        found = tg.ravel(numbers)
        np.testing.assert_array_equal(found.data, np.ravel(numbers))
        assert found.dtype == np.ravel(numbers).dtype


# Mistakes.


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: tg.jvp(np.sin, 1.0, 1.0),  # type: ignore[arg-type]
            TypeError,
            r"write \(x,\)",
        ),
        (lambda: tg.jvp(np.sin, (1.0,), (np.ones(2),)), ValueError, "shape"),
        (lambda: tg.jvp(np.sin, (1,), (1.0,)), DtypeError, "dtype int64"),
        (lambda: tg.vjp(np.sin, np.ones(2))[1](np.ones(3)), ValueError, "shape"),
        (lambda: tg.vjp(lambda x: (x, x), 1.0)[1](1.0), ValueError, "sequence of 2"),
        (lambda: tg.jacobian(np.sin, mode="sideways"), ValueError, "forward"),
        (lambda: tg.jacobian(lambda x: 3.0)(1.0), TypeError, "returns a Tensor, got float"),
        (lambda: tg.hessian(lambda x: x)(np.ones(2)), GradientError, r"output\.sum\(\)"),
        (lambda: tg.jacobian(np.sin, 1)(1.0), ValueError, "argnums"),
        (lambda: tg.grad(np.sin, "x")(1.0), TypeError, "a whole number or a sequence of them, not 'x'"),  # type: ignore[arg-type]
        (lambda: tg.grad(np.sin, 0.0)(1.0), TypeError, r"not 0\.0"),  # type: ignore[arg-type]
    ],
)
def test_mistakes_are_told(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_what_comes_of_a_run_inside_a_run_is_free_of_both() -> None:
    mixed = tg.grad(tg.grad(lambda a, b: a * a * b * b, 0), 1)(2.0, 3.0)
    assert not mixed.requires_grad
    assert float(mixed) == 24.0
    inside = tg.grad(lambda b: tg.grad(lambda a: a * a * b)(2.0))(3.0)
    assert float(inside) == 4.0
    assert float(tg.vjp(lambda b: tg.grad(lambda a: a * a * b)(2.0), 3.0)[1](1.0)[0]) == 4.0
    assert float(tg.jvp(lambda b: tg.grad(lambda a: a * a * b)(2.0), (3.0,), (1.0,))[1]) == 4.0
    crossed = tg.jacobian(tg.grad(lambda a, b: (a * b).sum(), 0), 1)(np.ones(2), np.ones(2))
    assert not crossed.requires_grad
    assert crossed.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    w = tg.tensor(3.0, requires_grad=True)
    outer = tg.grad(lambda b: tg.grad(lambda a: a * a * b * w)(2.0))(3.0)
    assert outer.requires_grad
    assert tg.autograd.grad(outer, w)[0].item() == 4.0
