"""The contestants of david_vs_goliath.py: the article's network in each library, run as its users run it.

Each contestant has a process of its own, so that none suffers from another's threads or memory. In
that process `build` makes it, `train_for` trains it and `get` calls its methods.
"""

from __future__ import annotations

import importlib
import os
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import by_hand
import numpy as np

import tinygrad_nn as tg

LEARNING_RATE = 0.01
Parameters = dict[str, np.ndarray]


@dataclass
class Contestant:
    """A network that trains for a number of further epochs, shows its parameters, and says how it is run."""

    train: Callable[[int], Any]
    parameters: Callable[[], Parameters]
    predict_proba: Callable[[np.ndarray], np.ndarray]
    how: str


def named(weights: Any, biases: Any) -> Parameters:
    """Return weights (out, in) and biases (out,) under the article's names W1, b1, W2, ..."""
    pairs = enumerate(zip(weights, biases, strict=True), start=1)
    return {f"{k}{n}": np.array(v) for n, pair in pairs for k, v in zip("Wb", pair, strict=True)}


def layers_of(start: Parameters) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return W (out, in) and b (out,) of each layer."""
    return [(start[f"W{n}"], start[f"b{n}"]) for n in range(1, len(start) // 2 + 1)]


def works(package: str) -> bool:
    """Return whether a package can be imported, whatever is wrong with it."""
    try:
        importlib.import_module(package)
    except Exception:
        return False
    return True


def on_numpy() -> str:
    """Return NumPy's version and, if threadpoolctl is installed, the number of threads of its matrix products."""
    if not works("threadpoolctl"):
        return f"on NumPy {np.__version__}, its default threads"
    known = importlib.import_module("threadpoolctl").threadpool_info()
    found = [one for one in known if one["user_api"] == "blas" and "numpy" in one["filepath"]]
    return f"on NumPy {np.__version__}" + "".join(f", threads: {one['num_threads']}" for one in found[:1])


def hand_written(X: np.ndarray, y: np.ndarray, start: Parameters) -> Contestant:
    """Return the article's algorithm, with the backward pass by hand."""
    state = {"now": {name: v.reshape(len(v), -1) for name, v in start.items()}}

    def train(epochs: int) -> None:
        arguments = X.T, y.reshape(1, -1), state["now"], by_hand.EXPERIMENT, epochs, LEARNING_RATE
        state["now"] = by_hand.train(*arguments)[0]

    return Contestant(
        train,
        lambda: {name: v if name[0] == "W" else v[:, 0] for name, v in state["now"].items()},
        lambda X: by_hand.forward(X.T, state["now"], by_hand.EXPERIMENT)[0].T,
        f"by_hand.train {on_numpy()}; float64, all samples at once, eager; keeps each epoch's cost and accuracy",
    )


def ours(X: np.ndarray, y: np.ndarray, start: Parameters, batch_size: int | None = None) -> Contestant:
    """Return this library's network."""
    network = tg.nn.DenseNetwork(by_hand.EXPERIMENT)
    network.load_state_dict(start)

    def train(epochs: int) -> None:
        tg.train(network, X, y, epochs, LEARNING_RATE, batch_size, progress=False, on_epoch=note_epoch, compile=True)

    batches = f"batches of {batch_size}" if batch_size else "all samples at once"
    return Contestant(
        train,
        network.state_dict,
        network.predict_proba,
        f"tg.train of tinygrad_nn {tg.__version__} {on_numpy()}, but one for products as small as these; float64, "
        f"{batches}, the step compiled in the first epoch, which tg.train does unasked if 100 steps are to come; "
        "keeps each epoch's cost and accuracy",
    )


def pytorch(X: np.ndarray, y: np.ndarray, start: Parameters) -> Contestant:
    """Return the same network in PyTorch, in double precision."""
    import torch

    steps: list[Any] = []
    for W, b in layers_of(start):
        layer = torch.nn.Linear(*W.T.shape, dtype=torch.float64)
        layer.load_state_dict({"weight": torch.tensor(W), "bias": torch.tensor(b)})
        steps += [layer, torch.nn.ReLU()]
    model = torch.nn.Sequential(*steps[:-1])
    linear = steps[::2]
    inputs, labels = torch.tensor(X), torch.tensor(y, dtype=torch.float64).reshape(-1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    losses: list[float] = []

    def train(epochs: int) -> None:
        for _ in range(epochs):
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    return Contestant(
        train,
        lambda: named([v.weight.detach().numpy() for v in linear], [v.bias.detach().numpy() for v in linear]),
        lambda X: np.asarray(torch.sigmoid(model(torch.tensor(X))).detach()),
        f"the plain loop of PyTorch {torch.__version__}, threads: {torch.get_num_threads()}; float64, all samples at "
        "once, eager; keeps each epoch's loss",
    )


def scikit_learn(X: np.ndarray, y: np.ndarray, start: Parameters) -> Contestant:
    """Return the same network as scikit-learn's MLPClassifier, without its extras (momentum, penalty)."""
    import sklearn
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    hidden = [len(b) for _, b in layers_of(start)[:-1]]
    model = MLPClassifier(
        hidden, solver="sgd", momentum=0, nesterovs_momentum=False, alpha=0, batch_size=len(X), shuffle=False,
        learning_rate_init=LEARNING_RATE, warm_start=True, n_iter_no_change=10**9, random_state=0,
    )  # fmt: skip
    # Only a fit makes the arrays, which then get the shared numbers.
    model.partial_fit(X, y, classes=[0, 1])
    for (W, b), weights, biases in zip(layers_of(start), model.coefs_, model.intercepts_, strict=True):
        weights[...], biases[...] = W.T, b

    def train(epochs: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(max_iter=epochs).fit(X, y)

    return Contestant(
        train,
        lambda: named([w.T for w in model.coefs_], model.intercepts_),
        lambda X: np.asarray(model.predict_proba(X)[:, 1:]),
        f"MLPClassifier.fit of scikit-learn {sklearn.__version__} {on_numpy()}; float64, all samples at once, "
        "no momentum, no penalty, eager; keeps each epoch's loss; a partial_fit before the first epoch made its arrays",
    )


def keras_backend() -> str:
    """Return the backend that Keras will run on: the one that KERAS_BACKEND names, or the first that works."""
    name = os.environ.get("KERAS_BACKEND") or next(filter(works, ["tensorflow", "jax", "torch"]), "")
    if not name:
        raise ImportError("Keras needs a backend; python -m pip install jax")
    os.environ["KERAS_BACKEND"] = name
    return name


def keras(X: np.ndarray, y: np.ndarray, start: Parameters | None = None, batch_size: int | None = None) -> Contestant:
    """Return the same network in Keras, in double precision; without `start`, Goliath with all of Keras's defaults."""
    dtype = "float64" if start else "float32"
    os.environ["JAX_ENABLE_X64"] = "1" if start else "0"
    backend = keras_backend()
    import keras

    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(0)
    dense = [keras.layers.Dense(v["output_dim"], activation=v["activation"]) for v in by_hand.EXPERIMENT]
    model = keras.Sequential([keras.Input((2,)), *dense])
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(LEARNING_RATE))
    for (W, b), layer in zip(layers_of(start) if start else [], model.layers):
        layer.set_weights([W.T, b])
    options = {"batch_size": batch_size or len(X), "shuffle": start is None, "verbose": 0}

    def parameters() -> Parameters:
        weights, biases = zip(*(layer.get_weights() for layer in model.layers), strict=True)
        return named([w.T for w in weights], biases)

    compiled = {"tensorflow": "compiled by tf.function", "jax": "compiled by jax.jit"}.get(backend, "eager")
    batches = f"batches of {batch_size}" if batch_size else "all samples at once"
    return Contestant(
        lambda n: model.fit(X, y, epochs=n, callbacks=[keras.callbacks.LambdaCallback(note_epoch)], **options),
        parameters,
        lambda X: np.asarray(model.predict(X, verbose=0)),
        f"fit of Keras {keras.__version__} on {backend} {importlib.import_module(backend).__version__}, its default "
        f"threads; {dtype}, {batches}, {compiled}; keeps each epoch's loss",
    )


HERE: dict[str, Any] = {}  # in a contestant's process: the "contestant", and the "epoch" that its training has reached


def share(epoch: Any) -> None:
    """Show the epoch to the waiting process, in a number that both share; on Ctrl-C end silently."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    HERE["epoch"] = epoch


def note_epoch(epoch: int, _: Any) -> None:
    """Write the epoch that the training has reached into the shared number."""
    HERE["epoch"].value = epoch + 1


def build(make: Callable[..., Contestant], *arguments: Any) -> str:
    """Make this process's contestant, and return how it is run."""
    HERE["contestant"] = make(*arguments)
    return str(HERE["contestant"].how)


def train_for(epochs: int) -> float:
    """Train this process's contestant, and return the seconds that it took."""
    HERE["epoch"].value = 0
    started = time.perf_counter()
    HERE["contestant"].train(epochs)
    return time.perf_counter() - started


def get(method: str, *arguments: Any) -> Any:
    """Return what a method of this process's contestant returns."""
    return getattr(HERE["contestant"], method)(*arguments)
