"""The same training step in each library, written as its own documentation writes it.

A contestant is made from a `Training`, and is called and read as in `steps_by_hand`. It imports its
library when it is made, so that a process holds only the library that it runs.
"""

# ruff: noqa: D102  (the text above says what a contestant's methods do)
from __future__ import annotations

import os
from typing import Any

import numpy as np
from works import LEARNING_RATE, Training


class Ours:
    """tinygrad_nn, eager or with the whole step compiled, its data as arguments.

    With `in_tiles` it is an epoch of `tg.train`, with as many workers as BLAS would have threads.
    """

    def __init__(self, work: Training, compiled: bool = False, in_tiles: bool = False) -> None:
        import tinygrad_nn as tg

        relus = len(work.widths) - 2
        last = "sigmoid" if work.binary else "softmax"
        network = tg.nn.DenseNetwork(
            [
                {"input_dim": k, "output_dim": n, "activation": name}
                for k, n, name in zip(work.widths, work.widths[1:], ["relu"] * relus + [last], strict=False)
            ],
            dtype=work.dtype,
        )
        names = [name for name, _ in network.named_parameters()]
        network.load_state_dict(dict(zip(names, work.initial(), strict=True)))
        optimizer = tg.optim.SGD(network.parameters(), lr=LEARNING_RATE)
        loss_of = tg.binary_cross_entropy_with_logits if work.binary else tg.cross_entropy
        self.X, self.y = work.data()

        def step(X: Any, y: Any) -> Any:
            loss = loss_of(network.logits(X), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        workers = int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1)

        def epoch(X: Any, y: Any) -> Any:
            return tg.train(network, X, y, 1, progress=False, optimizer=optimizer, workers=workers)

        self.step, self.network = epoch if in_tiles else tg.compile(step) if compiled else step, network

    def __call__(self) -> None:
        self.loss = self.step(self.X, self.y)

    def parameters(self) -> list[np.ndarray]:
        return [p.data for p in self.network.parameters()]


class PyTorch:
    """PyTorch: nn.Sequential of nn.Linear and nn.ReLU, optim.SGD.

    It runs eagerly, or compiled as far as possible: the loss with its backward pass, and the optimiser's step.
    """

    def __init__(self, work: Training, compiled: bool = False) -> None:
        import torch

        layers: list[Any] = []
        for k, n in zip(work.widths, work.widths[1:], strict=False):
            layers += [torch.nn.Linear(k, n, dtype=getattr(torch, work.dtype)), torch.nn.ReLU()]
        network = torch.nn.Sequential(*layers[:-1])
        with torch.no_grad():
            for p, array in zip(network.parameters(), work.initial(), strict=True):
                p.copy_(torch.from_numpy(array))
        optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
        functional = torch.nn.functional
        loss_of = functional.binary_cross_entropy_with_logits if work.binary else functional.cross_entropy
        X, y = map(torch.from_numpy, work.data())

        def forward() -> Any:
            return loss_of(network(X), y)

        compiler = torch.compile if compiled else lambda function: function
        loss_now, update = compiler(forward), compiler(optimizer.step)

        def step() -> None:
            loss = loss_now()
            optimizer.zero_grad()
            loss.backward()
            update()

        self.step, self.network = step, network

    def __call__(self) -> None:
        self.step()

    def parameters(self) -> list[np.ndarray]:
        return [p.detach().numpy() for p in self.network.parameters()]


class Jax:
    """JAX: the whole step under `jit`, with the old parameters donated; compiling is not timed."""

    def __init__(self, work: Training) -> None:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", work.dtype == "float64")
        X, y = map(jnp.asarray, work.data())

        def loss(values: list[Any], X: Any, y: Any) -> Any:
            for W, b in zip(values[:-2:2], values[1:-2:2], strict=True):
                X = jax.nn.relu(X @ W.T + b)
            z = X @ values[-2].T + values[-1]
            if work.binary:
                return jnp.mean(jnp.logaddexp(0, z) - z * y)
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1))

        def update(values: list[Any], X: Any, y: Any) -> tuple[list[Any], Any]:
            cost, gradients = jax.value_and_grad(loss)(values, X, y)
            return [w - LEARNING_RATE * g for w, g in zip(values, gradients, strict=True)], cost

        self.update, self.X, self.y = jax.jit(update, donate_argnums=0), X, y
        self.values = list(map(jnp.array, work.initial()))

    def __call__(self) -> None:
        self.values, cost = self.update(self.values, self.X, self.y)
        cost.block_until_ready()

    def parameters(self) -> list[np.ndarray]:
        return list(map(np.asarray, self.values))


class MyGrad:
    """MyGrad; `guarded` is its default, which locks arrays against writing while a graph holds them."""

    def __init__(self, work: Training, guarded: bool = True) -> None:
        import mygrad as mg
        from mygrad.nnet.activations import relu
        from mygrad.nnet.losses import softmax_crossentropy

        (mg.turn_memory_guarding_on if guarded else mg.turn_memory_guarding_off)()
        X, y = work.data()
        self.values = values = list(map(mg.tensor, work.initial()))

        def step() -> None:
            a = X
            for W, b in zip(values[:-2:2], values[1:-2:2], strict=True):
                a = relu(a @ W.T + b)
            z = a @ values[-2].T + values[-1]
            loss = mg.mean(mg.logaddexp(0, z) - z * y) if work.binary else softmax_crossentropy(z, y)
            loss.backward()
            for w in values:
                w.data -= LEARNING_RATE * w.grad

        self.step = step

    def __call__(self) -> None:
        self.step()

    def parameters(self) -> list[np.ndarray]:
        return [w.data for w in self.values]


class Autograd:
    """HIPS autograd: `value_and_grad` of a function of the list of parameters."""

    def __init__(self, work: Training) -> None:
        import autograd.numpy as anp
        from autograd import value_and_grad

        X, y = work.data()
        rows = np.arange(work.rows)

        def loss(values: list[Any]) -> Any:
            a = X
            for W, b in zip(values[:-2:2], values[1:-2:2], strict=True):
                a = anp.maximum(anp.dot(a, W.T) + b, 0)
            z = anp.dot(a, values[-2].T) + values[-1]
            if work.binary:
                return anp.mean(anp.logaddexp(0, z) - z * y)
            shifted = z - anp.max(z, axis=1, keepdims=True)
            return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[rows, y])

        self.slope, self.values = value_and_grad(loss), work.initial()

    def __call__(self) -> None:
        self.cost, gradients = self.slope(self.values)
        self.values = [w - LEARNING_RATE * g for w, g in zip(self.values, gradients, strict=True)]

    def parameters(self) -> list[np.ndarray]:
        return self.values
