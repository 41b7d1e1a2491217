"""Check gradients numerically, step by step: the V curve, the complex step, kinks, float32, and a planted bug."""

from __future__ import annotations

import argparse
from typing import Any

import by_hand
import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.primitive import primitive


@primitive(method=False)
def cubed(x: Any, /) -> Any:
    return x * x * x


cubed.vjp(lambda g, x: g * 3 * x)  # a planted bug: one factor x is missing


def f(x: Any) -> Any:
    """Return a smooth function of one number."""
    return tg.sum(tg.exp(x) * tg.sin(3 * x))


def curve(powers: list[int]) -> Any:
    """Print the errors of difference quotients, and return the curve."""
    found = tg.error_curve(f, np.array([0.7]))
    print(f"1. The V curve. exp(x) sin(3x) at 0.7 has the derivative {found.derivative:.12g}; errors of quotients:")
    print("       step  central    forward")
    exponents = np.log2(found.steps).astype(int).tolist()
    for place, power in enumerate(exponents):
        if -power in powers:
            print(f"    2**{power:<5} {found.central[place]:.1e}    {found.forward[place]:.1e}")
    best = int(np.argmin(found.central))
    print(f"   Halving the step helps until rounding wins: central is best at 2**{exponents[best]}.\n")
    return found


def methods() -> None:
    """Print four numerical derivatives of the same function."""
    x = np.array([0.7])
    exact = float(np.exp(0.7) * (np.sin(2.1) + 3 * np.cos(2.1)))
    print("2. Better derivatives, and their errors:")
    for method in ("forward", "central", "ridders", "complex"):
        off = abs(tg.numerical_gradient(f, x, method=method)[0] - exact)
        print(f"    {method:<8} {off:.0e}")
    print("   The complex step subtracts nothing, so it loses no digits. Where an operation refuses complex")
    print("   numbers, tg.gradcheck extrapolates from several steps, and estimates the error of the result.\n")


def kinks() -> None:
    """Print the report at a kink, where no difference quotient is right."""
    print("3. Kinks. relu has two slopes at 0, and tg returns 0:")
    print(tg.gradcheck(lambda x: tg.sum(tg.relu(x)), np.array([0.0, 1.0]), mode="reverse"), "\n")


def single_precision() -> None:
    """Print the report where float32 loses digits."""
    print("4. float32. (1 - cos x) / x**2 is right, but has lost its digits near 0:")
    x = np.array([3e-3, 1.0], np.float32)
    print(tg.gradcheck(lambda x: tg.sum((1 - tg.cos(x)) / x**2), x, mode="reverse"), "\n")


def planted_bug() -> None:
    """Print the report that finds the one wrong rule among right ones."""
    print("5. A planted bug: one of several operations has a wrong rule.")
    print(
        tg.gradcheck(lambda x: tg.mean(tg.tanh(cubed(x) + tg.exp(-x * x))), np.array([0.3, -0.8]), mode="reverse"), "\n"
    )


def backprop_by_hand(samples: int) -> None:
    """Check the article's backward pass, then forget its 1/m in one layer."""
    layers = [
        {"input_dim": 2, "output_dim": 4, "activation": "relu"},
        {"input_dim": 4, "output_dim": 1, "activation": "sigmoid"},
    ]
    X, y = tg.data.make_moons(samples)
    Y = y.reshape(1, -1).astype(float)

    def cost(parameters: Any) -> Any:
        return by_hand.cost(by_hand.forward(X.T, parameters, layers)[0], Y)

    def gradient(parameters: Any) -> Any:
        _, memory = by_hand.forward(X.T, parameters, layers)
        found = by_hand.backward(Y, memory, parameters, layers)
        return {name: found[f"d{name}"] for name in parameters}

    def mistaken(parameters: Any) -> Any:
        right = gradient(parameters)
        return right | {"W2": samples * right["W2"]}

    parameters = by_hand.initialise(layers)
    print("6. Backprop by hand needs no Tensors: the article's is", end=" ")
    print(tg.gradcheck(cost, parameters, gradient=gradient).verdict, "and without its 1/m in layer 2")
    print(tg.gradcheck(cost, parameters, gradient=mistaken))


def main() -> None:
    """Print six experiments, and draw the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200, help="points of the two moons (%(default)s)")
    parser.add_argument("--output", default="v_curve.png", help="write the picture to this file (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="20 samples, and fewer rows")
    options = parser.parse_args()
    found = curve(list(range(2, 50, 12 if options.quick else 4)))
    methods()
    kinks()
    single_precision()
    planted_bug()
    backprop_by_hand(20 if options.quick else options.samples)
    try:
        found.plot().figure.savefig(options.output, dpi=150)
    except ImportError:
        print("no picture: matplotlib is not installed")
    else:
        print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
