"""The history of a training: when each figure is taken, that all are of one length, and how they are shown."""

import sys

import numpy as np
import pytest
from small import LABELS, ROWS, data, small

import tinygrad_nn as tg


def test_an_epoch_that_is_interrupted_between_its_entries_is_dropped() -> None:
    history = tg.History(cost=[1.0, 0.5], accuracy=[0.7], validation_cost=[2.0])
    history.end_together()
    assert (history.cost, history.accuracy, history.validation_cost) == ([1.0], [0.7], [2.0])


def test_history_is_taken_before_the_update() -> None:
    network, (X, y) = small(), data()
    start = tg.evaluate(network, X, y)
    costs = []
    history = tg.train(
        network, X, y, 5, 0.1, progress=False, on_epoch=lambda epoch, _: costs.append(tg.evaluate(network, X, y)[0])
    )
    assert (history.cost[0], history.accuracy[0]) == start
    assert history.cost[1:] == costs[:-1]
    assert len(history.accuracy) == 5
    assert history.validation_cost == history.validation_accuracy == []


def test_no_epochs_change_nothing() -> None:
    network = small()
    before = network.state_dict()
    history = tg.train(network, ROWS, LABELS, 0, progress=False)
    assert len(history) == 0
    assert repr(history) == "History of 0 epochs"
    assert all(np.array_equal(value, before[name]) for name, value in network.state_dict().items())


def test_validation_is_taken_before_the_update_and_not_learnt_from() -> None:
    X, y = data()
    held_out = data(seed=1)
    network, alone = small(), small()
    figures = [tg.evaluate(network, *held_out)]
    history = tg.train(
        network, X, y, 4, 0.1, progress=False, validation=held_out,
        on_epoch=lambda epoch, _: figures.append(tg.evaluate(network, *held_out)),
    )  # fmt: skip
    assert list(zip(history.validation_cost, history.validation_accuracy, strict=True)) == figures[:-1]
    assert tg.train(alone, X, y, 4, 0.1, progress=False).cost == history.cost


def test_training_says_how_it_is_going(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tg.train(small(), ROWS, LABELS, 20, progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    history = tg.train(small(), ROWS, LABELS, 20)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith(f"epoch 20 of 20: cost {history.cost[-1]:.5f}, accuracy {history.accuracy[-1]:.4f}")
    assert lines[-1].endswith("0 s left")


def test_tqdm_shows_cost_and_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    history = tg.train(small(), ROWS, LABELS, 20)
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert f"cost={history.cost[-1]:.5f}" in shown
