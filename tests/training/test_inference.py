"""What a module computes after training: in eval mode, in batches, without recording, with modes as they were."""

from typing import Any

import numpy as np
import pytest
from article import layers

import tinygrad_nn as tg


class Fails(tg.nn.Module):
    """Notes the mode that it computes in, and may fail."""

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.modes = fails, list[bool]()

    def forward(self, x: Any) -> Any:
        assert isinstance(x, tg.Tensor)
        self.modes.append(self.training)
        if self.fails:
            raise LookupError("mine")
        return x


@pytest.mark.parametrize("batch_size", [None, 1, 4, 7, 99])
def test_outputs_are_those_of_eval_mode_whatever_the_batches(batch_size: int | None) -> None:
    X = np.random.default_rng(0).normal(size=(7, 3))
    model = tg.nn.Sequential(tg.nn.Dropout(0.5), tg.nn.BatchNorm1d(3), tg.nn.Linear(3, 2, seed=0), Fails())
    model(X)  # moves the running statistics
    model[1].eval()
    weight, bias = (p.data for p in model[2].parameters())
    mean, var = model[1].running_mean.data, model[1].running_var.data
    before = model.state_dict()
    found = tg.predict(model, X, batch_size)
    np.testing.assert_allclose(found, ((X - mean) / np.sqrt(var + 1e-5)) @ weight.T + bias, rtol=1e-12)
    assert type(found) is np.ndarray
    assert [m.training for m in model.modules()] == [True, True, False, True, True]
    assert "training" not in vars(model[0])
    assert not any(model[3].modes[1:])
    assert all(np.array_equal(x, before[name]) for name, x in model.state_dict().items())


def test_modes_are_restored_after_an_error() -> None:
    model = tg.nn.Sequential(tg.nn.Dropout(0.5), Fails(True))
    model[0].eval()
    with pytest.raises(LookupError, match="mine"):
        tg.predict(model, np.ones((2, 2)))
    assert [m.training for m in model.modules()] == [True, False, True]


class Several(tg.nn.Module):
    """Takes two arrays and returns a dictionary."""

    def forward(self, a: Any, b: Any) -> Any:
        return {"sum": a + b, "pair": (a * 2, None)}


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("kind", ["tuple", "dict"])
def test_several_inputs_and_outputs(kind: str, batch_size: int | None) -> None:
    a, b = np.arange(6.0).reshape(3, 2), np.ones((3, 1))
    found = tg.predict(Several(), (a, b) if kind == "tuple" else {"b": b, "a": a}, batch_size)
    np.testing.assert_array_equal(found["sum"], a + 1)
    np.testing.assert_array_equal(found["pair"][0], 2 * a)
    assert found["pair"][1] is None


class Returns(tg.nn.Module):
    """A module that returns what a function of its input does."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, x: Any) -> Any:
        return x, self.function(x)


@pytest.mark.parametrize("batch_size", [2, 3, 4])
@pytest.mark.parametrize(
    "function",
    [tg.sum, lambda x: tg.ones((2, len(x), 1)), lambda x: tg.ones((4, 1)), lambda x: float(x[0, 0].item())],
    ids=["scalar", "two layers", "four rows", "number"],
)
def test_outputs_that_are_not_of_samples_are_not_joined(function: Any, batch_size: int) -> None:
    X = np.arange(7.0).reshape(7, 1)
    with pytest.raises(ValueError, match=r"does not have the samples on axis 0.* leave out batch_size="):
        tg.predict(Returns(function), X, batch_size)
    np.testing.assert_array_equal(tg.predict(Returns(function), X)[0], X)
    joined = tg.predict(Returns(lambda x: x.data), X, batch_size)
    np.testing.assert_array_equal(joined[1], X)


def test_validation_whose_outputs_can_t_be_joined_is_computed_whole() -> None:
    X = np.linspace(0, 1, 1201).reshape(-1, 1)
    module = tg.nn.Sequential(tg.nn.Linear(1, 1, seed=0), Returns(tg.sum))

    def loss(outputs: Any, y: Any) -> Any:
        return tg.mse_loss(outputs[0], y) + outputs[1] * 0.5

    history = tg.train(module, X, X, 1, 0.0, 100, loss=loss, validation=(X, X), progress=False)
    assert history.validation_cost[0] == pytest.approx(tg.evaluate(module, X, X, loss)[0], rel=1e-14)


def test_floats_are_read_in_the_modules_dtype_and_whole_numbers_as_they_are() -> None:
    linear = tg.nn.Linear(2, 1, dtype=np.float32, seed=0)
    assert tg.predict(linear, [[1.0, 2.0]]).dtype == np.float32
    embedding = tg.nn.Embedding(4, 2, seed=0)
    np.testing.assert_array_equal(tg.predict(embedding, np.array([[3], [0]]))[:, 0], embedding.weight.data[[3, 0]])


def test_predictions_follow_the_task() -> None:
    def predicted(activation: str, outputs: int = 1) -> Any:
        network = tg.DenseNetwork(layers([1, outputs], [activation]))
        network.load_state_dict({"W1": np.arange(1.0, outputs + 1).reshape(-1, 1), "b1": np.zeros(outputs)})
        return network.predict([[3.0], [-5.0]]).tolist()

    assert predicted("identity") == [3.0, -5.0]
    assert predicted("identity", 2) == [[3.0, 6.0], [-5.0, -10.0]]
    assert predicted("relu") == [3.0, 0.0]
    assert predicted("sigmoid") == [1, 0]
    assert predicted("sigmoid", 2) == [[1, 1], [0, 0]]
    assert predicted("softmax", 3) == [2, 0]


def test_misuse_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"a tg\.nn\.Module is needed, got .*make one by"):
        tg.predict(abs, [1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size must be a whole number, 1 or more, got 0"):
        tg.predict(Several(), ([1.0], [2.0]), 0)


@pytest.mark.parametrize(("layers", "size"), [(3, 3), (2, 2), (4, 4), (2, 4), (1, 2)])
def test_states_are_never_taken_for_samples(layers: int, size: int) -> None:
    """Also where their length is that of each batch."""
    module = tg.nn.GRU(2, 3, num_layers=layers, batch_first=True, seed=0)
    with pytest.raises(ValueError, match="does not have the samples on axis 0"):
        tg.predict(module, np.ones((2 * size, 4, 2)), batch_size=size)
