"""Recurrent layers in PyTorch's layout. Each layer and direction is one operation, however long the sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.joining import concatenate, stack
from ..ops.recurrent.cells import gru, lstm, rnn_relu, rnn_tanh
from ..ops.settings import generator_of, one_of, share, whole_number
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from . import init
from .layers import dropped, unset
from .losses import like
from .module import Module


class _Recurrent(Module, settings={"dropout": share, "generator": generator_of}, fixed=["bias", "bidirectional"]):
    """The base of RNN, GRU and LSTM: weights in blocks for `_gates` gates, and `_states` arrays as the state."""

    _gates: int
    _states = 1
    _operation: Callable[..., Any]

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, *, dtype: Any = np.float64, seed: Any = None,
    ) -> None:  # fmt: skip
        self.input_size: int = input_size
        self.hidden_size: int = whole_number("hidden_size", hidden_size)
        self.num_layers: int = whole_number("num_layers", num_layers)
        self.bias: bool = bias
        self.batch_first: bool = batch_first
        self.dropout: float = dropout
        self.bidirectional: bool = bidirectional
        rows = self._gates * hidden_size
        for name in self._suffixes():
            inputs = input_size if name.startswith("_l0") else hidden_size * (1 + bidirectional)
            setattr(self, f"weight_ih{name}", unset(rows, inputs, dtype=dtype))
            setattr(self, f"weight_hh{name}", unset(rows, hidden_size, dtype=dtype))
            for part in ("ih", "hh") if bias else ():
                setattr(self, f"bias_{part}{name}", unset(rows, dtype=dtype))
        self.generator: np.random.Generator = seed
        self.reset_parameters(self.generator)

    def _suffixes(self) -> list[str]:
        """Return the suffixes of parameter names, by layer and direction."""
        directions = ("", "_reverse")[: 1 + self.bidirectional]
        return [f"_l{layer}{direction}" for layer in range(self.num_layers) for direction in directions]

    def reset_parameters(self, seed: Any = None) -> None:
        """Draw all parameters again."""
        generator, bound = np.random.default_rng(seed), 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            p.data = init.uniform(generator, p.shape, -bound, bound)

    def forward(self, x: Any, state: Any = None) -> tuple[Tensor, Any]:
        """Return the last layer's states at all steps, and the last states of all layers."""
        x = as_tensor(x)
        one = x.ndim == 2
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__} takes {'(N, T, I)' if self.batch_first else '(T, N, I)'}, or (T, I) for one "
                f"sequence, where I is {self.input_size}; reshape the input of shape {x.shape}"
            )
        x = x[:, None] if one else x.swapaxes(0, 1) if self.batch_first else x
        if not len(x):
            raise ValueError(f"{type(self).__name__} needs a sequence of at least 1 step; leave out empty ones")
        x, ended = self._through(x, self._begun(state, x, one))
        final = [stack(each)[:, 0] if one else stack(each) for each in ended]
        x = x[:, 0] if one else x.swapaxes(0, 1) if self.batch_first else x
        return x, final[0] if self._states == 1 else tuple(final)

    def _begun(self, state: Any, x: Tensor, one: bool) -> list[Any]:
        """Return the initial states of all layers, (L, N, H) each. Raises ValueError for other shapes."""
        shape = (len(self._suffixes()), x.shape[1], self.hidden_size)
        if state is None:
            return [np.zeros(shape, self._parameters_of(0)[0].dtype)] * self._states
        given = [like(x, h) for h in ([state] if self._states == 1 else state)]
        wanted = (shape[0], *shape[2:]) if one else shape
        if [h.shape for h in given] != [wanted] * self._states:
            raise ValueError(
                f"{type(self).__name__} begins with {'a state' if self._states == 1 else 'a pair of states'} of shape "
                f"{wanted}, layers and directions first, got {[h.shape for h in given]}; leave it out for zeros"
            )
        return [h[:, None] if one else h for h in given]

    def _through(self, x: Tensor, begun: list[Any]) -> tuple[Tensor, list[list[Tensor]]]:
        """Return the last layer's output, and the last states of all layers."""
        ended: list[list[Tensor]] = [[] for _ in begun]
        directions = 1 + self.bidirectional
        for layer in range(self.num_layers):
            outputs = []
            for index in range(layer * directions, (layer + 1) * directions):
                first = begun[0][index] if len(begun) == 1 else stack([h[index] for h in begun])
                reverse = index % directions == 1
                states = self._operation(x, first, *self._parameters_of(index), reverse=reverse)[: len(begun)]
                outputs.append(states[0])
                for each, h in zip(ended, states, strict=True):
                    each.append(h[0 if reverse else -1])
            x = concatenate(outputs, -1) if self.bidirectional else outputs[0]
            if self.training and layer + 1 < self.num_layers:
                x = dropped(x, self.dropout, self.generator)
        return x, ended

    def _parameters_of(self, index: int) -> list[Tensor]:
        """Return weights and biases of a layer in one direction."""
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
        return [getattr(self, kind + self._suffixes()[index]) for kind in kinds]


class GRU(_Recurrent):
    """Gated recurrent units, in stacked layers. Shapes: (T, N, I), (L, N, H) -> (T, N, H), (L, N, H), L = num_layers.

    From the state h, each step computes r = σ(W_r x + b_r + V_r h + c_r), z = σ(W_z x + b_z + V_z h + c_z),
    n = tanh(W_n x + b_n + r (V_n h + c_n)), and the next state (1 - z) n + z h. The initial state is the given one, or
    0. Returned are the last layer's states at all steps, and all layers' last ones. With `batch_first` the input and
    the states at all steps are (N, T, ...); one sequence, (T, I), goes without N everywhere. `bidirectional` layers
    read the sequence backwards too: they have 2H states, first those of time's direction, and L is twice num_layers.
    Between layers, while training, there is `dropout`.

    weight_ih_l0 (3H, I) stacks W_r, W_z and W_n, weight_hh_l0 (3H, H) the V, bias_ih_l0 (3H,) the b and bias_hh_l0
    (3H,) the c, if there is a `bias`; the names of layer k end in _lk, or backwards in _lk_reverse. All start uniform
    in ±1 / √H. Raises ValueError for other shapes.
    Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014), r moved as in PyTorch.

    >>> import tinygrad_nn as tg
    >>> y, h = tg.nn.GRU(3, 4, num_layers=2, bidirectional=True, seed=0)(tg.ones((7, 5, 3)))
    >>> y.shape, h.shape
    ((7, 5, 8), (4, 5, 4))
    """

    _gates, _operation = 3, staticmethod(gru)


class LSTM(_Recurrent):
    """Long short-term memory, in stacked layers; settings, shapes, names and initialisation are as in GRU.

    From the state h and the cell c, each step computes i, f, o = σ(W x + b + V h + c) and g = tanh(W x + b + V h + c),
    each with its own weights and biases, the next cell c' = f c + i g and the next state o tanh(c').
    The initial and the last state are pairs (h, c) of (L, N, H) each; weight_ih_l0 is (4H, I): i, f, g, o. Source:
    Hochreiter and Schmidhuber, Long short-term memory (1997); Gers et al. (2000) for f.

    >>> import tinygrad_nn as tg
    >>> y, (h, c) = tg.nn.LSTM(3, 4, batch_first=True, seed=0)(tg.ones((5, 7, 3)))
    >>> y.shape, h.shape, c.shape
    ((5, 7, 4), (1, 5, 4), (1, 5, 4))
    """

    _gates, _states, _operation = 4, 2, staticmethod(lstm)


class RNN(_Recurrent, settings={"nonlinearity": one_of("tanh", "relu")}):
    """Plain recurrent units, in stacked layers; settings, shapes, names and initialisation are as in GRU.

    From the state h, each step computes the next one, tanh(W x + b + V h + c), or with relu as `nonlinearity`.
    weight_ih_l0 is (H, I). Source: Elman, Finding structure in time (1990).

    >>> import tinygrad_nn as tg
    >>> y, h = tg.nn.RNN(3, 4, nonlinearity="relu", seed=0)(tg.ones((7, 3)))
    >>> y.shape, h.shape
    ((7, 4), (1, 4))
    """

    _gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, *,
        dtype: Any = np.float64, seed: Any = None,
    ) -> None:  # fmt: skip
        own = {"dtype": dtype, "seed": seed}
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **own)
        self.nonlinearity: str = nonlinearity

    def _operation(self, *inputs: Any, reverse: bool) -> Any:
        return (rnn_relu if self.nonlinearity == "relu" else rnn_tanh)(*inputs, reverse=reverse)
