"""The contract, point 1: a change to a Module is seen, wherever the Module was met."""

from __future__ import annotations

import copy
import itertools
import random
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, Y, assert_refused, ran
from same_bits import same

import tinygrad_nn as tg


class Other(tg.nn.Module):
    """A module of another class than `Inner`."""

    def forward(self, x: Any) -> Any:
        return np.sin(x)


class Inner(tg.nn.Module):
    """A module in another one."""

    factor = 1.0

    def forward(self, x: Any) -> Any:
        return x * self.factor


class Net(tg.nn.Module):
    """A module with all that a module may hold."""

    training = True

    def __init__(self) -> None:
        self.w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        self.scale, self.how, self.mask = 2.0, "tanh", np.array([1.0, 0.0, 1.0])
        self.settings: dict[str, Any] = {"shift": 0.5, "nested": {"slope": [1.0, 2.0]}, "kinds": {"relu"}}
        self.inner, self.blocks = Inner(), [Inner(), Inner()]
        self.plain, self.recent = SimpleNamespace(depth=1.0), deque([1.0], maxlen=2)

    def forward(self, x: Any) -> Any:
        y = getattr(np, self.how)(x * self.w) * self.scale + self.settings["shift"]
        y = y * self.settings["nested"]["slope"][1] * self.mask + self.plain.depth
        y = y if self.training else y * 0.5
        y = np.maximum(y, 0) if "relu" in self.settings["kinds"] else y
        for block in [self.inner, *self.blocks]:
            y = block.forward(y)
        return y * getattr(self, "extra", 1.0) * self.recent[-1]

    def step(self, x: Any) -> Any:
        ran()
        loss = self.forward(x).sum()
        self.w.grad = None
        loss.backward()
        return loss.detach()


def renew(net: Any) -> None:
    net.w = tg.tensor([0.5, -1.0, 2.0], requires_grad=True)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "an attribute": lambda net: setattr(net, "scale", 3.0),
    "a string": lambda net: setattr(net, "how", "sin"),
    "an attribute over the class's": lambda net: setattr(net, "training", False),
    "an attribute that did not exist": lambda net: setattr(net, "extra", 4.0),
    "a method shadowed": lambda net: setattr(net, "forward", lambda x: x * net.w),
    "an entry of a dict": lambda net: net.settings.__setitem__("shift", 1.5),
    "an entry of a list in a dict in a dict": lambda net: net.settings["nested"]["slope"].__setitem__(1, 5.0),
    "an entry of a set": lambda net: net.settings["kinds"].clear(),
    "an entry of a deque": lambda net: net.recent.append(3.0),
    "an array written into": lambda net: net.mask.__setitem__(1, 0.5),
    "another array": lambda net: setattr(net, "mask", np.array([0.5, 0.25, 1.0])),
    "an array of another shape": lambda net: setattr(net, "mask", np.array([[0.5], [0.25]])),
    "a number in place of an array": lambda net: setattr(net, "mask", 0.5),
    "a module within": lambda net: setattr(net.inner, "factor", 3.0),
    "a module in a list": lambda net: setattr(net.blocks[1], "factor", 3.0),
    "one module more": lambda net: net.blocks.append(SimpleNamespace(forward=np.sin)),
    "another module": lambda net: setattr(net, "inner", Other()),
    "another parameter": renew,
    "a parameter's data": lambda net: setattr(net.w, "data", np.array([0.5, -1.0, 2.0])),
    "another plain object": lambda net: setattr(net, "plain", SimpleNamespace(depth=2.0)),
    "another class": lambda net: setattr(net, "__class__", type("Other", (Net,), {"training": False})),
}


def by_method(net: Net) -> Callable[[Any], Any]:
    return net.step


def by_closure(net: Net) -> Callable[[Any], Any]:
    return lambda x: net.step(x)


def by_called_function(net: Net) -> Callable[[Any], Any]:
    def called(x: Any) -> Any:
        return net.step(x)

    return lambda x: called(x)


@pytest.mark.parametrize("way", [by_method, by_closure, by_called_function], ids=lambda way: way.__name__)
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(what: str, way: Callable[[Net], Callable[[Any], Any]]) -> None:
    net, other = Net(), Net()
    twin = Twin(way(net), way(other))
    assert [twin.equal(X), twin.equal(Y)] == [1, 0]
    CHANGES[what](net)
    CHANGES[what](other)
    twin.equal(X)
    assert twin.equal(Y) == 0
    assert same(net.w.data, other.w.data)
    assert same(net.w.grad, other.w.grad)


@pytest.mark.parametrize("what", ["an array written into", "another array", "a parameter's data"])
def test_arrays_and_parameters_are_inputs(what: str) -> None:
    net, other = Net(), Net()
    twin = Twin(net.step, other.step)
    twin.equal(X)
    CHANGES[what](net)
    CHANGES[what](other)
    assert twin.equal(Y) == 0


def test_an_array_that_is_read_past_the_modules_attributes() -> None:
    net = Net()

    def f(x: Any) -> Any:
        ran()
        mask = vars(net)["mask"]
        return x if mask is None else x * mask.sum()

    twin = Twin(f)
    assert [twin.equal(X), twin.equal(Y)] == [1, 0]
    net.mask[0] = 5.0
    assert [twin.equal(X), twin.equal(Y)] == [1, 0]
    net.mask = np.full(3, 7.0)
    assert [twin.equal(X), twin.equal(Y)] == [1, 0]
    vars(net)["mask"] = None
    assert [twin.equal(X), twin.equal(Y)] == [1, 0]


def test_a_module_that_is_an_argument() -> None:
    net, other = Net(), Net()

    def f(module: Any, x: Any) -> Any:
        return module.step(x)

    step = tg.compile(f, exact=True)
    for what in ("an attribute", "an attribute over the class's", "an array written into", "a module within"):
        assert same(step(net, X), f(other, X))
        CHANGES[what](net)
        CHANGES[what](other)
    assert same(step(net, X), f(other, X))


def test_a_change_of_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    net, other = Net(), Net()
    twin = Twin(net.step, other.step)
    twin.equal(X)
    monkeypatch.setattr(Net, "training", False)
    assert twin.equal(X) == 1
    monkeypatch.setattr(Inner, "factor", 3.0)
    assert twin.equal(X) == 1
    monkeypatch.setattr(Inner, "forward", lambda self, x: x * 5.0)
    assert twin.equal(X) == 1


class Shared(tg.nn.Module):
    """A module that reads what its class holds."""

    gains: dict[str, list[float]] = {"all": [1.0, 2.0]}  # noqa: RUF012
    mask = np.array([1.0, 0.0, 1.0])

    def forward(self, x: Any) -> Any:
        ran()
        return x * self.gains["all"][1] + self.mask


class Derived(Shared):
    """A module whose base class holds what it reads."""


def test_a_change_in_what_a_class_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shared, "gains", copy.deepcopy(Shared.gains))
    monkeypatch.setattr(Shared, "mask", Shared.mask.copy())
    module = Derived()
    twin = Twin(lambda x: module.forward(x))
    assert [twin.equal(X), twin.equal(Y)] == [1, 0]
    changes: list[Callable[[], Any]] = [
        lambda: Shared.gains["all"].__setitem__(1, 3.0),
        lambda: Shared.gains.update(all=[1.0, 5.0]),
        lambda: Shared.mask.__setitem__(1, 4.0),
    ]
    for change in changes:
        change()
        assert twin.equal(X) == 1
        assert twin.equal(Y) == 0


def test_what_does_not_change_is_replayed() -> None:
    net = Net()
    twin = Twin(net.step)
    assert [twin.equal(X * k) for k in (1.0, 2.0, 3.0)] == [1, 0, 0]
    net.settings["shift"] = 0.5
    net.scale = 2.0
    assert twin.equal(X) == 0


def test_a_copy_of_a_module_changes_nothing_in_its_class() -> None:
    class Doubling(tg.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    class Copied(Doubling):
        def forward(self, x: Any) -> Any:
            return copy.copy(inner)(x)

    inner, net = Doubling(), Copied()
    f = tg.compile(net.forward)
    assert same(f(X), X * 2)
    copy.deepcopy(net)
    f(X)
    assert len(f.programs) == 1
    assert [len(programs) for programs in f.programs.values()] == [1]


def test_plain_objects_inside_are_frozen() -> None:
    net = Net()
    twin = Twin(net.step)
    twin.equal(X)
    net.plain.depth = 9.0
    found = twin.step(X)
    net.plain.depth = 1.0
    assert same(found, net.step(X))


class Dropout(tg.nn.Module):
    """A module that draws from its own generator while it trains."""

    training = True

    def __init__(self) -> None:
        self.generator = np.random.default_rng(3)

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        kept = self.generator.random(x.shape) < 0.75
        x = x[:, self.generator.permutation(3)]
        return np.where(kept, x, 0.0) + 0.1 * self.generator.standard_normal(3)


@pytest.mark.parametrize("way", ["closure", "called function"])
def test_a_modules_own_generator_draws_as_eager_would(way: str) -> None:
    def made() -> tuple[Dropout, Callable[[Any], Any]]:
        dropout = Dropout()

        def called(x: Any) -> Any:
            return dropout.forward(x)

        def by_name(x: Any) -> Any:
            ran()
            return dropout.forward(x) * 2

        def by_call(x: Any) -> Any:
            ran()
            return called(x) * 2

        return dropout, by_name if way == "closure" else by_call

    (dropout, f), (other, eager) = made(), made()
    twin = Twin(f, eager)
    for n in range(5):
        assert twin.equal(X) == (n == 0)
        assert dropout.generator.bit_generator.state == other.generator.bit_generator.state
    for each in (dropout, other):
        each.training = False
    twin.equal(X)
    for each in (dropout, other):
        each.training = True
        each.generator.random(7)
    twin.equal(X)
    for each in (dropout, other):
        each.generator = np.random.default_rng(11)
    twin.equal(X)
    twin.equal(X)
    assert dropout.generator.bit_generator.state == other.generator.bit_generator.state


def test_a_draw_is_taken_back_where_a_branch_goes_the_other_way() -> None:
    def made() -> tuple[Dropout, Callable[..., Any]]:
        dropout = Dropout()
        return dropout, lambda x, n: (x if n > 1.0 else -x) * dropout.generator.random(3)

    (dropout, f), (other, eager) = made(), made()
    twin = Twin(f, eager)
    for n in (2.0, 0.0, 3.0, -1.0):
        twin.equal(X, n)
        assert dropout.generator.bit_generator.state == other.generator.bit_generator.state


def test_the_state_of_a_modules_generator_is_not_used() -> None:
    dropout = Dropout()

    def step(x: Any) -> Any:
        generator = dropout.generator.bit_generator
        state = generator.state
        y = dropout.generator.random(3)
        generator.state = state
        return x + y - dropout.generator.random(3)

    before = dropout.generator.bit_generator.state
    assert_refused(step, X, says="uses the state of a module's generator")
    assert dropout.generator.bit_generator.state == before


class Drawing(tg.nn.Module):
    """A module whose draws no trace notes; `numbers` would be read on."""

    of_class = np.random.default_rng(3)

    def __init__(self, **held: Any) -> None:
        vars(self).update(held)


UNNOTED: dict[str, tuple[Callable[[], Drawing], Callable[[Any], Any]]] = {
    "a RandomState": (lambda: Drawing(own=np.random.RandomState(3)), lambda module: module.own.rand()),
    "a random.Random": (lambda: Drawing(own=random.Random(3)), lambda module: module.own.random()),
    "a bit generator": (
        lambda: Drawing(own=np.random.PCG64(3)),
        lambda module: np.random.Generator(module.own).random(),
    ),
    "a Generator in a list": (lambda: Drawing(own=[np.random.default_rng(3)]), lambda module: module.own[0].random()),
    "a Generator of the class": (Drawing, lambda module: module.of_class.random()),
    "a Generator past its attribute": (
        lambda: Drawing(own=np.random.default_rng(3)),
        lambda module: vars(module)["own"].random(),
    ),
}


@pytest.mark.parametrize("what", UNNOTED)
def test_a_generator_of_a_module_whose_draws_are_not_noted_is_refused(what: str) -> None:
    make, draw = UNNOTED[what]
    module, untouched, of_class = make(), make(), copy.deepcopy(Drawing.of_class)
    assert_refused(lambda x: x * draw(module), X, says=r"argument|draw from a NumPy Generator that a module holds")
    assert Drawing.of_class.bit_generator.state == of_class.bit_generator.state
    assert draw(module) == (of_class.random() if what == "a Generator of the class" else draw(untouched))


class Numbered(tg.nn.Module):
    """A module with a number, which an iterator of its class gives."""

    numbers = itertools.count()

    def __init__(self, **held: Any) -> None:
        vars(self).update(held, number=next(Numbered.numbers))

    def forward(self, x: Any) -> Any:
        return x * 2

    def next(self, x: Any) -> Any:
        return x * next(self.numbers)


def test_an_iterator_of_a_module_is_refused_where_it_is_read() -> None:
    for module in (Numbered(), Numbered(numbers=iter([1.0, 2.0]))):
        assert_refused(module.next, X, says=r"reads an iterator.*argument")
        assert same(tg.compile(module.forward)(X), X * 2)
        assert next(module.numbers) in (1.0, 2)
    holder: Any = Numbered(held=[iter([1.0, 2.0])])  # which nothing would tell of
    assert_refused(lambda x: x * next(holder.held[0]), X, says=r"iterator that a module.*argument")


def test_a_module_with_slots_is_refused() -> None:
    class Slotted(tg.nn.Module):
        __slots__ = ("factor",)

        def __init__(self) -> None:
            object.__setattr__(self, "factor", 2.0)

        def forward(self, x: Any) -> Any:
            return x * self.factor  # type: ignore[attr-defined]

    module = Slotted()
    assert_refused(lambda x: module.forward(x), X, says=r"leave __slots__ out")


class Counting(tg.nn.Module):
    """A module that changes itself."""

    def __init__(self) -> None:
        self.calls, self.seen, self.last = 0, [0.5], np.zeros(3)

    def by_attribute(self, x: Any) -> Any:
        self.calls += 1
        return x * self.calls

    def by_list(self, x: Any) -> Any:
        self.seen.append(2.0)
        return x * len(self.seen)

    def by_running_mean(self, x: Any) -> Any:
        self.last = 0.9 * self.last + 0.1 * x.mean(axis=0)
        return x - self.last


@pytest.mark.parametrize("what", ["by_attribute", "by_list", "by_running_mean"])
def test_a_module_that_the_function_changes_is_refused(what: str) -> None:
    module = Counting()
    last = module.last
    assert_refused(getattr(module, what), X, says=r"return|argument|Tensor|tensor")
    assert (module.calls, module.seen) == (0, [0.5])
    assert module.last is last
    assert not last.any()


# ---- tg.train, by the same contract ----


def network() -> Any:
    layers = [
        {"input_dim": 3, "output_dim": 4, "activation": "tanh"},
        {"input_dim": 4, "output_dim": 1, "activation": "sigmoid"},
    ]
    return tg.nn.DenseNetwork(layers, seed=3)


class EveryFifth(tg.optim.SGD):
    """An optimiser that steps every fifth call, by a counter of its own."""

    calls = 0

    def step(self) -> None:
        self.calls += 1
        if self.calls % 5 == 0:
            super().step()


class Warm(tg.optim.SGD):
    """An optimiser that warms up, by a counter of its own."""

    t = 0

    def update(self, w: Any, g: Any, state: Any) -> Any:
        self.t += 1
        return w - self.lr * min(1.0, self.t / 20) * g, state


@pytest.mark.parametrize("kind", [EveryFifth, Warm])
def test_an_optimiser_that_counts_its_own_steps_trains_as_it_is(kind: Any) -> None:
    rng = np.random.default_rng(0)
    data, labels = rng.normal(size=(12, 3)), rng.integers(0, 2, (12, 1)).astype(float)
    trained = []
    for compiled in (True, False):
        net = network()
        optimizer = kind(net.parameters(), lr=0.5)

        def run(net: Any = net, optimizer: Any = optimizer, compiled: bool = compiled) -> Any:
            return tg.train(net, data, labels, 12, progress=False, optimizer=optimizer, compile=compiled).cost

        if compiled:
            with pytest.warns(RuntimeWarning, match=r"not compiled"):
                cost = run()
        else:
            cost = run()
        trained.append((cost, [p.data for p in net.parameters()]))
    assert same(*trained)


ON_EPOCH: dict[str, Callable[[Any, Any, int], Any]] = {
    "a parameter": lambda net, optimizer, n: net.values.__setitem__("W1", tg.tensor(np.ones((4, 3)))),
    "the learning rate": lambda net, optimizer, n: setattr(optimizer, "lr", 0.5 / n),
    "a parameter's data": lambda net, optimizer, n: setattr(net.parameters()[0], "data", np.full((4, 3), 0.5)),
}


@pytest.mark.parametrize("what", ON_EPOCH)
def test_train_sees_what_callbacks_change(what: str) -> None:
    rng = np.random.default_rng(0)
    data, labels = rng.normal(size=(12, 3)), rng.integers(0, 2, (12, 1)).astype(float)
    trained = []
    for compiled in (True, False):
        net = network()
        optimizer = tg.optim.SGD(net.parameters(), lr=0.5)

        def on_epoch(epoch: int, history: Any, net: Any = net, optimizer: Any = optimizer) -> None:
            if epoch % 3 == 2:
                ON_EPOCH[what](net, optimizer, epoch)

        history = tg.train(
            net, data, labels, 9, progress=False, optimizer=optimizer, on_epoch=on_epoch, compile=compiled
        )
        trained.append((history.cost, [p.data for p in net.parameters()]))
    assert same(*trained)


class Averaging(tg.nn.Module):
    """A module that keeps count and a mean by `self.name += ...`, which sets the tensor that stands there."""

    def __init__(self) -> None:
        self.w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        self.count, self.mean, self.mask = tg.nn.Buffer(np.array(0.0)), tg.zeros(3), np.ones(3)

    def forward(self, x: Any) -> Any:
        self.count += 1
        self.mean *= 0.9
        self.mean += 0.1 * x.mean(axis=0)
        return (x - self.mean) * self.w / self.count


def test_an_attribute_is_set_to_the_tensor_that_stands_there() -> None:
    net, other = Averaging(), Averaging()

    def step_of(net: Any) -> Callable[[Any], Any]:
        def step(x: Any) -> Any:
            ran()
            net.train()
            loss = net(x).sum()
            net.w.grad = None
            loss.backward()
            with tg.no_grad():
                net.w -= 0.1 * net.w.grad
            return loss.detach()

        return step

    twin = Twin(step_of(net), step_of(other))
    assert [twin.equal(x) for x in (X, Y, X)] == [1, 0, 0]
    net.w, other.w = (tg.tensor([3.0, 1.0, 2.0], requires_grad=True) for _ in range(2))
    assert [twin.equal(x) for x in (Y, X)] == [1, 0]
    assert all(same(getattr(net, name), getattr(other, name)) for name in ("w", "count", "mean"))


def test_an_attribute_is_set_to_another_value() -> None:
    net = Averaging()
    net.eval()
    assert_refused(lambda x: (net.train(), x * 2)[1], X, says="sets the attribute 'training'.*return the new value")
    mask = net.mask
    assert_refused(lambda x: setattr(net, "mask", mask), X, says="sets the attribute 'mask'.*return the new value")
    assert (net.training, net.mask is mask) == (False, True)
