"""What a network can't be trained with, and what to pass instead."""

from __future__ import annotations

from typing import Any

from ..errors import given


def not_a_module(module: Any) -> str:
    return (
        f"a tg.nn.Module is needed, got {given(module)}; make one by tg.nn.DenseNetwork(architecture), or by "
        "tg.nn.Sequential(...) of layers"
    )


def not_an_optimizer(optimizer: Any) -> str:
    return (
        f"an optimizer that holds this module's parameters is needed, got {given(optimizer)}; "
        "write optimizer=tg.optim.Adam(module.parameters(), lr=0.001)"
    )


def not_a_loss(loss: Any) -> str:
    return (
        f"a loss is a function (outputs, y) -> cost, got {given(loss)}; pass one such as tg.mse_loss or "
        "tg.nn.MSELoss(), or for a DenseNetwork leave loss= out to use the one that follows from the last activation"
    )


def no_loss() -> str:
    return (
        "a loss follows from the module for a DenseNetwork only; pass loss=, a function (outputs, y) -> cost such as "
        "tg.cross_entropy or tg.mse_loss"
    )


def no_loss_per_sample(loss: Any) -> str:
    return (
        f"weights multiply the loss of each sample, which {_named(loss)} does not "
        'give; pass a loss that takes reduction="none" and then returns one per sample, such as tg.cross_entropy'
    )


def not_of_samples(output: Any) -> str:
    return (
        f"an output, {given(output)} in the first batch, does not have the samples on axis 0, so batches of it can't "
        "be joined; leave out batch_size=, or return only outputs of samples"
    )


def name_taken(name: Any) -> str:
    return (
        f"a metric can't be named {name!r}: a history has cost, epoch, seconds, its own methods and what begins with "
        "validation_ for itself; give it another name, a text"
    )


def not_arrays(name: str, values: Any) -> str:
    return (
        f"{name} is a {type(values).__name__}, and arrays are needed: pass those that it was made of; only tg.train "
        "takes a tg.data.DataLoader, in place of X and y"
    )


def not_a_scheduler(scheduler: Any) -> str:
    return (
        f"a schedule of the optimizer that is passed is needed, got {given(scheduler)}; write "
        "scheduler=tg.optim.lr_scheduler.StepLR(optimizer, 10), and optimizer=optimizer"
    )


def no_loss_follows(activation: str) -> str:
    return (
        f"no loss follows from a last activation of {activation!r}; pass loss=, a function (outputs, y) -> cost, "
        "or end the network with sigmoid, softmax or identity"
    )


def not_a_cost(cost: Any) -> str:
    return (
        f"a loss returns a Tensor of one entry, got {given(cost)}; compute it from the activations by recorded "
        "operations and reduce it, as in ((activations - y) ** 2).mean()"
    )


def not_in_tiles() -> str:
    return (
        "workers= adds up what tiles of a batch cost, each computed by itself; with a module or a loss of your own a "
        "cost need not be such a mean over samples. Leave out workers=, or train a tg.nn.DenseNetwork by one of the "
        "library's losses, without weights, accumulate=, clip_norm= and ignored labels"
    )


def diverged(what: str, origin: Any) -> str:
    began = "" if origin is None else f". It began here: {origin}"
    return (
        f"{what}; the module keeps the parameters of its last finite cost. "
        f"Lower the learning rate, or scale the inputs to about 1{began}"
    )


def _named(loss: Any) -> str:
    return str(getattr(loss, "__name__", type(loss).__name__))
