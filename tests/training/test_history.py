"""The history of a training: when each figure is taken, that all are of one length, and how they are shown."""

import pathlib
import pickle
import re
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


def test_validation_is_taken_after_the_epoch_and_not_learnt_from() -> None:
    X, y = data()
    held_out = data(seed=1)
    network, alone = small(), small()
    figures: list[tuple[float, float]] = []
    history = tg.train(
        network, X, y, 4, 0.1, progress=False, validation=held_out,
        on_epoch=lambda epoch, _: figures.append(tg.evaluate(network, *held_out)),
    )  # fmt: skip
    assert list(zip(history.validation_cost, history.validation_accuracy, strict=True)) == figures
    assert tg.train(alone, X, y, 4, 0.1, progress=False).cost == history.cost


def test_a_history_is_a_table_by_name_and_a_file(tmp_path: pathlib.Path) -> None:
    nan = float("nan")
    history = tg.History(cost=[1.0, 0.1 + 0.2, 0.25], accuracy=[nan] * 3, f1=[nan, nan, 0.5])
    assert history["cost"] is history.cost
    assert str(history["f1"]) == "[nan, nan, 0.5]"
    assert [line.split() for line in repr(history).splitlines()] == [
        ["epoch", "cost", "f1"], ["0", "1", "nan"], ["1", "0.3", "nan"], ["2", "0.25", "0.5"],
    ]  # fmt: skip
    history.to_csv(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines == ["epoch,cost,f1", "0,1.0,nan", "1,0.30000000000000004,nan", "2,0.25,0.5"]
    assert len(repr(tg.History(cost=[0.5] * 1000)).splitlines()) == 22
    history.figures["late"] = [7.0]  # as a callback may add it
    assert [line.split()[3:] for line in repr(history).splitlines()] == [["late"], ["7"], [], []]
    twin = pickle.loads(pickle.dumps(history))
    assert twin.cost == history.cost
    with pytest.raises(AttributeError, match="'loss' was not recorded; use one of cost, accuracy"):
        history.loss
    with pytest.raises(KeyError, match="use one of cost, accuracy"):
        history["loss"]


def test_training_says_how_it_is_going(capsys: pytest.CaptureFixture[str]) -> None:
    tg.train(small(), ROWS, LABELS, 20, progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    history = tg.train(small(), ROWS, LABELS, 20)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[9].startswith(f"epoch 20 of 20: cost {history.cost[-1]:.5f}, accuracy {history.accuracy[-1]:.5f}")
    assert lines[9].endswith("0 s left")
    assert re.match(r"20 epochs in .* s \(.* epochs/s\), cost 0\.", lines[10])


@pytest.mark.parametrize("columns", [40, 200])
def test_a_terminal_shows_a_bar_with_rate_figures_and_time_left(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    history = tg.train(small(), ROWS, LABELS, 20)
    *bars, last = capsys.readouterr().err.split("\r")[1:]
    assert all(len(line) == columns - 1 for line in bars)
    assert bars[0].startswith(f"[#                   ] epoch 1 of 20: cost {history.cost[0]:.5f}, "[: columns - 1])
    found, summary, *_ = last.splitlines()
    assert found.startswith(f"[{20 * '#'}] epoch 20 of 20: cost {history.cost[-1]:.5f}, "[: columns - 1])
    assert columns == 40 or re.search(r"accuracy [\d.]+, [\d.,]+ epochs/s, 0 s left *$", found)
    assert summary.startswith("20 epochs in ")
