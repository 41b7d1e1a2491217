"""The check of a whole network: every parameter is looked at, kinks are measured again, a wrong one is named."""

from typing import Any

import numpy as np
import pytest
from small import SMALL

import tinygrad_nn as tg
from tinygrad_nn.checking import network as checking
from tinygrad_nn.testing import planted_rule


def network_with_data() -> tuple[tg.DenseNetwork, Any, Any]:
    X, y = tg.data.make_moons(60, seed=1)
    return tg.DenseNetwork(SMALL, seed=5), X, y.reshape(-1, 1).astype(float)


def test_the_check_looks_at_every_parameter_and_leaves_them_alone() -> None:
    network, X, y = network_with_data()
    before = network.state_dict()
    check = checking.check_network(network, X, y)
    assert check
    assert check.parameters == 21
    assert check.worst < 1e-6
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert all(p.grad is None for p in network.parameters())


def test_differences_across_a_kink_are_counted_and_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network, X, y = network_with_data()
    monkeypatch.setattr(checking, "STEPS", (0.5, 1e-5))
    check = checking.check_network(network, X, y)
    assert check.straddling > 1
    assert check.unresolved == 0
    assert not check  # more than 1 % straddled
    assert str(check).endswith(f"; measured again for straddling a kink: {check.straddling}, in vain: 0")
    tg.binary_cross_entropy_with_logits(network.logits(X), y).backward()
    (W1,) = (p for name, p in network.named_parameters() if name == "W1")
    again = [error for error, _, straddled, _ in checking._coordinates(network, X, y, "W1", W1) if straddled]
    assert again
    assert max(again) < 1e-6
    monkeypatch.setattr(checking, "STEPS", (0.5,))
    assert checking.check_network(network, X, y).unresolved == check.straddling


def test_one_wrong_coordinate_is_named() -> None:
    network, X, y = network_with_data()
    with planted_rule(tg.linear, "bias", lambda g: g * np.where(np.arange(g.shape[-1]) == 3, 1.001, 1)):
        check = checking.check_network(network, X, y)
    assert not check
    assert check.where == "b1[3]"
