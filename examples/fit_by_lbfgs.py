"""Fit a network on two moons by SciPy's L-BFGS: the bridge gives it all parameters as one vector."""

from __future__ import annotations

import argparse
from typing import Any

import tinygrad_nn as tg

ARCHITECTURE = [
    {"input_dim": 2, "output_dim": 12, "activation": "tanh"},
    {"input_dim": 12, "output_dim": 12, "activation": "tanh"},
    {"input_dim": 12, "output_dim": 1, "activation": "sigmoid"},
]


def main() -> None:
    """Fit all parameters, and print cost and accuracy before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=300, help="at most (%(default)s)")
    parser.add_argument("--decay", type=float, default=1e-4, help="weight of the parameters' squares (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="30 iterations")
    options = parser.parse_args()
    try:
        from tinygrad_nn.interop.scipy import minimize
    except ImportError as error:
        raise SystemExit(error) from None

    X_train, X_test, y_train, y_test = tg.data.train_test_split(*tg.data.make_moons())
    labels = y_train.reshape(-1, 1)
    network = tg.nn.DenseNetwork(ARCHITECTURE, seed=2)

    def cost(network: Any) -> Any:
        """Return the mean cross entropy and a penalty."""
        vector = tg.ravel(network)
        logits = network.logits(X_train)
        return tg.binary_cross_entropy_with_logits(logits, labels) + options.decay * (vector @ vector)

    budget = {"maxiter": 30 if options.quick else options.iterations}
    found = minimize(cost, network, method="L-BFGS-B", options=budget)
    print(f"{found.x.size} parameters, {found.nit} iterations, {found.nfev} evaluations of cost and gradient")
    for when, fitted in (("before", network), ("after", found.params)):
        value, accuracy = tg.evaluate(fitted, X_test, y_test)
        print(f"{when}: cost {cost(fitted).item():.4f}; on the test set {value:.4f}, accuracy {accuracy:.2f}")


if __name__ == "__main__":
    main()
