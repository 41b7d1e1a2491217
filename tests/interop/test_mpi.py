"""Data-parallel steps: ranks make the step of one process. Here ranks are threads; test_mpiexec.py starts processes."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

import numpy as np
import pytest
from thread_ranks import on_ranks

import tinygrad_nn as tg
from tinygrad_nn.interop.mpi import DataParallel, ShardedLoader

X, y = tg.data.make_moons(61, 0.1, 0)
Y = y.reshape(-1, 1).astype(float)


def network(seed: int) -> tg.nn.Sequential:
    return tg.nn.Sequential(tg.nn.Linear(2, 6, seed=seed), tg.nn.Tanh(), tg.nn.Linear(6, 1, seed=seed))


def optimizer_of(module: tg.nn.Module, kind: str) -> tg.optim.Optimizer:
    if kind == "SGD":
        return tg.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    first, *others = module.parameters()
    return tg.optim.Adam([{"params": [first], "lr": 0.02}, {"params": others}], lr=0.01)


def fitted(kind: str, rows: Any, comm: Any = None) -> np.ndarray:
    """Return the parameters after 30 steps on these rows."""
    module = network(0 if comm is None else comm.rank)
    optimizer = optimizer_of(module, kind)
    if comm is not None:
        optimizer = DataParallel(optimizer, comm)
    for _ in range(30):
        optimizer.zero_grad()
        if len(X[rows]):
            tg.binary_cross_entropy_with_logits(module(X[rows]), Y[rows]).backward()
        if isinstance(optimizer, DataParallel):
            optimizer.step(rows=len(X[rows]))
        else:
            optimizer.step()
    vector: np.ndarray = tg.ravel(module).data
    return vector


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_ranks_make_the_steps_of_one_process(kind: str, size: int) -> None:
    alone = fitted(kind, slice(None))
    each = on_ranks(size, lambda comm: fitted(kind, slice(comm.rank, None, comm.size), comm))
    for found in each:
        np.testing.assert_array_equal(found, each[0])
    np.testing.assert_allclose(each[0], alone, rtol=1e-12)


def test_a_rank_without_rows_counts_for_nothing() -> None:
    shards = [slice(0, 40), slice(0, 0), slice(40, None)]
    for found in on_ranks(3, lambda comm: fitted("Adam", shards[comm.rank], comm)):
        np.testing.assert_allclose(found, fitted("Adam", slice(None)), rtol=1e-12)


def test_one_exchange_a_step_of_gradients_that_some_rank_has() -> None:
    def run(comm: Any) -> Any:
        a, b, c = (tg.ones(2, dtype=np.float32, requires_grad=True) for _ in "abc")
        optimizer = DataParallel(tg.optim.SGD([a, b, c], lr=1.0), comm)
        (a * [1.0, 3.0][comm.rank] + (b if comm.rank else 0)).sum().backward()
        before = comm.calls
        optimizer.step(rows=[3, 1][comm.rank])
        assert comm.calls == before + 1
        assert c.grad is None
        assert a.dtype == np.float32
        return a.data, b.data

    for a, b in on_ranks(2, run):
        np.testing.assert_array_equal(a, 1 - np.full(2, (3 * 1 + 1 * 3) / 4))
        np.testing.assert_array_equal(b, 1 - np.full(2, 1 / 4))


def test_parameters_and_buffers_begin_as_those_of_rank_0() -> None:
    def run(comm: Any) -> Any:
        module = tg.nn.Sequential(tg.nn.Linear(2, 3, seed=comm.rank), tg.nn.BatchNorm1d(3)).astype(np.float32)
        module.train()
        module(X + comm.rank)
        DataParallel(tg.optim.SGD(module.parameters(), lr=0.1), comm, module)
        return module.state_dict()

    first, second = on_ranks(2, run)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        assert array.dtype == second[name].dtype


def test_it_acts_as_the_optimizer_within() -> None:
    def run(comm: Any) -> Any:
        module = network(0)
        inner = tg.optim.SGD(module.parameters(), lr=0.5, momentum=0.9)
        outer = DataParallel(inner, comm)
        schedule = tg.optim.lr_scheduler.StepLR(outer, 1, gamma=0.5)
        schedule.step()
        assert outer.lr == inner.lr == 0.25
        outer.lr = 0.125
        assert inner.lr == 0.125
        assert outer.param_groups is inner.param_groups
        tg.binary_cross_entropy_with_logits(module(X), Y).backward()
        outer.step()
        outer.load_state_dict(copy.deepcopy(outer.state_dict()))
        assert outer.state_dict().keys() == inner.state_dict().keys()
        assert "rank" in repr(outer)
        more = tg.tensor([float(comm.rank)], requires_grad=True)
        outer.add_param_group({"params": [more]})
        return more.item()

    assert on_ranks(2, run) == [0.0, 0.0]
    with pytest.raises(TypeError, match="DataParallel wraps an optimiser, got"):
        DataParallel(network(0))  # type: ignore[arg-type]


def trained(comm: Any = None, rows: Any = slice(None), **options: Any) -> Any:
    """Return the history, and the parameters, of a training on these rows."""
    module = network(getattr(comm, "rank", 0))
    optimizer: Any = tg.optim.Adam(module.parameters(), lr=0.02)
    if comm is not None:
        optimizer = DataParallel(optimizer, comm)
    if "scheduler" in options:
        options["scheduler"] = options["scheduler"](optimizer)
    settings: dict[str, Any] = {"epochs": 12, "compile": False, "loss": tg.binary_cross_entropy_with_logits}
    history = tg.train(module, X[rows], Y[rows], optimizer=optimizer, progress=False, **settings | options)
    return history, tg.ravel(module).data


def errors_of(outputs: Any, y: Any) -> float:
    return float(abs(outputs.data - y).mean())


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"clip_norm": 0.1}, {"metrics": {"error": errors_of}}, {"compile": True},
        {"scheduler": lambda optimizer: tg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.05)},
    ],
)  # fmt: skip
def test_a_training_is_that_of_one_process_with_all_rows(size: int, options: dict[str, Any]) -> None:
    history, vector = trained(validation=(X[:20], Y[:20]), **options)
    shards = [slice(rank, None, size) for rank in range(size)]
    compiled = options.get("compile", False)
    each = on_ranks(
        size,
        lambda comm: trained(comm, shards[comm.rank], validation=(X[:20], Y[:20]), **options | {"compile": compiled}),
    )
    for found, values in each:
        np.testing.assert_allclose(values, vector, rtol=1e-10)
        assert found.figures.keys() == history.figures.keys()
        for name, entries in history.figures.items():
            np.testing.assert_allclose(found[name], entries, rtol=1e-10, err_msg=name)


def test_in_a_training_too_a_rank_without_rows_counts_for_nothing() -> None:
    history, vector = trained()
    for found, values in on_ranks(3, lambda comm: trained(comm, [slice(0), slice(40), slice(40, None)][comm.rank])):
        np.testing.assert_allclose(values, vector, rtol=1e-10)
        np.testing.assert_allclose(found.cost, history.cost, rtol=1e-10)
    with pytest.raises(tg.errors.DataError, match="no rank has a sample: X has 0 rows on all of them"):
        on_ranks(2, lambda comm: trained(comm, slice(0)))


def test_a_communicator_needs_no_more_than_two_methods() -> None:
    class Two:
        def __init__(self, comm: Any) -> None:
            self.Bcast, self.Allreduce = comm.Bcast, comm.Allreduce

    _, vector = trained(validation=(X[:20], Y[:20]))
    for size in (2, 3):

        def run(comm: Any, size: int = size) -> Any:
            _, found = trained(Two(comm), slice(comm.rank, None, size), validation=(X[:20], Y[:20]))
            loader = ShardedLoader(tg.data.TensorDataset(np.arange(6)), 6, comm=Two(comm))
            return found, [rows.tolist() for (rows,) in loader]

        for rank, (found, parts) in enumerate(on_ranks(size, run)):
            np.testing.assert_allclose(found, vector, rtol=1e-10)
            assert parts == [np.array_split(np.arange(6), size)[rank].tolist()]


def test_a_schedule_may_be_of_the_optimizer_within() -> None:
    def run(comm: Any = None) -> Any:
        module = network(0)
        inner: Any = tg.optim.SGD(module.parameters(), lr=0.5)
        schedule = tg.optim.lr_scheduler.StepLR(inner, 2)
        outer = inner if comm is None else DataParallel(inner, comm)
        rows = slice(None) if comm is None else slice(comm.rank, None, 2)
        loss = tg.binary_cross_entropy_with_logits
        tg.train(module, X[rows], Y[rows], 5, loss=loss, optimizer=outer, scheduler=schedule, progress=False)
        return tg.ravel(module).data

    for found in on_ranks(2, run):
        np.testing.assert_allclose(found, run(), rtol=1e-10)


def test_ranks_with_fewer_batches_make_as_many_steps() -> None:
    """The batches of one process that the ranks' own add up to: with as many rows, however they are shuffled."""
    counts = [0, 0]

    def run(comm: Any) -> Any:
        rows = [slice(0, 50), slice(50, 57)][comm.rank]
        history, vector = trained(comm, rows, batch_size=8, accumulate=2, epochs=3)
        counts[comm.rank] = comm.calls
        return history.cost, vector

    (cost, first), (same, second) = on_ranks(2, run)
    assert cost == same
    np.testing.assert_array_equal(first, second)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_loader_gives_each_rank_its_part_of_every_batch(size: int) -> None:
    """So a training in batches is that of one process."""

    def run(comm: Any = None) -> Any:
        module = network(0)
        optimizer: Any = tg.optim.Adam(module.parameters(), lr=0.02)
        dataset = tg.data.TensorDataset(X, Y)
        if comm is None:
            loader = tg.data.DataLoader(dataset, 19, shuffle=True, seed=7)
        else:
            optimizer, loader = (
                DataParallel(optimizer, comm),
                ShardedLoader(dataset, 19, shuffle=True, seed=7, comm=comm),
            )
        history = tg.train(
            module, loader, epochs=30, loss=tg.binary_cross_entropy_with_logits, optimizer=optimizer, progress=False
        )
        return history.cost, tg.ravel(module).data

    cost, vector = run()
    for found, values in on_ranks(size, run):
        np.testing.assert_allclose(values, vector, rtol=1e-10)
        np.testing.assert_allclose(found, cost, rtol=1e-10)


def test_without_a_seed_all_ranks_draw_one() -> None:
    def run(comm: Any) -> Any:
        loader = ShardedLoader(range(10), 4, shuffle=True, comm=comm)
        return [[part.tolist() for part in loader.order()] for _ in range(2)]

    epochs = zip(*on_ranks(3, run), strict=True)
    for epoch in epochs:
        batches = [[*chain(*parts)] for parts in zip(*epoch, strict=True)]
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert sorted(chain(*batches)) == list(range(10))


def test_accumulated_batches_of_all_ranks_are_one_step() -> None:
    history, vector = trained(rows=slice(0, 48))
    for found, values in on_ranks(3, lambda comm: trained(comm, slice(comm.rank, 48, 3), batch_size=8, accumulate=2)):
        np.testing.assert_allclose(values, vector, rtol=1e-9)
        np.testing.assert_allclose(found.cost, history.cost, rtol=1e-9)


def test_ranks_stop_and_diverge_together() -> None:
    held_out = [(X[:30], Y[:30]), (X[30:], 1 - Y[30:])]  # what one rank learns the other forgets
    stopped = on_ranks(
        2,
        lambda comm: trained(
            comm, slice(comm.rank, None, 2), validation=held_out[comm.rank], early_stopping=2, epochs=60
        ),
    )
    assert len({len(history) for history, _ in stopped}) == 1
    assert len(stopped[0][0]) < 60
    np.testing.assert_array_equal(stopped[0][1], stopped[1][1])
    one = on_ranks(2, lambda comm: trained(comm, on_epoch=lambda epoch, _: comm.rank == 0 or epoch < 3)[0])
    assert [len(history) for history in one] == [4, 4]

    def broken(outputs: Any, y: Any) -> Any:
        return tg.binary_cross_entropy_with_logits(outputs, y) * (np.nan if len(y) == 30 else 1.0)

    raised = []

    def run(comm: Any) -> None:
        try:
            trained(comm, slice(comm.rank, None, 2), loss=broken)
        except tg.errors.DivergedError as error:
            raised.append(str(error))

    on_ranks(2, run)
    assert len(raised) == 2
    assert all("the cost became nan in epoch 0" in message for message in raised)


def noisy(seed: int) -> tg.nn.Sequential:
    return tg.nn.Sequential(
        tg.nn.Linear(2, 6, seed=0), tg.nn.BatchNorm1d(6), tg.nn.Tanh(), tg.nn.Dropout(0.3, seed=seed),
        tg.nn.Linear(6, 1, seed=1),
    )  # fmt: skip


def checkpointed(comm: Any, folder: Any, epochs: int = 6, **options: Any) -> Any:
    module = noisy(comm.rank)
    optimizer = DataParallel(tg.optim.Adam(module.parameters(), lr=0.02), comm, module)
    rows = slice(comm.rank, None, comm.size)
    history = tg.train(
        module, X[rows], Y[rows], epochs, batch_size=8, loss=tg.binary_cross_entropy_with_logits, optimizer=optimizer,
        validation=(X[rows], Y[rows]), early_stopping=50, shuffle_seed=comm.rank, checkpoint=folder, progress=False,
        compile=False, every_steps=3, **options,
    )  # fmt: skip
    return history.figures, module.state_dict()


class Killed(Exception):
    pass


def test_a_training_goes_on_bit_for_bit_with_every_ranks_own_generators(tmp_path: Any) -> None:
    whole = on_ranks(2, lambda comm: checkpointed(comm, tmp_path / "whole"))
    assert not np.array_equal(*[state["1.running_mean"] for _, state in whole])

    def killed(comm: Any) -> None:
        def on_epoch(epoch: int, history: Any) -> None:
            if epoch == 3:
                raise Killed

        checkpointed(comm, tmp_path / "broken", on_epoch=on_epoch)

    with pytest.raises(Killed):
        on_ranks(2, killed)
    resumed = on_ranks(2, lambda comm: checkpointed(comm, tmp_path / "broken", resume=True))
    for (figures, state), (same_figures, same) in zip(whole, resumed, strict=True):
        assert figures == same_figures
        for name, array in state.items():
            np.testing.assert_array_equal(array, same[name], err_msg=name)
    with pytest.raises(tg.errors.StateError, match="the number of ranks was 2, now is 3"):
        on_ranks(3, lambda comm: checkpointed(comm, tmp_path / "broken", resume=True))


def test_weights_have_their_mean_over_all_ranks() -> None:
    weights = np.random.default_rng(0).uniform(0, 3, len(X))
    kinds: list[dict[str, Any]] = [{"class_weight": "balanced"}, {"class_weight": {0: 1, 1: 4}}]
    for options in [{}, *kinds]:
        history, alone = trained(sample_weight=weights, **options)

        def part(comm: Any, options: Any = options) -> Any:  # a third of them, by class in part
            rows = np.argsort(y, kind="stable")[comm.rank * 20 : None if comm.rank == 2 else comm.rank * 20 + 20]
            return trained(comm, rows, sample_weight=weights[rows], **options)

        for found, parameters in on_ranks(3, part):
            np.testing.assert_allclose(parameters, alone, rtol=1e-9)
            np.testing.assert_allclose(found.cost, history.cost, rtol=1e-9)


def test_what_ranks_cannot_do_is_refused() -> None:
    def tiled(comm: Any) -> None:
        module = tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}])
        optimizer = DataParallel(tg.optim.SGD(module.parameters(), lr=0.1), comm)
        tg.train(module, X, Y, 1, optimizer=optimizer, workers=2, progress=False)

    with pytest.raises(ValueError, match="start more ranks instead"):
        on_ranks(2, tiled)
    for rows in (-1, float("nan")):

        def stepped(comm: Any, rows: float = rows) -> None:
            DataParallel(optimizer_of(network(0), "SGD"), comm).step(rows=rows)

        with pytest.raises(ValueError, match=r"rows= is how many rows .*, got .*; pass 0 for none"):
            on_ranks(1, stepped)
