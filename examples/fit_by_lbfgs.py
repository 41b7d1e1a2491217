"""Fit a network on two moons by SciPy's L-BFGS: an optimiser that wants one vector, its cost and its gradient."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import tinygrad_nn as tg

ARCHITECTURE = [
    {"input_dim": 2, "output_dim": 12, "activation": "tanh"},
    {"input_dim": 12, "output_dim": 12, "activation": "tanh"},
    {"input_dim": 12, "output_dim": 1, "activation": "sigmoid"},
]


def main() -> None:
    """Fit all parameters as one vector, and print cost and accuracy before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=300, help="at most (%(default)s)")
    parser.add_argument("--decay", type=float, default=1e-4, help="times the squares of all parameters (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="30 iterations")
    options = parser.parse_args()
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise SystemExit("L-BFGS comes with SciPy: python -m pip install scipy") from None

    X_train, X_test, y_train, y_test = tg.data.train_test_split(*tg.data.make_moons())
    labels = y_train.reshape(-1, 1)
    network = tg.nn.DenseNetwork(ARCHITECTURE, seed=2)

    def with_entries(vector: Any) -> tg.DenseNetwork:
        return network.with_parameters(tg.unravel(vector, network))

    def cost(vector: tg.Tensor) -> tg.Tensor:
        """Return the mean cross entropy and a penalty. Shapes: (n,) -> (), n the number of parameters."""
        logits = with_entries(vector).logits(X_train)
        loss: tg.Tensor = tg.binary_cross_entropy_with_logits(logits, labels) + options.decay * (vector @ vector)
        return loss

    def cost_and_gradient(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = tg.value_and_grad(cost)(vector)
        return value.item(), gradient.data

    start = tg.ravel(network).detach().data
    budget = {"maxiter": 30 if options.quick else options.iterations}
    found = minimize(cost_and_gradient, start, method="L-BFGS-B", jac=True, options=budget)
    print(f"{start.size} parameters, {found.nit} iterations, {found.nfev} evaluations of cost and gradient")
    for when, vector in (("before", start), ("after", found.x)):
        value, accuracy = tg.evaluate(with_entries(vector), X_test, y_test)
        print(f"{when}: cost {cost_and_gradient(vector)[0]:.4f}; on the test set {value:.4f}, accuracy {accuracy:.2f}")


if __name__ == "__main__":
    main()
