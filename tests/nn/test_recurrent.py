"""RNN, GRU and LSTM against PyTorch's, and what being one operation each means."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from optional import pytorch
from same_bits import same

import tinygrad_nn as tg

torch = pytorch()
nn = tg.nn
KINDS = ["RNN", "GRU", "LSTM"]


def flat(state: Any) -> list[Any]:
    return list(state) if isinstance(state, tuple) else [state]


def drawn(kind: str, rng: np.random.Generator) -> tuple[Any, Any, Any, list[Any]]:
    """Return our module and PyTorch's, an input, and the first states: none, one or two."""

    def how(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    inputs, hidden, steps, n = how(1, 5), how(1, 5), how(1, 6), how(1, 4)
    settings: dict[str, Any] = {"num_layers": how(1, 4), "bias": bool(how(0, 4)), "batch_first": bool(how(0, 2))}
    settings["bidirectional"] = bool(how(0, 2))
    if kind == "RNN":
        settings["nonlinearity"] = ["tanh", "relu"][how(0, 2)]
    ours, theirs = (getattr(space, kind)(inputs, hidden, **settings) for space in (nn, torch.nn))
    one = how(0, 3) == 0
    shape = (steps,) if one else (n, steps) if settings["batch_first"] else (steps, n)
    states = settings["num_layers"] * (1 + settings["bidirectional"])
    begun = [rng.normal(size=(states, *([] if one else [n]), hidden)) for _ in range(1 + (kind == "LSTM"))]
    x = [1.0, 2000.0][how(0, 4) == 0] * rng.normal(size=(*shape, inputs))  # far out gates are shut, without a warning
    return ours, theirs.double(), x, begun if how(0, 2) else []


def given(tensors: list[Any]) -> list[Any]:
    """Return first states as an argument, if there are any."""
    return tensors if len(tensors) < 2 else [tuple(tensors)]


def close(a: Any, b: Any) -> None:
    b = np.asarray(b.detach())
    assert a.shape == b.shape
    assert np.abs(a.data - b).max(initial=0) <= 1e-10 * max(1.0, np.abs(b).max(initial=0))


@pytest.mark.parametrize("draw", range(8))
@pytest.mark.parametrize("kind", KINDS)
def test_a_recurrent_layer_computes_what_pytorchs_does(kind: str, draw: int) -> None:
    rng = np.random.default_rng(draw)
    ours, theirs, x, begun = drawn(kind, rng)
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})
    assert list(theirs.state_dict()) == list(ours.state_dict())
    mine = [tg.tensor(a, requires_grad=True) for a in (x, *begun)]
    their = [torch.tensor(a, requires_grad=True) for a in (x, *begun)]
    y, state = ours(mine[0], *given(mine[1:]))
    z, their_state = theirs(their[0], *given(their[1:]))
    results = [y, *flat(state)], [z, *flat(their_state)]
    assert len(results[0]) == len(results[1])
    weights = [rng.normal(size=t.shape) for t in results[1]]
    kept = rng.integers(0, 2, len(weights)) if draw % 2 else [1] * len(weights)  # not all outputs may be used
    kept[0] = 1
    sum([(t * w * k).sum() for t, w, k in zip(results[0], weights, kept, strict=True)]).backward()
    sum([(t * torch.tensor(w) * k).sum() for t, w, k in zip(results[1], weights, kept, strict=True)]).backward()
    for a, b in [*zip(*results, strict=True), *((a.grad, b.grad) for a, b in zip(mine, their, strict=True))]:
        close(a, b)
    for name, p in theirs.named_parameters():
        close(dict(ours.named_parameters())[name].grad, p.grad)
    ours.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_unit_and_one_sequence_of_any_length(kind: str, dtype: str) -> None:
    # A step's gates are a number each there, as far apart as there are steps: strides of every length.
    ours, theirs = getattr(nn, kind)(1, 1, seed=0, dtype=dtype), getattr(torch.nn, kind)(1, 1).to(getattr(torch, dtype))
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})
    for steps in range(1, 71):
        x = np.cos(np.arange(steps, dtype=dtype)).reshape(steps, 1, 1)
        mine, their = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(mine)[0], theirs(their)[0]
        y.sum().backward()
        z.sum().backward()
        assert mine.grad is not None
        for a, b in [(y.data, z.detach().numpy()), (mine.grad.data, their.grad.numpy())]:
            assert np.abs(a - b).max() <= 20 * np.finfo(dtype).eps, f"{steps} steps"


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_in_double_precision_does_not_widen_what_is_computed(kind: str) -> None:
    state = np.zeros((1, 1, 3))
    y, last = getattr(nn, kind)(2, 3, dtype=np.float32)(
        np.ones((4, 1, 2), np.float32), (state,) * 2 if kind == "LSTM" else state
    )
    assert {t.dtype for t in (y, *(last if kind == "LSTM" else [last]))} == {np.dtype(np.float32)}


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_between_layers_and_while_training(training: bool) -> None:
    """Where everything is dropped, nothing is drawn: PyTorch must agree."""
    ours, theirs = nn.GRU(3, 2, 3, dropout=1.0, seed=0), torch.nn.GRU(3, 2, 3, dropout=1.0).double()
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(4, 2, 3))
    for a, b in zip(ours.train(training)(x), theirs.train(training)(torch.tensor(x)), strict=True):
        close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recurrent_layer_begins_as_pytorchs(kind: str) -> None:
    torch.manual_seed(0)
    ours, theirs = getattr(nn, kind)(5, 400, seed=0), getattr(torch.nn, kind)(5, 400)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        largest = [np.abs(np.asarray(t.detach())).max() for t in (p, q)]
        assert largest == pytest.approx([1 / 20] * 2, rel=0.02), name
        assert p.data.std() == pytest.approx(1 / 20 / np.sqrt(3), rel=0.1), name
    assert not np.array_equal(getattr(nn, kind)(5, 400).weight_ih_l0.data, ours.weight_ih_l0.data)


def loss_of(module: Any) -> Callable[..., Any]:
    """Return a loss that reads all outputs of a module, given its parameters and input."""

    def loss(x: Any, *parameters: Any) -> Any:
        names = [name for name, _ in module.named_parameters()]
        y, state = module.with_parameters(dict(zip(names, parameters, strict=True)))(x)
        return (y * y).sum() + sum([(h * h * h).sum() for h in flat(state)])

    return loss


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_and_tangents_are_pytorchs(kind: str) -> None:
    rng = np.random.default_rng(0)
    settings: dict[str, Any] = {"num_layers": 1, "bidirectional": kind != "LSTM", "bias": kind == "GRU"}
    ours, theirs = (getattr(space, kind)(1, 2, **settings) for space in (nn, torch.nn))
    x = rng.normal(size=(3, 1, 1))
    values = [x, *[p.data for p in ours.parameters()]]
    names = [name for name, _ in theirs.named_parameters()]

    def their_loss(x: Any, *parameters: Any) -> Any:
        y, state = torch.func.functional_call(theirs, dict(zip(names, parameters, strict=True)), (x,))
        return (y * y).sum() + sum((h * h * h).sum() for h in flat(state))

    given = tuple(map(torch.tensor, values))
    everything = tuple(range(len(values)))
    expected = torch.autograd.functional.hessian(their_loss, given)
    for mine, row in zip(tg.hessian(loss_of(ours), argnums=everything)(*values), expected, strict=True):
        for a, b in zip(mine, row, strict=True):
            close(a, b)
    along = [rng.normal(size=v.shape) for v in values]
    slope = tg.jvp(loss_of(ours), values, along)[1]
    close(slope, torch.autograd.functional.jvp(their_loss, given, tuple(map(torch.tensor, along)))[1])
    assert tg.gradcheck(loss_of(ours), *values)


def step_of(module: Any, optimizer: Any) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        y, state = module(x)
        loss = (y * y).mean() + sum([(h * h).sum() for h in flat(state)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return y.detach()

    return step


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_compiled_step_equals_the_eager_one(kind: str, dtype: str) -> None:
    module = getattr(nn, kind)(3, 4, 2, dropout=0.3, bidirectional=True, batch_first=True, dtype=dtype, seed=0)
    twin = copy.deepcopy(module)
    steps = [step_of(m, tg.optim.Adam(m.parameters(), lr=0.01)) for m in (module, twin)]
    compiled, eager = tg.compile(steps[0], exact=True), steps[1]
    rng = np.random.default_rng(0)
    for training in (True, False, True):
        module.train(training)
        twin.train(training)
        for x in rng.normal(size=(3, 2, 5, 3)).astype(dtype):
            assert same(compiled(x).data, eager(x).data)
            assert same([*module.state_dict().values()], [*twin.state_dict().values()])
    assert {t.dtype for t in [*module.parameters(), *(p.grad for p in module.parameters())]} == {np.dtype(dtype)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_sequence_is_no_longer_program_nor_graph(kind: str) -> None:
    lengths = []
    for count in (2, 40):
        module = getattr(nn, kind)(3, 4, seed=0)
        step = tg.compile(step_of(module, tg.optim.SGD(module.parameters(), lr=0.1)))
        step(np.ones((count, 2, 3)))
        calls = step.source.partition("def step(")[2]  # what stands before lays out memory, by its sizes
        assert calls
        lengths.append((calls.count("\n"), step.explain().count("\n")))
    assert lengths[0] == lengths[1]


def test_the_explanation_has_a_line_for_each_pass() -> None:
    module = nn.GRU(3, 4, seed=0)
    step = tg.compile(step_of(module, tg.optim.SGD(module.parameters(), lr=0.1)))
    step(np.ones((5, 2, 3)))
    lines = [line.split("#")[0].strip() for line in step.explain().splitlines()]
    assert sum(" = gru(x, " in line for line in lines) == 1
    assert sum(" = gru_backward(" in line for line in lines) == 1
    assert any(line.startswith("dweight_hh_l0 = ") for line in lines)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 4))), r"takes \(T, N, I\).*I is 3; reshape"),
        (lambda: nn.LSTM(3, 4, batch_first=True)(np.ones(3)), r"takes \(N, T, I\)"),
        (lambda: nn.RNN(3, 4)(np.ones((0, 2, 3))), "at least 1 step; leave out"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3)), np.ones((1, 4))), r"of shape \(1, 2, 4\).*leave it out"),
        (lambda: nn.LSTM(3, 4)(np.ones((5, 3)), [np.ones((1, 4))]), r"a pair of states of shape \(1, 4\)"),
        (lambda: nn.RNN(3, 4, nonlinearity="sigmoid"), "nonlinearity must be 'tanh' or 'relu'"),
        (lambda: nn.GRU(3, 0), "hidden_size must be a whole number, 1 or more, got 0"),
    ],
)
def test_mistakes_get_a_remedy(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()
