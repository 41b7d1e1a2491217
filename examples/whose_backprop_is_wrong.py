"""Plant mistakes in the article's backward pass, one at a time, and let `tg.diff_backprop` find them."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

import by_hand

import tinygrad_nn as tg

LAYER = 3  # as wide as the layer before it, so that few of the mistakes fail by their shapes
# Expressions of by_hand.backward, and what somebody may write instead.
MISTAKES = [
    ('activation_backward(gradients[f"dA{number}"], memory[f"Z{number}"])', 'gradients[f"dA{number}"]'),
    ('memory[f"Z{number}"])', 'memory[f"Z{number - 1}"])'),
    ('memory[f"A{number - 1}"].T / m', 'memory[f"A{number - 1}"].T'),
    ('memory[f"A{number - 1}"].T / m', 'memory[f"A{number}"].T / m'),
    ('dZ @ memory[f"A{number - 1}"].T / m', 'memory[f"A{number - 1}"] @ dZ.T / m'),
    ("dZ.sum(axis=1, keepdims=True) / m", "dZ.sum(axis=1) / m"),
    ("dZ.sum(axis=1, keepdims=True) / m", "dZ.mean(axis=1, keepdims=True) / m"),
    ("dZ.sum(axis=1, keepdims=True) / m", "dZ / m"),
    ('parameters[f"W{number}"].T @ dZ', 'parameters[f"W{number}"] @ dZ'),
    ('parameters[f"W{number}"].T @ dZ', "-dZ"),
]


def backward_with(right: str, wrong: str) -> Any:
    """Return by_hand.backward with the wrong expression in place of the right one, in layer 3."""
    source = inspect.getsource(by_hand.backward)
    assert source.count(right) == 1, right
    line = next(line.strip() for line in source.splitlines() if right in line)
    target, value = line.split(" = ", 1)
    planted = f"{target} = {value.replace(right, wrong)} if number == {LAYER} else {value}"
    namespace = dict(vars(by_hand))
    exec(source.replace(line, planted), namespace)
    return namespace["backward"]


def main() -> None:
    """Print each mistake with what `tg.diff_backprop` finds, then one report as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=900, help="points of the two moons (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="60 samples")
    options = parser.parse_args()

    X, y = tg.data.make_moons(60 if options.quick else options.samples)
    Y = y.reshape(1, -1).astype(float)
    network = tg.DenseNetwork(by_hand.EXPERIMENT, seed=2)
    memory = network.memory(tg.tensor(X, requires_grad=True))
    loss = tg.binary_cross_entropy(memory[f"A{len(by_hand.EXPERIMENT)}"], Y.T)

    parameters = by_hand.initialise(by_hand.EXPERIMENT, seed=2)
    _, by_columns = by_hand.forward(X.T, parameters, by_hand.EXPERIMENT)

    def compared(backward: Any) -> Any:
        gradients = backward(Y, by_columns, parameters, by_hand.EXPERIMENT)
        return tg.diff_backprop(loss, gradients, tensors=memory, convention="article")

    report = compared(by_hand.backward)
    report.raise_if_failed()
    print(f"by_hand.backward as it is: {len(report.table)} gradients, all right")
    for right, wrong in MISTAKES:
        report = compared(backward_with(right, wrong))
        follow = sum(row.verdict == "follows" for row in report.table)
        print(f"\n- {right}\n+ {wrong}\n{report[report.first].finding}")
        print(f"{follow} others follow from it" if follow else "no other follows from it")
    print(f"\nThe last one, gradient by gradient:\n{report}")


if __name__ == "__main__":
    main()
