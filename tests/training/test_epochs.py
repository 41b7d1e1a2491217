"""Training any module: against the loop that one would write, to the last bit, and what each option means."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from optional import pytorch
from small import data, problem, small

import tinygrad_nn as tg

X, Y = data(50)
LABELS = Y.astype(int)
HELD_OUT = (data(20, 1)[0], data(20, 1)[1].astype(int))


def model(dtype: Any = np.float64) -> tg.nn.Sequential:
    return tg.nn.Sequential(
        tg.nn.Linear(2, 8, dtype=dtype, seed=1), tg.nn.BatchNorm1d(8, dtype=dtype), tg.nn.Tanh(),
        tg.nn.Dropout(0.2, seed=3), tg.nn.Linear(8, 2, dtype=dtype, seed=2),
    )  # fmt: skip


def adam(module: Any) -> Any:
    return tg.optim.Adam(module.parameters(), 0.02)


def same(one: tg.nn.Module, other: tg.nn.Module) -> bool:
    states = [m.state_dict() for m in (one, other)]
    generators = [[g.bit_generator.state for g in m.generators().values()] for m in (one, other)]
    return generators[0] == generators[1] and all(np.array_equal(x, states[1][name]) for name, x in states[0].items())


def by_hand(module: Any, optimizer: Any, scheduler: Any, epochs: int, size: int, accumulate: int, clip: Any) -> Any:
    """Train as one would write it, and return costs, validation costs and learning rates by epoch."""
    generator, figures = np.random.default_rng(7), []
    for _ in range(epochs):
        order, costs, sizes = generator.permutation(50), [], []
        starts = range(0, 50, size)
        module.train()
        for group in [starts[i : i + accumulate] for i in range(0, len(starts), accumulate)]:
            optimizer.zero_grad()
            rows = [order[start : start + size] for start in group]
            for r in rows:
                cost = tg.cross_entropy(module(X[r]), LABELS[r])
                (cost * (len(r) / sum(map(len, rows))) if len(rows) > 1 else cost).backward()
                costs.append(cost.item())
                sizes.append(len(r))
            if clip is not None:
                tg.optim.clip_grad_norm_(module.parameters(), clip)
            optimizer.step()
        module.eval()
        validated = tg.cross_entropy(module(HELD_OUT[0]), HELD_OUT[1]).item()
        plateau = isinstance(scheduler, tg.optim.lr_scheduler.ReduceLROnPlateau)
        scheduler.step(*[validated] if plateau else [])
        figures.append((float(np.average(costs, weights=sizes)), validated, optimizer.lr))
    module.train()
    return figures


@pytest.mark.parametrize("plateau", [False, True])
@pytest.mark.parametrize(("accumulate", "clip"), [(1, None), (2, 0.1)])
def test_a_module_is_trained_as_by_the_loop_that_one_would_write(accumulate: int, clip: Any, plateau: bool) -> None:
    schedules = tg.optim.lr_scheduler

    def parts() -> Any:
        module = model()
        optimizer = adam(module)
        plain = schedules.StepLR(optimizer, 2, 0.5)
        return (
            module,
            optimizer,
            schedules.ReduceLROnPlateau(optimizer, patience=0, threshold=0.2) if plateau else plain,
        )

    twin, optimizer, scheduler = parts()
    expected = by_hand(twin, optimizer, scheduler, 6, 8, accumulate, clip)
    module, optimizer, scheduler = parts()
    rates: list[float] = []
    history = tg.train(
        module, X, LABELS, 6, batch_size=8, loss=tg.cross_entropy, optimizer=optimizer, scheduler=scheduler,
        validation=HELD_OUT, accumulate=accumulate, clip_norm=clip, shuffle_seed=7, progress=False,
        on_epoch=lambda epoch, _: rates.append(optimizer.lr), metrics={"accuracy": tg.accuracy},
    )  # fmt: skip
    assert same(module, twin)
    costs, validated, lrs = zip(*expected, strict=True)
    assert history.cost == pytest.approx(costs, rel=1e-13)
    assert history.validation_cost == [*validated]
    assert rates == [*lrs]
    assert history.validation_accuracy[-1] == tg.accuracy(tg.predict(module, HELD_OUT[0]), HELD_OUT[1])


def by_pytorch(torch: Any, state: dict[str, np.ndarray], weights: Any) -> tuple[list[float], list[float], Any]:
    """Train as the test below does, in PyTorch; return costs, validation costs and the model."""
    nn, data = torch.nn, [torch.tensor(x) for x in (X, LABELS, weights, *HELD_OUT)]
    twin = nn.Sequential(nn.Linear(2, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2)).double()
    twin.load_state_dict({name: torch.tensor(x) for name, x in state.items()})
    optimizer = torch.optim.AdamW(twin.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)
    generator, costs, validated = np.random.default_rng(0), list[float](), list[float]()
    for _ in range(6):
        order, total = generator.permutation(50), 0.0
        twin.train()
        for start in range(0, 50, 20):  # two batches of 10 rows a step, one in the last
            optimizer.zero_grad()
            group = order[start : start + 20]
            for rows in (group[:10], group[10:]):
                if len(rows):
                    losses = nn.functional.cross_entropy(twin(data[0][rows]), data[1][rows], reduction="none")
                    weighed = (losses * data[2][rows]).sum()
                    (weighed / len(group)).backward()
                    total += weighed.item()
            nn.utils.clip_grad_norm_(twin.parameters(), 0.3)
            optimizer.step()
        scheduler.step()
        twin.eval()
        costs.append(total / 50)
        validated.append(nn.functional.cross_entropy(twin(data[3]), data[4]).item())
    return costs, validated, twin


def test_a_training_is_pytorchs() -> None:
    """Batch norm, AdamW, a cosine, weights, accumulation and clipping together, over six epochs.

    There is no bias before batch norm: its gradient is rounding alone, which AdamW would scale up.
    """
    torch = pytorch()
    module = tg.nn.Sequential(
        tg.nn.Linear(2, 8, bias=False, seed=1), tg.nn.BatchNorm1d(8), tg.nn.Tanh(), tg.nn.Linear(8, 2, seed=2)
    )
    weights = np.linspace(0.5, 1.5, 50)
    costs, validated, twin = by_pytorch(torch, module.state_dict(), weights)
    optimizer = tg.optim.AdamW(module.parameters(), lr=0.05)
    history = tg.train(
        module, X, LABELS, 6, batch_size=10, loss=tg.nn.CrossEntropyLoss(), optimizer=optimizer, accumulate=2,
        scheduler=tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6), validation=HELD_OUT, clip_norm=0.3,
        sample_weight=weights, progress=False,
    )  # fmt: skip
    assert history.cost == pytest.approx(costs, rel=1e-10)
    assert history.validation_cost == pytest.approx(validated, rel=1e-10)
    for name, x in twin.state_dict().items():
        np.testing.assert_allclose(module.state_dict()[name], x.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [(np.float64, {}), (np.float64, {"accumulate": 3, "clip_norm": 0.1}), (np.float32, {"class_weight": "balanced"})],
)
def test_compiled_training_of_layers_is_the_eager_one(dtype: Any, options: dict[str, Any]) -> None:
    found = []
    for compile in (True, False):
        module = model(dtype)
        history = tg.train(
            module, X, LABELS, 4, batch_size=8, loss=tg.cross_entropy, optimizer=adam(module), progress=False,
            compile=compile, **options,
        )  # fmt: skip
        assert {p.grad.dtype for p in module.parameters() if p.grad is not None} == {np.dtype(dtype)}
        found.append((history.cost, [t.data for t in (*module.parameters(), *module.buffers())], module.generators()))
    eps = 1e4 * float(np.finfo(dtype).eps)
    assert found[0][0] == pytest.approx(found[1][0], rel=eps)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=eps, atol=eps)
    states = [[g.bit_generator.state for g in each[2].values()] for each in found]
    assert states[0] == states[1]


def test_modules_train_in_train_mode_and_have_their_own_modes_before_and_after_each_epoch() -> None:
    seen: list[bool] = []

    class Noting(tg.nn.Module):
        def forward(self, x: Any) -> Any:
            seen.append(self.training)
            return x

    module = tg.nn.Sequential(model(), Noting().eval())
    module[0][3].eval()
    before = [m.training for m in module.modules()]
    between: list[Any] = []
    tg.train(
        module, X, LABELS, 2, batch_size=25, loss=tg.cross_entropy, validation=HELD_OUT, progress=False,
        on_epoch=lambda epoch, _: between.append([m.training for m in module.modules()]),
    )  # fmt: skip
    assert seen == [True, True, False] * 2
    assert between == [before, before]
    assert [m.training for m in module.modules()] == before


def test_early_stopping_restores_parameters_and_buffers_of_the_best_epoch() -> None:
    module = model()
    states: list[dict[str, np.ndarray]] = []
    history = tg.train(
        module, X, LABELS, 500, batch_size=10, loss=tg.cross_entropy, optimizer=adam(module), validation=HELD_OUT,
        early_stopping=4, progress=False, on_epoch=lambda epoch, _: states.append(module.state_dict()),
    )  # fmt: skip
    best = history.validation_cost.index(min(history.validation_cost))
    assert len(history) == best + 1 + 4 < 500
    assert all(np.array_equal(x, states[best][name]) for name, x in module.state_dict().items())
    assert tg.evaluate(module, *HELD_OUT, tg.cross_entropy)[0] == min(history.validation_cost)


def test_early_stopping_restores_the_best_also_where_the_epochs_end_first() -> None:
    module = model()
    tg.train(module, X, LABELS, 20, loss=tg.cross_entropy, optimizer=adam(module), progress=False)
    history = tg.train(
        module, X, LABELS, 6, 2.0, loss=tg.cross_entropy, validation=HELD_OUT, early_stopping=99, progress=False
    )
    assert min(history.validation_cost) < history.validation_cost[-1]
    assert tg.evaluate(module, *HELD_OUT, tg.cross_entropy)[0] == min(history.validation_cost)


@pytest.mark.parametrize(("activation", "outputs"), [("sigmoid", 1), ("softmax", 3), ("identity", 2), ("tanh", 1)])
def test_weights_count_samples(activation: str, outputs: int) -> None:
    """A whole weight is as many copies of the sample, a weight of 0 none, and their scale is immaterial."""
    generator = np.random.default_rng(0)
    weights = generator.integers(0, 4, 50)
    y = generator.integers(0, 3, 50) if activation == "softmax" else generator.random((50, outputs))
    loss = tg.nn.L1Loss() if activation == "tanh" else None
    weighed, copied = small(activation, outputs), small(activation, outputs)
    options: dict[str, Any] = {"progress": False, "loss": loss, "epochs": 5, "learning_rate": 0.3}
    found = tg.train(weighed, X, y, sample_weight=0.7 * weights, **options)
    copies = np.repeat(np.arange(50), weights)
    assert found.cost == pytest.approx(tg.train(copied, X[copies], y[copies], **options).cost, rel=1e-12)
    for p, q in zip(weighed.parameters(), copied.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-12)


SEQUENCES = np.array([[0, 1, 2], [1, -100, -100], [2, 2, -100], [0, 1, 1]])


@pytest.mark.parametrize("loss", [tg.nn.CrossEntropyLoss([1.0, 5.0, 0.2]), lambda p, y: tg.nll_loss(p, y) ** 2])
def test_a_step_of_several_batches_costs_the_mean_of_theirs(loss: Any) -> None:
    rows, y = X[:6], np.array([0, 1, 2, 2, 1, 1])
    module, twin = (tg.nn.Linear(2, 3, seed=0) for _ in "ab")
    order = np.random.default_rng(5).permutation(6)
    parts = [order[:4], order[4:]]
    costs = [loss(twin(rows[part]), y[part]) for part in parts]
    cost = (4 * costs[0] + 2 * costs[1]) / 6
    cost.backward()
    assert twin.weight.grad is not None
    history = tg.train(module, rows, y, 1, 0.5, 4, loss=loss, accumulate=2, shuffle_seed=5, progress=False)
    assert history.cost == [pytest.approx(cost.item(), rel=1e-12)]
    np.testing.assert_allclose(module.weight.data, twin.weight.data - 0.5 * twin.weight.grad.data, rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_with_weights_the_cost_is_the_mean_over_all_samples(reduction: str) -> None:
    module, weights = tg.nn.Linear(2, 3, seed=0), np.array([1.0, 2.0, 3.0, 2.0])
    rows = np.arange(24.0).reshape(4, 3, 2) / 10
    each = tg.cross_entropy(module(rows), SEQUENCES, reduction="none").data.mean(axis=1)
    loss = partial(tg.cross_entropy, reduction=reduction)
    history = tg.train(module, rows, SEQUENCES, 1, 0.0, loss=loss, sample_weight=weights, progress=False)
    assert history.cost == [pytest.approx(np.mean(each * weights / 2), rel=1e-12)]


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (tg.nn.KLDivLoss(reduction="batchmean"), np.full((4, 3), 0.25)),
        (tg.nn.CrossEntropyLoss([1.0, 5.0, 0.2]), np.eye(4, 3)),
        (tg.nn.CrossEntropyLoss(label_smoothing=0.1), np.array([0, 1, 2, 2])),
        (lambda p, y, ignore_index=None: tg.cross_entropy(p, y), np.array([0, 1, 2, 2])),
        (tg.nn.BCEWithLogitsLoss([1.0, 5.0, 0.2], pos_weight=2.0), np.eye(4, 3)),
    ],
)
def test_equal_weights_are_neutral_and_batches_add_up_to_one(loss: Any, y: Any) -> None:
    left = []
    weighed = {"sample_weight": np.ones(4)} if isinstance(loss, tg.nn.Module) else {}
    for options in ({}, weighed, {"batch_size": 3, "accumulate": 2}):
        module = tg.nn.Linear(2, 3, seed=0)
        history = tg.train(module, np.arange(8.0).reshape(4, 2), y, 1, 0.1, loss=loss, progress=False, **options)
        left.append([*history.cost, *module.weight.data.flat])
    np.testing.assert_allclose(left[1], left[0], rtol=1e-12)
    np.testing.assert_allclose(left[2], left[0], rtol=1e-12)


def test_weights_of_classes_multiply_those_of_samples() -> None:
    labels = np.array([0] * 40 + [1] * 10)
    several: list[dict[str, Any]] = [
        {"class_weight": "balanced"},
        {"class_weight": {0: 1, 1: 4}},
        {"class_weight": {0: 2, 1: 1}, "sample_weight": np.where(labels, 8, 1)},
    ]
    found = [tg.train(small(), X, labels, 5, 0.3, 16, progress=False, **options).cost for options in several]
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[0] == pytest.approx(found[2], rel=1e-12)


class Pair(tg.nn.Module):
    """Two inputs, as arguments or by name."""

    def __init__(self) -> None:
        self.w = tg.tensor([0.5, -0.5], requires_grad=True)

    def forward(self, a: Any, b: Any) -> Any:
        return (a * self.w).sum(axis=1) + b


@pytest.mark.parametrize("by_name", [False, True])
def test_several_inputs_and_labels_are_batched_together(by_name: bool) -> None:
    module, b = Pair(), np.arange(50.0)
    inputs = {"b": b, "a": X} if by_name else (X, b)
    target = X @ [1.0, 2.0]

    def loss(outputs: Any, y: Any) -> Any:
        return ((outputs - y["b"] - y["target"]) ** 2).mean()

    history = tg.train(module, inputs, {"b": b, "target": target}, 60, 0.2, 16, loss=loss, progress=False, compile=True)
    assert history.cost[-1] < 1e-4 * history.cost[0]
    np.testing.assert_allclose(module.w.data, [1.0, 2.0], rtol=0.01)
    with pytest.raises(tg.errors.DataError, match=r"X has 50 rows, y has shape \(49,\)"):
        tg.train(module, inputs, target[:49], 1, loss=loss, progress=False)


@pytest.mark.parametrize(("activation", "loss"), [("identity", tg.huber_loss), ("tanh", tg.mse_loss)])
def test_a_regression_has_no_accuracy_whatever_its_loss(activation: str, loss: Any) -> None:
    network = tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": activation}])
    X = np.random.default_rng(0).normal(size=(20, 2))
    assert np.isnan(tg.train(network, X, X[:, :1], 2, loss=loss, progress=False).accuracy).all()
    assert np.isnan(tg.evaluate(network, X, X[:, :1], loss)[1])
    labels = (X[:, :1] > 0).astype(float)
    assert 0 <= tg.evaluate(network, X, labels, loss)[1] <= 1


@pytest.mark.parametrize("returned", [False, np.False_, np.array(False), tg.tensor(False)])
def test_false_ends_the_training(returned: Any) -> None:
    network, X, y = problem()
    assert len(tg.train(network, X, y, 9, progress=False, on_epoch=lambda epoch, _: returned)) == 1


def loader(size: int = 8, seed: int = 7, **settings: Any) -> tg.data.DataLoader:
    return tg.data.DataLoader(tg.data.TensorDataset(X, LABELS), size, shuffle=True, seed=seed, **settings)


def test_a_loader_trains_as_its_arrays_do() -> None:
    options: dict[str, Any] = {"loss": tg.cross_entropy, "accumulate": 2, "progress": False}
    of_arrays, of_loader = (tg.nn.Linear(2, 3, seed=0) for _ in "ab")
    first = tg.train(of_arrays, X, LABELS, 3, 0.1, 8, shuffle_seed=7, validation=HELD_OUT, **options)
    held_out = tg.data.DataLoader(tg.data.TensorDataset(*HELD_OUT), 3)
    second = tg.train(of_loader, loader(), epochs=3, learning_rate=0.1, validation=held_out, **options)
    assert (first.cost, first.validation_cost) == (second.cost, second.validation_cost)
    assert same(of_arrays, of_loader)


def test_a_dropped_batch_is_not_trained_on() -> None:
    seen: list[int] = []

    def noted(p: Any, y: Any) -> Any:
        seen.append(len(y))
        return ((p - y) ** 2).mean()

    for drop_last in (False, True):
        batches = tg.data.DataLoader(tg.data.TensorDataset(X[:20], X[:20, :1]), 8, drop_last=drop_last)
        tg.train(tg.nn.Linear(2, 1), batches, epochs=2, loss=noted, progress=False)
    assert seen == [8, 8, 4] * 2 + [8, 8] * 2


def test_a_loader_of_samples_that_are_made_when_they_are_asked_for() -> None:
    class Squares:
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int, /) -> Any:
            return np.array([index / 20, 1.0]), np.array([2 * index / 20])

    batches = tg.data.DataLoader(Squares(), batch_size=6, shuffle=True, seed=0)
    history = tg.train(
        tg.nn.Linear(2, 1, seed=0), batches, epochs=60, learning_rate=0.3, loss=tg.mse_loss, progress=False,
        validation=(np.array([[0.5, 1.0]]), np.array([[1.0]])),
    )  # fmt: skip
    assert history.cost[-1] < 0.01 * history.cost[0]
    assert history.validation_cost[-1] < 0.01
