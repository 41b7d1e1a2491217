"""The article's network: densely connected layers, described by a list of dictionaries."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.grad_mode import no_grad
from ..errors import ArchitectureError, in_columns
from ..ops.activation import elu, gelu, leaky_relu, relu, silu, softplus
from ..ops.elementwise import sigmoid, tanh
from ..ops.fused import linear, softmax
from ..ops.settings import one_of, whole_number
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from .init import INITIALISERS
from .module import Module, Parameter

_functions: tuple[Any, ...] = (relu, sigmoid, tanh, softmax, leaky_relu, elu, gelu, silu, softplus)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {f.__name__: f for f in _functions} | {"identity": lambda z: z}
_KEYS = ("input_dim", "output_dim", "activation")


def checked_architecture(architecture: Any) -> list[dict[str, Any]]:
    """Return the layers as plain dictionaries. Raises ArchitectureError, which names the layer and the remedy."""
    if not isinstance(architecture, Sequence) or isinstance(architecture, (str, bytes)) or not architecture:
        raise ArchitectureError(f"an architecture must be a list with a dictionary per layer, got {architecture!r:.60}")
    layers = [_checked_layer(number, layer) for number, layer in enumerate(architecture, start=1)]
    for number, (before, layer) in enumerate(itertools.pairwise(layers), start=2):
        reads, gives = layer["input_dim"], before["output_dim"]
        if reads != gives:
            raise ArchitectureError(
                f"layer {number} reads input_dim={reads}, but layer {number - 1} gives output_dim={gives}; "
                "write the same number for both"
            )
    return layers


def _checked_layer(number: int, layer: Any) -> dict[str, Any]:
    if not isinstance(layer, Mapping) or {*layer} != {*_KEYS}:
        raise ArchitectureError(f"layer {number} is {layer!r:.99}; write a dictionary with the keys {', '.join(_KEYS)}")
    checks = whole_number, whole_number, one_of(*ACTIVATIONS)
    try:
        return {key: check(f"{key} of layer {number}", layer[key]) for key, check in zip(_KEYS, checks, strict=True)}
    except (TypeError, ValueError) as error:
        raise ArchitectureError(f"{error}; write that instead") from error


def _initialiser(name: str, x: Any) -> str:
    if x not in INITIALISERS:
        raise ArchitectureError(f"{name}={x!r} names no initialiser; write one of {', '.join(INITIALISERS)}")
    return str(x)


class DenseNetwork(Module, settings={"init": _initialiser}, fixed=["architecture", "values"]):
    """Layers a <- activation(a @ W.T + b), with the article's architecture and initial numbers.

    `architecture` lists a dictionary per layer: `input_dim`, `output_dim` and `activation`, one of
    relu, sigmoid, tanh, softmax, identity, leaky_relu, elu, gelu, silu, softplus. Parameters are W1
    (out, in), b1 (out,), W2, ...: standard normal draws times 0.1, W before b, from NumPy's legacy
    generator. They are random, because equal weights would keep a layer's neurons equal for ever (symmetry), and small,
    because large ones saturate the sigmoid, where its slope is near 0. In deep networks they let signals fade:
    `init="he"`, for relu, "xavier" or "orthogonal" keep the signals' size, with biases of 0 (`nn.init`). Samples are
    rows. Raises ArchitectureError.

    >>> import tinygrad_nn as tg
    >>> layers = [{"input_dim": 2, "output_dim": 3, "activation": "relu"},
    ...           {"input_dim": 3, "output_dim": 1, "activation": "sigmoid"}]
    >>> tg.nn.DenseNetwork(layers, seed=2)([[0.5, -1.0], [0.0, 2.0]]).shape
    (2, 1)
    """

    _unnamed = "values"

    def __init__(self, architecture: Any, seed: Any = 99, dtype: Any = np.float64, init: str = "article") -> None:
        self.architecture: list[dict[str, Any]] = checked_architecture(architecture)
        self.init: str = init
        self.values: dict[str, Tensor] = {}
        for number, layer in enumerate(self.architecture, start=1):
            n, k = layer["output_dim"], layer["input_dim"]
            for name, shape in ((f"W{number}", (n, k)), (f"b{number}", (n,))):
                self.values[name] = Parameter(Tensor(np.empty(shape, dtype), name=name))
        self.reset_parameters(seed)

    def reset_parameters(self, seed: Any = 99) -> None:
        """Draw the parameters again with the chosen initialiser; the article's takes a whole number as the seed."""
        by_article = self.init == "article" and not isinstance(seed, np.random.Generator)
        generator: Any = np.random.RandomState(seed) if by_article else np.random.default_rng(seed)
        for p in self.values.values():
            drawn = p.ndim > 1 or self.init == "article"
            p.data = INITIALISERS[self.init](generator, p.shape) if drawn else np.zeros(p.shape)

    def __repr__(self) -> str:
        steps = [f"{layer['output_dim']} {layer['activation']}" for layer in self.architecture]
        return f"DenseNetwork({' -> '.join([str(self.architecture[0]['input_dim']), *steps])}, dtype='{self.dtype}')"

    @property
    def dtype(self) -> Any:
        """The dtype of the parameters; inputs are converted to it."""
        return self.values["W1"].dtype

    @property
    def activation(self) -> str:
        """The name of the last layer's activation."""
        return str(self.architecture[-1]["activation"])

    @property
    def outputs(self) -> int:
        """The number of values per sample that the network computes."""
        return int(self.architecture[-1]["output_dim"])

    def forward(self, X: Any) -> Tensor:
        """Return the last layer's activations. Shapes: (m, inputs) -> (m, outputs)."""
        return ACTIVATIONS[self.activation](self.logits(X))

    def logits(self, X: Any) -> Tensor:
        """Return the last layer's values before its activation. Shapes: (m, inputs) -> (m, outputs)."""
        last = f"Z{len(self.architecture)}"
        return next(step for name, step in self._steps(X) if name == last)

    def memory(self, X: Any) -> dict[str, Tensor]:
        """Return every step of the forward pass by the article's names: A0, Z1, A1, Z2, ..."""
        return dict(self._steps(X))

    def _steps(self, X: Any) -> Iterator[tuple[str, Tensor]]:
        a = self._as_input(X)
        yield "A0", a
        for number, layer in enumerate(self.architecture, start=1):
            z = linear(a, self.values[f"W{number}"], self.values[f"b{number}"])
            yield f"Z{number}", z
            a = ACTIVATIONS[layer["activation"]](z)
            yield f"A{number}", a

    def predict_proba(self, X: Any, batch_size: int | None = None) -> np.ndarray:
        """Return the last layer's activations as an array, without recording."""
        with no_grad():
            rows = self._as_input(X)
            size = max(len(rows), 1) if batch_size is None else whole_number("batch_size", batch_size)
            return np.concatenate([self(rows[i : i + size]).data for i in range(0, max(len(rows), 1), size)])

    def predict(self, X: Any, batch_size: int | None = None) -> np.ndarray:
        """Return each sample's class index (softmax), 0 or 1 for each output (sigmoid), or the outputs themselves.

        The shape is (m,) for one number per sample, (m, outputs) for several.
        """
        p = self.predict_proba(X, batch_size)
        if self.activation == "softmax":
            return np.asarray(p.argmax(axis=-1))
        found: np.ndarray = (p > 0.5).astype(int) if self.activation == "sigmoid" else p
        return found[:, 0] if self.outputs == 1 else found

    def summary(self, input: Any = None) -> str:
        """Return a table of the layers: output shape, activation, parameters, and their total."""
        m = "m" if input is None else len(input)
        rows = [("layer", "output shape", "activation", "parameters")]
        for number, layer in enumerate(self.architecture, start=1):
            count = self.values[f"W{number}"].size + self.values[f"b{number}"].size
            rows.append((f"dense {number}", f"({m}, {layer['output_dim']})", layer["activation"], f"{count:10,}"))
        return in_columns([*rows, ("total", "", "", f"{sum(p.size for p in self.parameters()):10,}")])

    def _as_input(self, X: Any) -> Tensor:
        rows = as_tensor(X, self.dtype)
        inputs = self.architecture[0]["input_dim"]
        if rows.ndim != 2 or rows.shape[1] != inputs:
            raise ValueError(f"this network takes rows of {inputs} numbers, X of shape (m, {inputs}); got {rows.shape}")
        return rows
