"""SciPy's optimisers over nested parameters: what they find is what they find of vectors flattened by hand."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import optimize

import tinygrad_nn as tg
from tinygrad_nn.interop.scipy import WORTH_COMPILING, least_squares, minimize

START = np.array([1.3, 0.7, 0.8, 1.9, 1.2])
GRADIENT: dict[str, Any] = {"jac": optimize.rosen_der}
METHODS: dict[str, dict[str, Any]] = {
    method: by_hand
    for methods, by_hand in (
        ("Nelder-Mead Powell COBYLA COBYQA", {}),
        ("CG BFGS L-BFGS-B TNC SLSQP", GRADIENT),
        ("Newton-CG trust-ncg trust-krylov trust-constr", GRADIENT | {"hessp": optimize.rosen_hess_prod}),
        ("trust-exact dogleg", GRADIENT | {"hess": optimize.rosen_hess}),
    )
    for method in methods.split()
}


def rosen(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def nested_rosen(p: dict[str, Any]) -> Any:
    return rosen(tg.concatenate([p["a"].reshape(-1), *p["rest"]]))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_the_steps_that_it_takes_with_derivatives_by_hand(method: str) -> None:
    start = START if method != "dogleg" else np.array([1.0, 1.1, 1.2, 1.4, 1.9])
    nested = {"a": start[:2].reshape(1, 2), "rest": (start[2:4], start[4:])}
    options = {"maxiter": 12}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optimize.OptimizeWarning)
        warnings.filterwarnings("ignore", "delta_grad == 0", UserWarning)
        found = minimize(nested_rosen, nested, method=method, options=options)
        expected = optimize.minimize(optimize.rosen, start, method=method, options=options, **METHODS[method])
    assert (found.get("nit"), found.nfev, found.status) == (expected.get("nit"), expected.nfev, expected.status)
    # TNC's line search makes much of a last digit.
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-5 if method == "TNC" else 1e-7)
    assert found.nfev > 5
    assert [found.params["a"].shape, *[x.shape for x in found.params["rest"]]] == [(1, 2), (2,), (1,)]
    np.testing.assert_array_equal(np.concatenate([found.params["a"][0], *found.params["rest"]]), found.x)


class Pair(NamedTuple):
    a: Any
    b: Any


@pytest.mark.parametrize(
    ("params", "kinds"),
    [
        (2.0, float), (np.float64(2), np.float64), (np.array([2.0, 1.0]), np.ndarray), ([2, 1], np.ndarray),
        (tg.tensor([2.0, 1.0], requires_grad=True), tg.Tensor), (Pair(2.0, [np.ones(2)]), Pair),
    ],
)  # fmt: skip
def test_parameters_have_the_kinds_and_the_nesting_that_was_given(params: Any, kinds: type) -> None:
    found = minimize(lambda p: ((tg.ravel(p) - 1) ** 2).sum(), params)
    assert type(found.params) is kinds
    np.testing.assert_allclose(tg.ravel(found.params).data, np.ones(tg.ravel(params).size), atol=1e-6)
    assert tg.ravel(params).data[0] == 2


def network() -> tg.nn.Sequential:
    return tg.nn.Sequential(tg.nn.Linear(2, 4, seed=0), tg.nn.Tanh(), tg.nn.BatchNorm1d(4), tg.nn.Linear(4, 1, seed=1))


def samples() -> tuple[np.ndarray, np.ndarray]:
    X, y = tg.data.make_moons(60, 0.1, 0)
    return X, y.reshape(-1, 1).astype(float)


def test_a_module_is_fitted_but_for_what_is_frozen_and_stays_as_it_was() -> None:
    X, y = samples()
    module = network()
    module[0].requires_grad_(False)
    before = module.state_dict()
    seen: list[tg.nn.Sequential] = []

    def loss(m: Any, X: Any, y: Any) -> Any:
        return tg.binary_cross_entropy_with_logits(m(X), y)

    found = minimize(loss, module, (X, y), "L-BFGS-B", callback=seen.append, options={"maxiter": 30})
    assert found.fun < 0.35
    assert len(seen) == found.nit
    assert all(np.array_equal(array, module.state_dict()[name]) for name, array in before.items())
    fitted = found.params
    assert isinstance(fitted, tg.nn.Sequential)
    assert [p.requires_grad for p in fitted.parameters()] == [p.requires_grad for p in module.parameters()]
    assert all(np.array_equal(a.data, b.data) for a, b in zip(fitted.buffers(), module.buffers(), strict=True))
    assert loss(fitted, X, y).item() == pytest.approx(found.fun, rel=1e-12)
    assert loss(seen[-1], X, y).item() == pytest.approx(found.fun, rel=1e-12)

    free = [p for p in module.parameters() if p.requires_grad]
    names = [name for name, p in module.named_parameters() if p.requires_grad]

    def by_hand(vector: np.ndarray) -> tuple[float, np.ndarray]:
        parts = tg.unravel(vector, dict(zip(names, free, strict=True)))
        value, slopes = tg.value_and_grad(lambda parts: loss(module.with_parameters(parts), X, y))(parts)
        return value.item(), tg.ravel(slopes).data

    expected = optimize.minimize(
        by_hand, tg.ravel(free).detach().data, jac=True, method="L-BFGS-B", options={"maxiter": 30}
    )
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-8)


def test_float32_parameters_stay_float32() -> None:
    found = minimize(lambda x: ((x - 0.5) ** 2).sum(), np.ones(3, np.float32))
    assert found.params.dtype == np.float32
    np.testing.assert_allclose(found.params, 0.5, rtol=1e-6)


FLAT = [(0.9, 1.1), (None, 0.5), (0.2, None), (None, None), (-1, 5)]
BOUNDS: list[tuple[Any, Any, Any]] = [
    (START, FLAT, FLAT),
    (START, (0, 1.2), [(0, 1.2)] * 5),
    (START, optimize.Bounds([0] * 5, 1.2), [(0, 1.2)] * 5),
    ({"a": START[:1], "rest": [START[1:3], START[3:]]}, {"a": (0.9, 1.1), "rest": [FLAT[1:3], FLAT[3:]]}, FLAT),
    ({"a": START[:1], "rest": [START[1:3], START[3:]]}, {"a": None, "rest": [None, (-1, 1)]},
     [(None, None)] * 3 + [(-1, 1)] * 2),
    ({"a": START[:1], "rest": [START[1:3], START[3:]]},
     {"a": (0, 1.2), "rest": [optimize.Bounds(0, [1.2, 1.2]), optimize.Bounds(0, 1.2)]}, [(0, 1.2)] * 5),
]  # fmt: skip


@pytest.mark.parametrize(("params", "bounds", "flat"), BOUNDS)
def test_bounds_are_for_every_entry_or_nested(params: Any, bounds: Any, flat: Any) -> None:
    found = minimize(lambda p: rosen(tg.ravel(p)), params, bounds=bounds)
    expected = optimize.minimize(optimize.rosen, START, jac=optimize.rosen_der, bounds=flat)
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-6)


def test_none_stands_for_no_bounds_of_a_whole_module() -> None:
    params = {"layer": tg.nn.Linear(2, 1, seed=0), "scale": 1.0}
    x = np.random.default_rng(0).normal(size=(20, 2))

    def cost(p: Any) -> Any:
        return ((p["layer"](x) * p["scale"] - 3 * x[:, :1] - 1) ** 2).mean()

    found = minimize(cost, params, method="L-BFGS-B", bounds={"layer": None, "scale": (2.0, None)})
    assert found.fun < 1e-8
    assert found.params["scale"] >= 2


def test_bounds_of_another_nesting_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pass a dict with the keys \['a'\], got"):
        minimize(lambda p: p["a"] ** 2, {"a": 1.0}, bounds={"b": (0, 1)})


def test_constraints_are_functions_of_the_parameters() -> None:
    params = {"x": np.array([0.5, 0.0]), "y": 0.1}
    ring: Any = {"type": "eq", "fun": lambda p, r: (p["x"] ** 2).sum() + p["y"] ** 2 - r, "args": (1.0,)}
    for method, constraint in (
        ("SLSQP", ring),
        ("trust-constr", optimize.NonlinearConstraint(lambda p: tg.linalg.norm(tg.ravel(p)), 1.0, 1.0)),
        ("SLSQP", [optimize.LinearConstraint([[1, 1, 1]], 3**0.5, 3**0.5), ring]),
    ):
        found = minimize(lambda p: -p["x"].sum() - p["y"], params, method=method, constraints=constraint)
        np.testing.assert_allclose(found.x, np.full(3, 3**-0.5), atol=1e-3)


T = np.linspace(0, 2, 40)
DATA = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.01 * np.sin(50 * T)


def decay(p: dict[str, Any]) -> Any:
    return {"residuals": p["scale"] * tg.exp(-p["rate"] * T) + p["shift"] - DATA}


def decay_flat(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x[0] * np.exp(-x[1] * T) + x[2] - DATA
    return found


def decay_slopes(x: np.ndarray) -> np.ndarray:
    e = np.exp(-x[1] * T)
    return np.stack([e, -x[0] * T * e, np.ones_like(T)], axis=1)


@pytest.mark.parametrize("settings", [{}, {"method": "lm"}, {"method": "dogbox", "loss": "soft_l1"}])
def test_least_squares_takes_the_steps_that_it_takes_with_a_jacobian_by_hand(settings: dict[str, Any]) -> None:
    found = least_squares(decay, {"scale": 1.0, "rate": 0.5, "shift": 0.0}, **settings)
    expected = optimize.least_squares(decay_flat, [1.0, 0.5, 0.0], jac=decay_slopes, **settings)
    assert found.nfev == expected.nfev
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-9)
    if "loss" not in settings:
        np.testing.assert_allclose(found.jac, decay_slopes(found.x), rtol=1e-12)
    assert found.params == dict(zip(["scale", "rate", "shift"], found.x.tolist(), strict=True))


@pytest.mark.parametrize(
    ("params", "bounds", "flat"),
    [
        (np.array([1.0, 0.5, 0.1]), ([0, 0, 0.0], [9, 1.0, np.inf]), ([0, 0, 0.0], [9, 1.0, np.inf])),
        ({"scale": 1.0, "rate": 0.5, "shift": 0.1}, (0, 2), (0, 2)),
        ({"scale": 1.0, "rate": 0.5, "shift": 0.1}, {"scale": None, "rate": (0, 1.0), "shift": (0, None)},
         ([-np.inf, 0, 0.0], [np.inf, 1.0, np.inf])),
    ],
)  # fmt: skip
def test_least_squares_within_bounds(params: Any, bounds: Any, flat: Any) -> None:
    def residuals(p: Any) -> Any:
        p = p if isinstance(p, dict) else {"scale": p[0], "rate": p[1], "shift": p[2]}
        return decay(p)

    found = least_squares(residuals, params, bounds=bounds)
    expected = optimize.least_squares(decay_flat, [1.0, 0.5, 0.1], jac=decay_slopes, bounds=flat)
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-7)


def test_further_arguments_are_given_as_to_scipy() -> None:
    target = np.array([3.0, 4.0])
    for args in (target, (target,), 3.5):
        found = minimize(lambda p, t: ((p - t) ** 2).sum(), np.zeros(2), args=args)
        np.testing.assert_allclose(
            found.params, np.broadcast_to(args[0] if isinstance(args, tuple) else args, 2), rtol=1e-6
        )
    several: list[dict[str, Any]] = [{}, {"jac": "3-point"}]
    for jac in several:
        found = least_squares(lambda p, t, shift: p - t - shift, np.zeros(2), target, {"shift": 1.0}, **jac)
        np.testing.assert_allclose(found.params, target + 1, rtol=1e-6)


def test_a_callback_gets_parameters_or_sci_pys_result_and_may_stop() -> None:
    results: list[Any] = []

    def with_result(intermediate_result: Any) -> None:
        results.append(intermediate_result)
        if len(results) == 3:
            raise StopIteration

    found = minimize(lambda p: rosen(p["x"]), {"x": START}, method="BFGS", callback=with_result)
    assert [*results[-1].params] == ["x"]
    assert found.nit == len(results) == 3
    seen: list[Any] = []
    minimize(
        lambda p: rosen(p["x"]), {"x": START}, method="trust-constr", options={"maxiter": 4},
        callback=lambda p, state: seen.append((p["x"], state.nit)),
    )  # fmt: skip
    assert [nit for _, nit in seen] == [1, 2, 3, 4]


def test_evaluations_run_as_they_are_first_then_compiled() -> None:
    kinds: list[bool] = []

    class Watched(tg.nn.Module):
        def forward(self, x: Any) -> Any:
            kinds.append(type(x.data) is np.ndarray)
            return rosen(x)

    watched = Watched()
    found = minimize(lambda x: watched(x), START, method="BFGS")
    assert found.nfev > WORTH_COMPILING + 1
    assert len(kinds) == WORTH_COMPILING + 1  # one more time while it is traced
    eager = minimize(watched, START, method="BFGS", compile=False)
    assert len(kinds) == WORTH_COMPILING + 1 + eager.nfev
    np.testing.assert_allclose(found.x, eager.x, rtol=1e-9)


def test_a_function_that_cannot_be_compiled_runs_as_it_is_with_a_warning() -> None:
    values: list[float] = []

    def noted(x: Any) -> Any:
        values.append(rosen(x).item())
        return rosen(x)

    with pytest.warns(RuntimeWarning, match=r"the function is not compiled: .* Pass compile=False"):
        found = minimize(noted, START, method="BFGS")
    assert len({*values}) == found.nfev > WORTH_COMPILING
    assert min(values) == found.fun


def test_what_has_no_gradient_is_refused() -> None:
    with pytest.raises(tg.errors.DtypeError, match="complex"):
        minimize(rosen, np.array([1j]))
    with pytest.raises(ValueError, match="there are no parameters; pass arrays, or modules"):
        minimize(rosen, tg.nn.Linear(2, 2, seed=0).requires_grad_(False))
    with pytest.raises(TypeError, match="Tensor"):
        minimize(lambda x: 3.0, START)
    with pytest.raises(TypeError, match="unexpected keyword argument 'jac'"):
        minimize(rosen, START, jac=optimize.rosen_der)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="complex"):
        least_squares(lambda x: x - 3, START, jac="cs")


def test_a_function_that_does_not_compute_with_its_argument_is_refused() -> None:
    X, y = samples()
    module = network()
    refused = pytest.raises(tg.errors.DisconnectedError, match=r"compute with its argument, .*lambda module: loss\(")
    for function in (lambda _: tg.mse_loss(module(X), y), lambda _: tg.mse_loss(module(X), y).detach()):
        for method in (None, "L-BFGS-B", "Newton-CG", "trust-constr"):
            with refused:
                minimize(function, module, method=method)
    with refused:
        least_squares(lambda _: module(X) - y, module)
    assert minimize(lambda x: (x * x).sum(), np.zeros(2)).nit == 0  # at its minimum, where it reads what it is given
