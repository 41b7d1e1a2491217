"""What of PyTorch's is not here, in nn, optim and data: each error says so, and what to write."""

import inspect
import re
from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.nn.habits import METHODS, NAMES, OPTIMIZERS
from tinygrad_nn.ops.settings import SETTINGS

nn: Any = tg.nn  # without the types that forbid such calls
optim: Any = tg.optim
train: Any = tg.train
LOADER: Any = tg.data.DataLoader
LOAD: Any = tg.load
SPLIT: Any = tg.data.random_split
PARAMETERS = tg.nn.Linear(2, 2, seed=0).parameters()


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in NAMES for name in NAMES[library]])
def test_a_name_of_another_library_says_what_to_write(library: str, name: str) -> None:
    homes = [("nn", nn), ("nn.init", nn.init), ("optim", optim), ("optim.lr_scheduler", optim.lr_scheduler)]
    if library == "PyTorch":
        torch = pytorch()
        theirs = [torch.nn, torch.nn.init, torch.optim, torch.optim.lr_scheduler]
        homes = [home for home, its in zip(homes, theirs, strict=True) if hasattr(its, name)]
        assert homes
    for where, ours in homes:
        words = rf"^{re.escape(where)}\.{name} is {library}'s name; write "
        with pytest.raises(AttributeError, match=words) as raised:
            getattr(ours, name)
        for path in re.findall(r"\b(?:tg|nn|optim)(?:\.\w+)+", str(raised.value).partition("write ")[2]):
            eval(path, {"tg": tg, "nn": nn, "optim": optim})


def test_other_names_get_pythons_words() -> None:
    with pytest.raises(AttributeError, match=r"module 'tinygrad_nn\.nn' has no attribute 'Linaer'"):
        nn.Linaer
    assert not hasattr(optim, "__wrapped__")
    with pytest.raises(AttributeError, match=r"^nn\.relu is not there; write tg\.relu$"):
        nn.relu
    with pytest.raises(AttributeError, match=r"^data\.ConcatDataset is PyTorch's name; write a class with"):
        getattr(tg.data, "ConcatDataset")  # noqa: B009


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in METHODS for name in METHODS[library]])
def test_a_method_of_another_library_says_what_to_write(library: str, name: str) -> None:
    assert library == "Keras" or hasattr(pytorch().nn.Module, name)
    with pytest.raises(AttributeError, match=rf"^Linear\.{name} is {library}'s name; write "):
        getattr(nn.Linear(2, 2), name)


@pytest.mark.parametrize("name", OPTIMIZERS["Keras"])
def test_a_name_of_an_optimiser_says_what_to_write(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"^SGD\.{name} is Keras's name; write "):
        getattr(optim.SGD(PARAMETERS), name)


def settings() -> list[tuple[str, Any, Any]]:
    """Return each class that both have, with PyTorch's."""
    torch = pytorch()
    pairs = [(nn, torch.nn), (optim, torch.optim), (optim.lr_scheduler, torch.optim.lr_scheduler)]
    pairs.append((tg.data, torch.utils.data))
    both = [(name, ours, getattr(theirs, name, None)) for home, theirs in pairs for name, ours in vars(home).items()]
    return [each for each in both if isinstance(each[1], type) and isinstance(each[2], type)]


def test_a_setting_is_pytorchs_or_is_said_not_to_be_here() -> None:
    """By the names, and in the order, of PyTorch's parameters: what is not taken by position is refused by name."""
    without = {"dtype", "params", "defaults", "args", "kwargs", "tensors", "_weight", "_freeze", "input", "in_order"}
    without |= {"pin_memory_device"}
    for name, ours, theirs in settings():
        own = inspect.signature(ours).parameters
        for setting, p in inspect.signature(theirs).parameters.items():
            assert setting in own or setting in without | SETTINGS["PyTorch"].keys(), (name, setting)
            if setting in own and "reduc" not in setting:
                alike = own[setting].default == p.default or {p.default, own[setting].default} & {p.empty, None}
                assert alike or callable(p.default) or (name, setting) == ("Softplus", "threshold"), (name, setting)
        positional = [s for s, p in own.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        theirs_too = [s for s in inspect.signature(theirs).parameters if s in positional]
        assert theirs_too == [s for s in positional if s in theirs_too], name


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.Linear(2, 2, device="cpu"), "Linear has no device=, which is PyTorch's; leave it out"),
        (lambda: nn.Conv2d(1, 1, 3, device="cpu"), "Conv2d has no device="),
        (lambda: nn.GRU(2, 2, proj_size=1), "GRU has no proj_size=.*; put a Linear layer after it"),
        (lambda: nn.Dropout(0.5, inplace=True), "Dropout has no inplace=.*; leave it out: a tensor is a value"),
        (lambda: nn.Flatten(start_dim=1), "Flatten has no start_dim=.*; write start_axis="),
        (lambda: nn.CrossEntropyLoss(size_average=False), "CrossEntropyLoss has no size_average=.*; write reduction="),
        (lambda: nn.MaxPool2d(2, return_indices=True), "MaxPool2d has no return_indices="),
        (lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="zeros"), "ConvTranspose2d has no padding_mode="),
        (lambda: optim.Adam(PARAMETERS, fused=True), "Adam has no fused=.*; leave it out"),
        (lambda: optim.SGD(PARAMETERS, maximize=True), "SGD has no maximize=.*; minimise -loss"),
        (
            lambda: optim.lr_scheduler.StepLR(optim.SGD(PARAMETERS), 1, last_epoch=3),
            "StepLR has no last_epoch=.*; use load_state_dict",
        ),
        (lambda: LOADER([1], num_workers=2), "DataLoader has no num_workers=.*; leave it out"),
        (lambda: LOAD("model.npz", map_location="cpu"), "load has no map_location=, which is PyTorch's; leave it out"),
        (lambda: SPLIT([1], [1], generator=None), "random_split has no generator=.*; write seed="),
        (
            lambda: nn.Linear(2, 2, unitz=3),
            "Linear has no unitz=; write in_features=, out_features=, bias=, dtype=, seed=",
        ),
        (lambda: nn.Linear(2, 2, activation="relu"), "Linear has no activation=, which is Keras's; put nn.ReLU"),
        (lambda: optim.Adam(PARAMETERS, learning_rate=0.1), "Adam has no learning_rate=, which is Keras's; write lr="),
        (lambda: train(nn.Linear(2, 2), validation_data=1), "train has no validation_data=, .*; write validation="),
        (lambda: optim.SGD(PARAMETERS, 0.1).step(lambda: 1), "step has no closure=.*; call it before the step"),
        (lambda: optim.SGD(PARAMETERS, 0.1).step(closure=None), "step has no closure="),
        (lambda: nn.Linear(2, 2).named_parameters(prefix="a"), "named_parameters has no prefix=.*; put it before"),
        (lambda: nn.Linear(2, 2).parameters(recurse=False), "parameters has no recurse=.*; take those"),
        (lambda: nn.Linear(2, 2).state_dict(prefix="a"), "state_dict has no prefix=.*; put it before"),
        (lambda: nn.Linear(2, 2).load_state_dict({}, assign=True), "load_state_dict has no assign=.*; leave it out"),
        (lambda: nn.Linear(2, 2).parameters(1), "takes 1 positional argument"),
    ],
)
def test_a_setting_of_pytorchs_says_what_to_write(call: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.Linear(2, 2, True, "cpu"),
        lambda: nn.Dropout(0.5, True),
        lambda: nn.MaxPool2d(2, 2, 0, 1, True),
        lambda: nn.Embedding(3, 2, 0, 1.0),
        lambda: nn.GroupNorm(1, 2, 1e-5, True, "cpu"),
        lambda: LOADER([1], 1, True, None),
    ],
)
def test_what_pytorch_has_at_a_place_is_not_taken_for_something_else(call: Any) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        call()


class Unready(tg.nn.Linear):
    def __init__(self) -> None:
        self.steps = 3

    @property
    def scale(self) -> Any:
        return self.scales[0]  # type: ignore[attr-defined]


class UnreadySGD(tg.optim.SGD):
    def __init__(self, params: Any) -> None:
        self.lr = 0.1


class UnreadyRate(tg.optim.lr_scheduler.StepLR):
    def __init__(self, optimizer: Any) -> None:
        self.rate = 0.1


class UnreadyLoader(tg.data.DataLoader):
    def __init__(self) -> None:
        self.size = 3


class UnreadyList(tg.nn.Sequential):
    def __init__(self) -> None:
        self.size = 3


class UnreadyNetwork(tg.nn.DenseNetwork):
    def __init__(self) -> None:
        self.size = 3


@pytest.mark.parametrize(
    "call",
    [
        lambda: Unready()(np.ones((1, 2))),
        lambda: UnreadySGD(PARAMETERS).step(),
        lambda: UnreadyRate(optim.SGD(PARAMETERS)).step(),
        lambda: list(UnreadyLoader()),
        lambda: UnreadyList()(np.ones(2)),
        lambda: UnreadyList().parameters(),
        lambda: repr(UnreadyList()),
        lambda: UnreadyNetwork().state_dict(),
        lambda: UnreadyNetwork()(np.ones((1, 2))),
    ],
)
def test_a_class_that_forgets_the_one_that_it_extends_is_told(call: Any) -> None:
    with pytest.raises(AttributeError, match=r"set it in __init__, after super\(\)\.__init__"):
        call()


def test_a_property_fails_with_its_own_words() -> None:
    with pytest.raises(AttributeError, match="Unready has no attribute 'scales'"):
        Unready().scale


@pytest.mark.parametrize("make", [lambda m: m, lambda m: optim.SGD(m.parameters())])
def test_gradients_are_forgotten_or_zero(make: Any) -> None:
    module = nn.Linear(2, 1, seed=0)
    module(np.ones((1, 2))).backward()
    module.bias.grad = None
    make(module).zero_grad(set_to_none=False)
    assert module.weight.grad.tolist() == [[0.0, 0.0]]
    assert module.bias.grad is None
    make(module).zero_grad()
    assert module.weight.grad is None
