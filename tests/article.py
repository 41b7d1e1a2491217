"""The article's algorithm written by hand, networks in its form with data, and its experiment.

By hand, columns are samples and dA, dZ carry no 1/m; here, rows are samples and every gradient is
the cost's own. So what is compared is transposed, and dA and dZ are divided by m.
"""

import pathlib
import pickle
import runpy
import time
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn.testing import architectures

by_hand: Any = SimpleNamespace(**runpy.run_path(str(pathlib.Path(__file__).parents[1] / "examples" / "by_hand.py")))
# Up to which |Z| of the last layer 1 - sigmoid(Z) has the digits that the tolerance asks for.
MODERATE = {np.float32: 3.0, np.float64: 8.0}


@dataclass
class Case:
    """A network in the article's form, and data, columns being samples."""

    architecture: list[dict[str, Any]]
    parameters: dict[str, np.ndarray]
    X: np.ndarray
    Y: np.ndarray

    def astype(self, dtype: Any) -> "Case":
        parameters = {name: value.astype(dtype) for name, value in self.parameters.items()}
        return Case(self.architecture, parameters, self.X.astype(dtype), self.Y.astype(dtype))

    def memory(self) -> dict[str, np.ndarray]:
        """Return by_hand's A0, Z1, A1, ...; where its exp overflows, its sigmoid is 0 as it should be."""
        with np.errstate(over="ignore"):
            memory: dict[str, np.ndarray] = by_hand.forward(self.X, self.parameters, self.architecture)[1]
        return memory

    def gradients(self) -> dict[str, np.ndarray]:
        """Return by_hand's derivatives of the cost itself, so dA and dZ divided by m."""
        with np.errstate(over="ignore"):
            found = by_hand.backward(self.Y, self.memory(), self.parameters, self.architecture)
        m = self.X.shape[1]
        return {name: g / m if name[1] in "AZ" else g for name, g in found.items()}

    def network(self) -> tg.nn.DenseNetwork:
        """Return our network with these parameters."""
        network = tg.nn.DenseNetwork(self.architecture, dtype=self.X.dtype)
        network.load_state_dict({n: v if n[0] == "W" else v[:, 0] for n, v in self.parameters.items()})
        return network


def gradient(tensor: tg.Tensor) -> np.ndarray:
    assert tensor.grad is not None
    array: np.ndarray = tensor.grad.data
    return array


def layers(widths: list[int], activations: list[str]) -> list[dict[str, Any]]:
    steps = zip(widths[:-1], widths[1:], activations, strict=True)
    return [{"input_dim": n, "output_dim": k, "activation": name} for n, k, name in steps]


def rescale_last_layer(case: Case, reach: float) -> None:
    """Let the largest |Z| of the last layer be at most `reach`."""
    last = len(case.architecture)
    largest = np.abs(case.memory()[f"Z{last}"]).max()
    if largest > reach:
        for name in (f"W{last}", f"b{last}"):
            case.parameters[name] = case.parameters[name] * (0.999 * reach / largest)


@st.composite
def cases(draw: st.DrawFn, reach: float, scale: float = 3.0) -> Case:
    """Return a random network with weights up to ±`scale`, and data with what breaks networks."""
    architecture = draw(architectures())
    depth, widths = len(architecture), [architecture[0]["input_dim"], *[layer["output_dim"] for layer in architecture]]
    m = draw(st.integers(1, 50))
    labels = draw(st.sampled_from(["mixed", "all 0", "all 1"]))
    zeros = draw(st.sets(st.sampled_from(["samples", "features", "weights", "biases", "dead units"])))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = generator.normal(size=(widths[0], m))
    if "samples" in zeros:
        X[:, ::3] = 0
    if "features" in zeros:
        X[0] = 0
    Y = generator.integers(0, 2, (widths[-1], m)).astype(float)
    if labels != "mixed":
        Y[:] = labels == "all 1"
    parameters: dict[str, np.ndarray] = {}
    for number in range(1, depth + 1):
        W = generator.uniform(-scale, scale, (widths[number], widths[number - 1]))
        b = generator.uniform(-scale, scale, (widths[number], 1))
        if "weights" in zeros:
            W[generator.random(W.shape) < 0.3] = 0
        if "biases" in zeros:
            b[:] = 0
        if "dead units" in zeros and number < depth:
            W[::4], b[::4] = 0, -scale
            W[1::4], b[1::4] = 0, 0
        parameters[f"W{number}"], parameters[f"b{number}"] = W, b
    case = Case(architecture, parameters, X, Y)
    rescale_last_layer(case, reach)
    return case


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, relative to the largest entry expected (0 where both are 0)."""
    assert found.shape == expected.shape
    error = np.abs(found - expected).max()
    return float(error / np.abs(expected).max()) if error else 0.0


class Experiment:
    """The article's experiment, whose 10,000 epochs are run when the network or its history is asked for.

    Of the processes that share a folder one runs them; the others wait for it.
    """

    TABLE = (
        (0, 0.6936484871866765, "0.504444"),
        (1, 0.6936453795732516, "0.504444"),
        (10, 0.6936171443380083, "0.504444"),
        (100, 0.6933371271884572, "0.504444"),
        (1_000, 0.6910875862240591, "0.504444"),
        (2_000, 0.6787465452541144, "0.842222"),
        (5_000, 0.23821057694235312, "0.890000"),
        (9_999, 0.07429314895274869, "0.968889"),
    )

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.X_train, self.X_test, self.y_train, self.y_test = tg.data.train_test_split(*tg.data.make_moons())

    @cached_property
    def trained(self) -> tuple[tg.nn.DenseNetwork, tg.History]:
        done, begun = self.folder / "experiment", self.folder / "experiment begun"
        deadline = time.monotonic() + 600
        while not done.exists():
            try:
                begun.mkdir()
            except FileExistsError:
                assert time.monotonic() < deadline, f"who made {begun} did not end"
                time.sleep(0.1)
                continue
            try:
                network = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2)
                history = tg.train(network, self.X_train, self.y_train, 10_000, 0.01, progress=False)
                result = self.folder / "experiment result"
                result.write_bytes(pickle.dumps((network, history)))
                result.rename(done)
            finally:
                begun.rmdir()
        network, history = pickle.loads(done.read_bytes())
        return network, history

    @property
    def network(self) -> tg.nn.DenseNetwork:
        return self.trained[0]

    @property
    def history(self) -> tg.History:
        return self.trained[1]
