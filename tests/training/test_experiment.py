"""The animation of what is learnt: where it begins, and how long it holds."""

from pathlib import Path

import pytest

import tinygrad_nn as tg
from tinygrad_nn.training import experiment


def test_an_animation_begins_where_the_cost_falls_and_ends_with_the_last_epoch() -> None:
    cost = [1.0] * 500 + [1.0 - i / 500 for i in range(500)]
    shown = experiment.worth_showing([*range(0, 1000, 10), 999], cost)
    assert 490 <= shown[0] <= 510
    assert shown[-1] == 999
    assert len(shown) <= 60
    assert experiment.worth_showing([0, 5, 9], [1.0] * 10) == [0, 5, 9]


@pytest.mark.slow
def test_an_animation_holds_its_last_frame(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    X, y = tg.data.make_moons(3)
    history = tg.History(cost=[1.0, 0.9, 0.5], accuracy=[0.5] * 3)
    network = tg.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}])
    states = {epoch: {name: x * epoch for name, x in network.state_dict().items()} for epoch in range(3)}
    experiment.save_animation(network, states, history, (X, y), tmp_path / "learning.gif")
    with image.open(tmp_path / "learning.gif") as pictures:
        durations = []
        for frame in range(pictures.n_frames):
            pictures.seek(frame)
            durations.append(pictures.info["duration"])
    assert len(durations) == 3
    assert durations[-1] >= 20 * durations[0]
