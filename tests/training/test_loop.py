"""The training loop: losses, batches, interrupts and divergence, and what evaluate and accuracy say."""

import math
from typing import Any

import numpy as np
import pytest
from article import MODERATE, Case, by_hand, cases, gradient, layers
from hypothesis import given
from small import LABELS, ROWS, data, small

import tinygrad_nn as tg
from tinygrad_nn.errors import DataError, DivergedError, DtypeError


def test_accuracy_by_hand() -> None:
    assert tg.accuracy([0, 0, 1], [0.2, 0.1, 0.9]) == 1.0
    assert tg.accuracy([[0.9], [0.5], [0.2], [0.7]], [[1], [0], [0], [0]]) == 0.75
    assert tg.accuracy([0.9, 0.5, 0.2], [1, 1, 0]) == pytest.approx(2 / 3)
    assert tg.accuracy([[0.9], [0.5]], [1, 1]) == 0.5
    assert tg.accuracy([[0.9, 0.1], [0.9, 0.9]], [[1, 0], [1, 0]]) == 0.5
    assert tg.accuracy([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]], [1, 2]) == 0.5
    assert tg.accuracy(tg.tensor([[2.0, 1.0]], requires_grad=True), tg.tensor([0])) == 1.0


def test_accuracy_of_sequences_counts_each_entry_that_has_a_label() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 5, 3))
    labels = np.random.default_rng(1).integers(3, size=(4, 5))
    labels[:, 3:] = -100
    right = [scores[i, t].tolist().index(max(scores[i, t])) == labels[i, t] for i in range(4) for t in range(3)]
    assert tg.accuracy(scores, labels) == sum(right) / 12
    assert 0 < sum(right) < 12
    assert np.isnan(tg.accuracy(scores, np.full((4, 5), -100)))
    identity = tg.nn.Sequential(tg.nn.Linear(3, 3, seed=0))
    assert tg.evaluate(identity, scores, labels, loss=tg.cross_entropy)[1] == tg.accuracy(
        tg.predict(identity, scores), labels
    )


@given(cases(MODERATE[np.float64]))
def test_accuracy_is_by_hands(case: Case) -> None:
    Y_hat = case.memory()[f"A{len(case.architecture)}"]
    assert tg.accuracy(Y_hat.T, case.Y.T) == by_hand.accuracy(Y_hat, case.Y)


def test_accuracy_refuses_what_has_none() -> None:
    with pytest.raises(DataError, match="accuracy of no samples"):
        tg.accuracy(np.zeros((0, 1)), np.zeros((0, 1)))
    with pytest.raises(DtypeError, match=r"'a', 'b'.* can't be made a tensor"):
        tg.accuracy(np.eye(2), ["a", "b"])
    with pytest.raises(ValueError, match=r"shape \(4, 3\) need labels of it, or class indices \(4,\)"):
        tg.accuracy(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"or class indices \(4, 5\)"):
        tg.accuracy(np.zeros((4, 5, 3)), np.zeros(4, int))


def test_evaluate_is_the_cost_and_the_accuracy_by_hand() -> None:
    X, y = data()
    network = small()
    p = network.predict_proba(X)
    cost, right = tg.evaluate(network, X, y)
    assert cost == pytest.approx(by_hand.cost(p.T, y.reshape(1, -1)), rel=1e-13)
    assert right == by_hand.accuracy(p.T, y.reshape(1, -1))
    assert isinstance(cost, float)
    assert isinstance(right, float)
    assert all(p.grad is None for p in network.parameters())


def test_cost_follows_from_the_last_activation() -> None:
    X, _ = data()
    y = np.arange(30) % 3
    network = small("softmax", 3)
    p = network.predict_proba(X)
    hits = sum(max(range(3), key=row.__getitem__) == k for row, k in zip(p.tolist(), y))
    assert tg.evaluate(network, X, y) == pytest.approx((-math.fsum(np.log(p[range(30), y])) / 30, hits / 30))
    network = small("identity", 3)
    targets = np.random.default_rng(0).normal(size=(30, 3))
    cost, right = tg.evaluate(network, X, targets)
    assert cost == pytest.approx(math.fsum(((network.predict_proba(X) - targets) ** 2).flat) / 30, rel=1e-13)
    assert np.isnan(right)
    with pytest.raises(ValueError, match=r"no loss follows from tanh; pass loss="):
        tg.train(small("tanh"), X, X[:, 0], 1, progress=False)


@pytest.mark.parametrize(
    "loss", [tg.binary_cross_entropy, tg.binary_cross_entropy_with_logits, tg.nn.BCEWithLogitsLoss()]
)
def test_the_librarys_cross_entropies_are_trained_on_logits(loss: Any) -> None:
    network = tg.DenseNetwork([{"input_dim": 1, "output_dim": 1, "activation": "sigmoid"}])
    network.load_state_dict({"W1": np.ones((1, 1)), "b1": np.zeros(1)})
    X, y = np.array([[50.0], [-50.0]]), np.array([0.0, 1.0])  # saturated, and wrong
    assert tg.evaluate(network, X, y, loss) == tg.evaluate(network, X, y) == (50.0, 0.0)
    assert np.isfinite(tg.train(network, X, y, 5, 0.01, loss=loss, progress=False).cost).all()


def test_cross_entropy_after_a_softmax_takes_it_once() -> None:
    network = tg.DenseNetwork([{"input_dim": 2, "output_dim": 3, "activation": "softmax"}])
    X, y = data()
    labels = y.astype(int).reshape(-1) % 3
    for loss in (tg.cross_entropy, tg.nn.CrossEntropyLoss()):
        assert tg.evaluate(network, X, labels, loss) == tg.evaluate(network, X, labels)


@pytest.mark.parametrize("columns", [False, True])
def test_labels_in_a_row_or_a_column_fit_a_loss_of_ones_own(columns: bool) -> None:
    X, y = data()
    network = small("identity")
    labels = y.reshape(-1, 1) if columns else y.reshape(-1)
    assert tg.evaluate(network, X, labels, tg.mse_loss)[0] == tg.evaluate(network, X, labels)[0]


def test_a_loss_of_ones_own_replaces_it() -> None:
    X, y = data()
    network = small("tanh")
    history = tg.train(
        network, X, y.reshape(-1, 1), 50, 0.1, progress=False, loss=lambda p, y: ((p - y) ** 2).mean(), shuffle_seed=1
    )
    assert history.cost[-1] < history.cost[0]
    assert tg.evaluate(network, X, y.reshape(-1, 1), loss=lambda p, y: (p * 0).sum() + 7)[0] == 7


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": -1}, "epochs must be a whole number, 0 or more, got -1"),
        ({"epochs": 1, "batch_size": 0}, "batch_size must be a whole number, 1 or more, got 0"),
        ({"epochs": 1, "learning_rate": -0.1}, "learning rate must be a finite number, 0 or more"),
        ({"epochs": 1, "learning_rate": float("nan")}, "learning rate must be a finite number, 0 or more"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        tg.train(small(), ROWS, LABELS, progress=False, **options)


def test_a_learning_rate_and_an_optimizer_are_one_too_many() -> None:
    network = small()
    with pytest.raises(ValueError, match="pass a learning_rate or an optimizer"):
        tg.train(network, ROWS, LABELS, 1, 0.1, progress=False, optimizer=tg.optim.SGD(network.parameters(), 0.1))


def snapshots(network: tg.nn.DenseNetwork) -> tuple[list[dict[str, np.ndarray]], Any]:
    """Return a list of parameters that a callback, returned too, fills after every epoch."""
    taken = [network.state_dict()]
    return taken, lambda epoch, history: taken.append(network.state_dict())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_diverging_cost_says_when_and_keeps_the_last_finite_parameters(batch_size: int | None) -> None:
    network = tg.nn.DenseNetwork(layers([2, 8, 1], ["identity", "identity"]))
    X, y = data()
    taken, callback = snapshots(network)
    with pytest.raises(DivergedError, match=r"cost became (inf|nan) in epoch \d+.*Lower the learning rate") as caught:
        tg.train(network, X * 100, y, 1000, 1.0, batch_size, progress=False, on_epoch=callback)
    assert f"in epoch {len(taken) - 1};" in str(caught.value)
    origin = caught.value.origin
    assert (origin.phase, abs(origin.value)) == ("forward", np.inf)
    assert f"It began here: {origin}" in str(caught.value)
    if batch_size is None:
        # The last update is what made the cost infinite, so it is the one taken back.
        assert all(np.array_equal(value, taken[-2][name]) for name, value in network.state_dict().items())
        assert np.isfinite(tg.evaluate(network, X * 100, y)[0])
    assert all(np.isfinite(p.data).all() for p in network.parameters())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_divergence_inside_a_watched_block_is_told_as_well() -> None:
    X, y = data()
    with tg.watch(), pytest.raises(DivergedError, match="It began here: square of"):
        tg.train(tg.nn.DenseNetwork(layers([2, 1], ["identity"])), X * 1e160, y, 10, 1.0, progress=False)


def test_ctrl_c_keeps_what_was_learnt(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = data()

    def interrupt(epoch: int, history: tg.History) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    network, uninterrupted = small(), small()
    history = tg.train(network, X, y, 10, 0.1, progress=False, on_epoch=interrupt)
    expected = tg.train(uninterrupted, X, y, 4, 0.1, progress=False)
    assert history.cost == expected.cost
    assert history.accuracy == expected.accuracy
    assert "stopped after 4 of 10 epochs" in capsys.readouterr().err
    assert all(np.array_equal(v, uninterrupted.state_dict()[n]) for n, v in network.state_dict().items())


def test_a_callback_ends_the_training_by_returning_false() -> None:
    network, other = small(), small()
    X, y = data()
    history = tg.train(network, X, y, 9, 0.1, progress=False, on_epoch=lambda epoch, history: epoch < 3)
    assert history.cost == tg.train(other, X, y, 4, 0.1, progress=False, on_epoch=lambda epoch, history: 0).cost
    assert all(np.array_equal(v, other.state_dict()[n]) for n, v in network.state_dict().items())


def test_an_error_of_the_callback_is_not_swallowed() -> None:
    def fail(epoch: int, history: tg.History) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        tg.train(small(), ROWS, LABELS, 3, progress=False, on_epoch=fail)


class Counting(tg.optim.Optimizer):
    """Changes nothing, and counts its steps."""

    steps = 0

    def step(self) -> None:
        self.steps += 1
        assert all(p.grad is not None for p in self.parameters)


@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (1, 30), (7, 5), (30, 1), (64, 1)])
def test_every_row_is_used_once_an_epoch_whatever_the_batches(batch_size: int | None, steps: int) -> None:
    X, y = data()
    network = small()
    counting = Counting(network.parameters(), lr=0)
    history = tg.train(network, X, y, 2, batch_size=batch_size, progress=False, optimizer=counting)
    assert counting.steps == 2 * steps
    cost, right = tg.evaluate(network, X, y)
    assert history.cost == pytest.approx([cost, cost], rel=1e-13)
    assert history.accuracy == pytest.approx([right, right], rel=1e-13)


def test_shuffling_follows_its_seed() -> None:
    X, y = data()
    runs = [tg.train(small(), X, y, 3, 0.1, 7, progress=False, shuffle_seed=s).cost for s in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("optimizer", [tg.optim.SGD, tg.optim.Adam])
def test_float32_stays_float32(optimizer: Any) -> None:
    network = small(dtype=np.float32)
    X, y = data()
    history = tg.train(
        network, X, y, 3, progress=False, batch_size=8, optimizer=optimizer(network.parameters(), lr=0.1)
    )
    for p in network.parameters():
        assert p.dtype == gradient(p).dtype == np.float32
    assert network.predict_proba(X).dtype == np.float32
    assert type(history.cost[0]) is float


def test_softmax_learns_three_classes() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 90)
    X = np.array([[0, 2], [2, -1], [-2, -1]])[y] + generator.normal(size=(90, 2)) * 0.3
    network = small("softmax", 3)
    history = tg.train(network, X, y, 200, progress=False, optimizer=tg.optim.Adam(network.parameters(), lr=0.05))
    assert history.accuracy[-1] == 1.0
    assert np.array_equal(network.predict(X), y)
