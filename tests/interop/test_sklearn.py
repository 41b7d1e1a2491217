"""Networks as scikit-learn's estimators: its own checks, its tools around them, and each parameter."""

from __future__ import annotations

import functools
import pickle
import re
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import tinygrad_nn as tg
from tinygrad_nn.interop.sklearn import DenseClassifier, DenseRegressor, ModuleClassifier, ModuleRegressor

FOUR = [DenseClassifier, DenseRegressor, ModuleClassifier, ModuleRegressor]
X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # which the checks provoke
@pytest.mark.parametrize("kind", FOUR)
def test_sci_kit_learns_own_checks_pass(kind: Any) -> None:
    found = check_estimator(kind(), on_skip=None)
    assert len(found) > 50
    assert {check["status"] for check in found} <= {"passed", "skipped"}
    reasons = [str(check["exception"]) for check in found if check["status"] == "skipped"]
    assert all("pandas is not installed" in reason or "SCIPY_ARRAY_API" in reason for reason in reasons)


@pytest.mark.slow
def test_a_grid_search_over_a_pipeline_in_two_processes() -> None:
    pipeline = make_pipeline(StandardScaler(), DenseClassifier((8,), epochs=60, random_state=0))
    grid = {"denseclassifier__activation": ["relu", ["tanh"]], "denseclassifier__dropout": [0.0, 0.1]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.85
    assert cross_val_score(search.best_estimator_, X, y, cv=3).mean() == search.best_score_
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))


@pytest.mark.parametrize("kind", [DenseClassifier, ModuleClassifier])
def test_labels_come_back_as_they_were_given(kind: Any) -> None:
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    fitted = kind(epochs=60, random_state=0).fit(X, names)
    assert fitted.score(X, names) > 0.9
    p = fitted.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.classes_[p.argmax(axis=1)], fitted.predict(X))
    assert p.dtype == np.float64
    assert kind(epochs=2).fit(X.astype(np.float32), y).predict_proba(X.astype(np.float32)).dtype == np.float32


def test_a_classifier_is_what_tg_train_makes_of_its_network() -> None:
    fitted = DenseClassifier((5, 4), activation=["relu", "tanh"], epochs=7, batch_size=None, random_state=3).fit(X, y)
    fresh = DenseClassifier((5, 4), activation=["relu", "tanh"], epochs=0, batch_size=None, random_state=3).fit(X, y)
    network = fresh.module_
    assert repr(network).split() == repr(
        tg.nn.Sequential(
            tg.nn.Linear(4, 5), tg.nn.ReLU(), tg.nn.Linear(5, 4), tg.nn.Tanh(), tg.nn.Linear(4, 3)
        )
    ).split()  # fmt: skip
    optimizer = tg.optim.Adam(network.parameters(), lr=0.01)
    history = tg.train(network, X, y, 7, loss=tg.cross_entropy, optimizer=optimizer, progress=False)
    assert fitted.loss_curve_ == history.cost
    np.testing.assert_array_equal(fitted.module_[4].weight.data, network[4].weight.data)
    assert fitted.n_iter_ == 7


def make(inputs: int, outputs: int, seed: Any) -> tg.nn.Module:
    return tg.nn.Sequential(
        tg.nn.Linear(inputs, 16, seed=seed), tg.nn.BatchNorm1d(16), tg.nn.GELU(), tg.nn.Dropout(0.2, seed=seed),
        tg.nn.Linear(16, outputs, seed=seed),
    )  # fmt: skip


def test_any_factory_makes_a_module_that_follows_the_random_state() -> None:
    first, second, other = (ModuleClassifier(make, epochs=80, random_state=seed).fit(X, y) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))
    assert first.score(X, y) > 0.9
    with pytest.raises(TypeError, match=r"takes a function of inputs, outputs and seed= that returns a Module"):
        ModuleClassifier(lambda *sizes, seed: None).fit(X, y)
    with pytest.raises(ValueError, match=r"outputs have the shape \(150, 1, 3\); let .* one of \(150, 3\)"):
        ModuleClassifier(lambda n, k, seed: Unsqueezed(n, k, seed=seed), epochs=0).fit(X, y).predict(X)


class Unsqueezed(tg.nn.Linear):
    def forward(self, x: Any) -> Any:
        return super().forward(x)[:, None]


def test_regressors_have_one_output_or_several() -> None:
    data, targets = make_regression(200, 5, n_targets=2, noise=1.0, random_state=0)
    targets = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    dense = DenseRegressor((16,), epochs=150, random_state=0).fit(data, targets)
    assert dense.predict(data).shape == (200, 2)
    assert dense.score(data, targets) > 0.95
    linear = ModuleRegressor(epochs=400, random_state=0).fit(data, targets[:, 0])
    assert linear.predict(data).shape == (200,)
    expected = np.linalg.lstsq(np.c_[data, np.ones(200)], targets[:, 0])[0]
    np.testing.assert_allclose(np.r_[linear.module_.weight.data[0], linear.module_.bias.data], expected, atol=1e-3)
    with pytest.raises(ValueError, match="y has 2 numbers for each row, and had 1 before"):
        linear.partial_fit(data, targets)


def test_a_loss_an_optimizer_and_a_schedule_of_ones_own() -> None:
    data, targets = make_regression(100, 3, noise=1.0, random_state=0)
    targets = targets / targets.std()
    targets[::10] += 50
    settings: dict[str, Any] = {"hidden_layers": (), "random_state": 0, "epochs": 300}
    schedule = functools.partial(tg.optim.lr_scheduler.StepLR, step_size=100, gamma=0.5)
    robust = DenseRegressor(
        loss=tg.huber_loss, optimizer=functools.partial(tg.optim.SGD, momentum=0.9), schedule=schedule, **settings
    ).fit(data, targets)  # fmt: skip
    plain = DenseRegressor(optimizer="sgd", **settings).fit(data, targets)
    errors = [np.abs(fitted.predict(data) - targets)[1::10].mean() for fitted in (robust, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert robust.optimizer_.lr == 0.01 * 0.5**3
    assert clone(robust).get_params()["schedule"].keywords == schedule.keywords
    activations: list[Any] = ["rulu", tg.nn.ReLU(), None, np.array(["relu"])]
    wrongs: list[dict[str, Any]] = [{"hidden_layers": (4,), "activation": given} for given in activations]
    for wrong in [{"optimizer": "adm"}, *wrongs]:
        with pytest.raises(ValueError, match=r"is not known; write one of .* or pass a function that makes it"):
            DenseRegressor(**wrong).fit(data, targets)
    with pytest.raises(ValueError, match="activation has 1 entries for 2 hidden layers; pass one, or one for each"):
        DenseRegressor((4, 4), activation=["relu"]).fit(data, targets)


def test_weights_of_samples_and_classes_count_as_repetitions() -> None:
    rows = np.r_[np.arange(60), np.arange(60, 150).repeat(2)]
    weights = np.r_[np.ones(60), np.full(90, 2.0)]
    settings: dict[str, Any] = {"hidden_layers": (6,), "epochs": 50, "batch_size": None, "random_state": 0}
    repeated = DenseClassifier(**settings).fit(X[rows], y[rows]).predict_proba(X)
    weighed = DenseClassifier(**settings).fit(X, y, weights).predict_proba(X)
    np.testing.assert_allclose(weighed, repeated, rtol=1e-6)
    plain = DenseClassifier(**settings).fit(X, y).predict_proba(X)
    assert not np.allclose(plain, repeated, rtol=1e-3)
    of_classes = DenseClassifier(class_weight={2: 3.0}, **settings).fit(X, y).predict_proba(X)
    rows = np.r_[np.arange(100), np.arange(100, 150).repeat(3)]
    np.testing.assert_allclose(
        of_classes, DenseClassifier(**settings).fit(X[rows], y[rows]).predict_proba(X), rtol=1e-6
    )
    DenseClassifier(class_weight={0: 1, 1: 2, 2: 3, "in no fold": 4}, **settings).fit(X, y)
    few = np.r_[np.arange(50), np.arange(50, 60)]
    balanced = DenseClassifier(class_weight="balanced", **settings).fit(X[few], y[few]).predict_proba(X)
    rows = np.r_[np.arange(50), np.arange(50, 60).repeat(5)]
    np.testing.assert_allclose(balanced, DenseClassifier(**settings).fit(X[rows], y[rows]).predict_proba(X), rtol=1e-6)


def test_warm_start_and_partial_fit_go_on() -> None:
    whole = DenseClassifier((6,), epochs=6, random_state=0).fit(X, y)
    warm = DenseClassifier((6,), epochs=3, random_state=0, warm_start=True).fit(X, y).fit(X, y)
    part = DenseClassifier((6,), random_state=0)
    for _ in range(6):
        part.partial_fit(X, y, [0, 1, 2])
    for other in (warm, part):
        assert other.loss_curve_ == whole.loss_curve_
        np.testing.assert_array_equal(other.predict_proba(X), whole.predict_proba(X))
    cold = DenseClassifier((6,), epochs=3, random_state=0).fit(X, y).fit(X, y)
    assert len(cold.loss_curve_) == cold.n_iter_ == 3
    part = DenseClassifier((6,)).partial_fit(X[:60], y[:60], classes=[0, 1, 2])
    assert part.predict_proba(X).shape == (150, 3)
    with pytest.raises(ValueError, match=r"the classes \[3\] are not among \[0 1 2\]; name all in the first call"):
        part.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match=r"the classes \[3\] are not among \[0 1 2\]; name all in the first call"):
        part.partial_fit(X, y, classes=[0, 1, 2, 3])
    pickled = pickle.loads(pickle.dumps(part)).partial_fit(X, y)
    np.testing.assert_array_equal(pickled.predict_proba(X), part.partial_fit(X, y).predict_proba(X))


def test_early_stopping_keeps_the_best_epoch_of_what_is_held_out() -> None:
    data, targets = load_wine(return_X_y=True)
    data = StandardScaler().fit_transform(data)
    targets = np.where(np.random.default_rng(0).random(178) < 0.3, 0, targets)  # what can't be generalised
    fitted = DenseClassifier((50,), early_stopping=5, epochs=400, validation_fraction=0.3, random_state=0)
    fitted.fit(data, targets)
    assert 6 < fitted.n_iter_ < 200
    assert fitted.score(data, targets) < 0.95
    assert DenseClassifier((50,), epochs=400, random_state=0).fit(data, targets).score(data, targets) > 0.99


def test_decay_and_dropout_act() -> None:
    each: list[dict[str, Any]] = [{}, {"weight_decay": 0.1}, {"dropout": 0.5}]
    plain, decayed, dropped = (
        DenseClassifier((16,), epochs=60, random_state=0, **settings).fit(X, y) for settings in each
    )
    norms = [np.linalg.norm(fitted.module_[0].weight.data) for fitted in (plain, decayed)]
    assert norms[1] < 0.8 * norms[0]
    assert isinstance(dropped.module_[2], tg.nn.Dropout)
    np.testing.assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))


def test_early_stopping_is_also_on_or_off_and_one_hidden_layer_is_a_number() -> None:
    settings: dict[str, Any] = {"hidden_layers": 8, "learning_rate": 0.1, "epochs": 200, "random_state": 0}
    on, off = (DenseClassifier(early_stopping=x, **settings).fit(X, y) for x in (True, False))
    assert on.module_[0].weight.shape == (8, 4)
    assert on.n_iter_ == DenseClassifier(early_stopping=10, **settings).fit(X, y).n_iter_ < 200
    assert off.n_iter_ == 200


@pytest.mark.parametrize(
    ("estimator", "error", "words"),
    [
        (DenseClassifier((0,)), ValueError, "hidden_layers must be a whole number, 1 or more, got 0"),
        (DenseClassifier(("a",)), TypeError, "hidden_layers must be a whole number, 1 or more, got 'a'"),
        (DenseClassifier(batch_size=0), ValueError, "batch_size must be a whole number, 1 or more, got 0"),
        (
            DenseClassifier().set_params(batch_size="auto"),
            TypeError,
            "batch_size must be a whole number, 1 or more, got 'auto'",
        ),
        (
            DenseClassifier(class_weight={"0": 2.0}),
            ValueError,
            "class_weight has ['0'], not among the classes [0, 1, 2]",
        ),
        (ModuleClassifier(tg.nn.Linear(4, 3)), TypeError, "returns a Module, not Linear(in_features=4, out"),
        (ModuleClassifier(lambda inputs, outputs, seed: 3), TypeError, "module= takes a function of inputs, outputs"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(estimator: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        estimator.fit(X, y)
