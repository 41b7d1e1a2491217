"""Data that can't be learnt from is refused before the first epoch, and labels may have many forms."""

from typing import Any

import numpy as np
import pytest
from article import Experiment, by_hand
from small import LABELS, ROWS, small, spoilt

import tinygrad_nn as tg
from tinygrad_nn.errors import DataError


@pytest.mark.parametrize(
    ("network", "X", "y", "match"),
    [
        (small(), spoilt(ROWS, 3, np.nan), LABELS, r"row 3 of X holds nan, not a finite number; mend or drop it"),
        (small(), spoilt(ROWS, 5, -np.inf), LABELS, r"row 5 of X holds -inf, not a finite"),
        (small(), spoilt(spoilt(ROWS, 1, np.nan), 2, np.nan), LABELS, r"row 1 of X holds nan.*\(and 1 rows? more\)"),
        (small(), ROWS, spoilt(LABELS, 2, np.nan), r"row 2 of y holds nan, not a finite number"),
        (small(), ROWS, spoilt(LABELS, 4, 2), r"row 4 of y holds 2\.0, outside 0\.\.1"),
        (small(), ROWS, spoilt(LABELS, 0, -1), r"row 0 of y holds -1\.0, outside 0\.\.1"),
        (small(outputs=2), ROWS, spoilt(ROWS * 0, 1, 1.5), r"row 1 of y holds 1\.5, outside 0\.\.1"),
        (small("softmax", 3), ROWS, spoilt(LABELS, 1, 3), r"row 1 of y holds 3\.0, not a class index from 0 to 2"),
        (small("softmax", 3), ROWS, spoilt(LABELS, 2, -1), r"row 2 of y holds -1\.0, not a class index"),
        (small("softmax", 3), ROWS, spoilt(LABELS, 3, 0.5), r"row 3 of y holds 0\.5, not a class index"),
        (small("softmax", 3), ROWS, np.eye(6, 3), r"softmax is trained on class indices.*y\.argmax\(axis=1\)"),
        (small(), ROWS[:, :1], LABELS, r"rows of 2 numbers, X of shape \(m, 2\); got \(6, 1\)"),
        (small(), ROWS[0], LABELS, r"X of shape \(m, 2\); got \(2,\)"),
        (small(), ROWS, LABELS[:5], r"X has 6 rows, y has shape \(5,\); each sample needs one label"),
        (small(), ROWS, 1.0, r"X has 6 rows, y has shape \(\)"),
        (small(), ROWS, np.zeros((6, 2)), r"the network has 1 outputs?, so y needs shape \(6, 1\); got \(6, 2\)"),
        (small(outputs=2), ROWS, LABELS, r"the network has 2 outputs, so y needs shape \(6, 2\); got \(6,\)"),
        (small(), ROWS[:0], LABELS[:0], r"no samples: X has 0 rows"),
        (small(), [["a", "b"]], [1], r"X can't be read as numbers"),
        (small(), [[1.0, 2.0], [3.0]], [1, 0], r"X can't be read as numbers"),
        (small(), ROWS, ["yes"] * 6, r"y can't be read as numbers"),
        (small("identity"), ROWS, spoilt(LABELS, 1, np.inf), r"row 1 of y holds inf"),
    ],
)
def test_bad_data_is_refused_before_the_first_epoch(network: Any, X: Any, y: Any, match: str) -> None:
    before, seen = network.state_dict(), []
    for run in (
        lambda: tg.train(network, X, y, 3, progress=False, on_epoch=lambda epoch, _: seen.append(epoch)),
        lambda: tg.evaluate(network, X, y),
    ):
        with pytest.raises(DataError, match=match):
            run()
    assert seen == []
    assert all(np.array_equal(value, before[name]) for name, value in network.state_dict().items())


def test_bad_validation_data_is_refused_before_the_first_epoch() -> None:
    network, seen = small(), []
    with pytest.raises(DataError, match=r"row 2 of validation X holds nan"):
        tg.train(
            network, ROWS, LABELS, 3, progress=False, validation=(spoilt(ROWS, 2, np.nan), LABELS),
            on_epoch=lambda epoch, _: seen.append(epoch),
        )  # fmt: skip
    assert seen == []


def test_labels_may_be_booleans_or_soft() -> None:
    hard = tg.train(small(), ROWS, LABELS, 3, 0.1, progress=False)
    assert tg.train(small(), ROWS, LABELS.astype(bool), 3, 0.1, progress=False).cost == hard.cost
    soft = tg.train(small(), ROWS, np.full(6, 0.5), 300, 0.5, progress=False)
    assert soft.cost[-1] == pytest.approx(np.log(2), abs=1e-3)


@pytest.mark.slow
def test_labels_may_be_a_column(experiment: Experiment) -> None:
    network = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2)
    column = experiment.y_train.reshape(-1, 1)
    history = tg.train(network, experiment.X_train, column, 3, 0.01, progress=False)
    assert history.cost == experiment.history.cost[:3]
    assert tg.evaluate(network, experiment.X_test, experiment.y_test) == tg.evaluate(
        network, experiment.X_test, experiment.y_test.reshape(-1, 1)
    )
