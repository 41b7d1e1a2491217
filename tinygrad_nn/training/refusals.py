"""What a network can't be trained with, and what to pass instead."""

from __future__ import annotations

from typing import Any

from ..errors import given


def not_a_network(network: Any) -> str:
    return (
        f"a tg.nn.DenseNetwork is needed, got {given(network)}; make one by tg.nn.DenseNetwork(architecture); for a "
        "module of your own, write the loop: loss.backward(), optimizer.step(), optimizer.zero_grad()"
    )


def not_an_optimizer(optimizer: Any) -> str:
    return (
        f"an optimizer that holds this network's parameters is needed, got {given(optimizer)}; "
        "write optimizer=tg.optim.Adam(network.parameters(), lr=0.001)"
    )


def not_a_loss(loss: Any) -> str:
    return (
        f"a loss is a function (activations, y) -> cost, got {given(loss)}; leave loss= out to use the one that "
        "follows from the last activation"
    )


def no_loss_follows(activation: str) -> str:
    return (
        f"no loss follows from a last activation of {activation!r}; pass loss=, a function (activations, y) -> cost, "
        "or end the network with sigmoid, softmax or identity"
    )


def not_a_cost(cost: Any) -> str:
    return (
        f"a loss returns a Tensor of one entry, got {given(cost)}; compute it from the activations by recorded "
        "operations and reduce it, as in ((activations - y) ** 2).mean()"
    )


def trained_eagerly(error: Exception) -> str:
    return f"the training step is not compiled: {error}. Pass compile=False if that is meant to be so"


def not_in_tiles() -> str:
    return (
        "workers= adds up what tiles of a batch cost, each computed by itself; with a network or a loss of your own a "
        "cost need not be such a mean over samples. Leave out workers=, or train a tg.nn.DenseNetwork by one of the "
        "library's losses"
    )


def tiles_are_programs() -> str:
    return "workers= runs compiled programs; leave out compile=False, or workers="


def threads_of_workers() -> str:
    return "each of the workers computes with one thread of BLAS; pass workers= or blas_threads=, not both"


def diverged(what: str) -> str:
    return (
        f"{what}; the network keeps the parameters of its last finite cost. "
        "Lower the learning rate, or scale the inputs to about 1"
    )


def whole_number(name: str, value: Any, least: int) -> str:
    return f"{name} must be a whole number, {least} or more, got {value!r} of type {type(value).__name__}"
