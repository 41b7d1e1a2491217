"""Networks as scikit-learn's classifiers and regressors: dense layers, or any module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from .. import errors, nn, optim
from ..nn import init
from ..nn.label_losses import cross_entropy
from ..nn.losses import mse_loss
from ..ops.fused import softmax
from ..ops.settings import whole_number
from ..training.loop import train
from ..training.samples import predict

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier, is_regressor
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data
except ImportError as _error:
    what = "tinygrad_nn.interop.sklearn needs scikit-learn 1.6 or newer"
    raise ImportError(errors.missing(what, '"scikit-learn>=1.6"')) from _error

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "logistic": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU, "softplus": nn.Softplus,
}  # fmt: skip
OPTIMIZERS: dict[str, Any] = {
    kind.__name__.lower(): kind
    for kind in (optim.SGD, optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam, optim.RMSprop, optim.Adagrad)
}

if TYPE_CHECKING:  # scikit-learn has no types

    class _Estimator:
        def __getattr__(self, name: str) -> Any: ...

    class _ClassifierMixin(_Estimator): ...

    class _RegressorMixin(_Estimator):
        def __sklearn_tags__(self) -> Any: ...
else:
    _Estimator, _ClassifierMixin, _RegressorMixin = BaseEstimator, ClassifierMixin, RegressorMixin


@dataclass(kw_only=True, eq=False, repr=False)
class _Network(_Estimator):
    """What all four estimators share: settings, training, and its results."""

    loss: Any = None
    optimizer: Any = "adam"
    learning_rate: float = 0.01
    schedule: Any = None
    epochs: int = 200
    batch_size: int | None = 200
    early_stopping: int | bool | None = None
    validation_fraction: float = 0.1
    weight_decay: float = 0.0
    random_state: Any = None
    warm_start: bool = False

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X, (m, features), and their targets y, with a weight for each row; return the estimator."""
        return self._trained(X, y, sample_weight, not (self.warm_start and hasattr(self, "module_")), self.epochs)

    def _trained(self, X: Any, y: Any, weights: Any, begins: bool, epochs: int, classes: Any = None) -> Self:
        X, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=is_regressor(self),
            reset=begins,
        )  # fmt: skip
        if weights is not None:
            weights = _check_sample_weight(weights, X, dtype=X.dtype, ensure_non_negative=True)
        y = self._targets(y, X.dtype, begins, classes)
        if begins:
            self._begin(X)
        held_out, patience = None, self.early_stopping
        patience = (10 if patience else None) if isinstance(patience, bool) else patience
        if patience is not None and epochs > 1:
            labels, seed = y if is_classifier(self) else None, int(self._generator.integers(2**31))
            share = {"test_size": self.validation_fraction, "random_state": seed, "stratify": labels}
            kept, others = train_test_split(np.arange(len(y)), **share)
            weights = None if weights is None else weights[kept]
            held_out, X, y = (X[others], y[others]), X[kept], y[kept]
        history = train(
            self.module_, X, y, epochs, loss=self.loss or self._loss, optimizer=self.optimizer_,
            scheduler=self.scheduler_, batch_size=self.batch_size, validation=held_out,
            early_stopping=None if held_out is None else patience, sample_weight=weights,
            class_weight=self._weights() if is_classifier(self) else None, shuffle_seed=self._generator,
            progress=False,
        )  # fmt: skip
        self.loss_curve_ += history.cost
        self.n_iter_: int = len(self.loss_curve_)
        return self

    def _begin(self, X: np.ndarray) -> None:
        self._generator = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        self.module_: Any = self._make(X.shape[1], self._outputs, self._generator).astype(X.dtype)
        settings = {"lr": self.learning_rate} | ({"weight_decay": self.weight_decay} if self.weight_decay else {})
        made = _named(OPTIMIZERS, "optimizer", self.optimizer)
        self.optimizer_: optim.Optimizer = made(self.module_.parameters(), **settings)
        self.scheduler_: Any = None if self.schedule is None else self.schedule(self.optimizer_)
        self.loss_curve_: list[float] = []

    def _computed(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        outputs, shape = np.asarray(predict(self.module_, X)), (len(X), self._outputs)
        if outputs.shape != shape:
            raise ValueError(f"the outputs have the shape {outputs.shape}; let the module return one of {shape}")
        return outputs


@dataclass(kw_only=True, eq=False, repr=False)
class _Classifier(_ClassifierMixin):
    """Classes as indices, and outputs as their logits."""

    class_weight: Any = None

    _loss = staticmethod(cross_entropy)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch, return the estimator; the first call has to name all classes, unless y has all."""
        return cast(Self, self._trained(X, y, sample_weight, not hasattr(self, "module_"), 1, classes))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most likely class of each row. Shapes: (m, features) -> (m,)."""
        likeliest = self._computed(X).argmax(axis=1)  # raises if the estimator is not fitted
        return np.asarray(self.classes_[likeliest])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities, a column for each of `classes_`. Shapes: (m, features) -> (m, classes)."""
        return np.asarray(softmax(self._computed(X)).data)

    def _targets(self, y: Any, dtype: Any, begins: bool, classes: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if begins:
            self.classes_: np.ndarray = np.unique(y if classes is None else classes)
            self._outputs = len(self.classes_)
        if unknown := np.setdiff1d(y if classes is None else np.union1d(y, classes), self.classes_).tolist():
            raise ValueError(f"the classes {unknown} are not among {self.classes_}; name all in the first call")
        return np.asarray(np.searchsorted(self.classes_, y))

    def _weights(self) -> Any:
        given, labels = self.class_weight, self.classes_.tolist()
        if not isinstance(given, dict):
            return given
        if (unknown := given.keys() - {*labels}) and not given.keys() > {*labels}:
            raise ValueError(
                f"class_weight has {sorted(map(str, unknown))}, not among the classes {labels}; name these"
            )
        return {i: given.get(label, 1) for i, label in enumerate(labels)}


class _Regressor(_RegressorMixin):
    """Numbers, one or several per row."""

    _loss = staticmethod(mse_loss)
    _outputs: int

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch on these rows, and return the estimator."""
        return cast(Self, self._trained(X, y, sample_weight, not hasattr(self, "module_"), 1))

    def predict(self, X: Any) -> np.ndarray:
        """Return the outputs. Shapes: (m, features) -> (m,), or (m, outputs) if y had that shape."""
        outputs = self._computed(X)
        return np.asarray(outputs[:, 0] if self._is_flat else outputs)

    def _targets(self, y: np.ndarray, dtype: Any, begins: bool, classes: Any) -> np.ndarray:
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if not begins and outputs != self._outputs:
            raise ValueError(f"y has {outputs} numbers for each row, and had {self._outputs} before; pass as many")
        self._is_flat, self._outputs = y.ndim == 1, outputs
        return y.reshape(len(y), outputs).astype(dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@dataclass(eq=False, repr=False)
class _Dense(_Network):
    """Dense layers of these sizes, each followed by its activation and, in training, dropout."""

    hidden_layers: Any = (100,)
    activation: Any = "relu"
    dropout: Any = 0.0

    def _make(self, inputs: int, outputs: int, seed: Any) -> nn.Module:
        sizes = np.ravel(self.hidden_layers).tolist()
        each = zip(sizes, *[self._of_layers(name, len(sizes)) for name in ("activation", "dropout")], strict=True)
        layers: list[nn.Module] = []
        for size, activation, dropout in each:
            whole_number("hidden_layers", size)
            layers += [nn.Linear(inputs, size, seed=seed), _named(ACTIVATIONS, "activation", activation)()]
            layers += [nn.Dropout(dropout, seed=seed)] if dropout else []
            inputs = size
        network = nn.Sequential(*layers, nn.Linear(inputs, outputs, seed=seed))
        for p in network.parameters():
            if p.ndim == 2:
                p.data = init.xavier_uniform(seed, p.shape)
        return network

    def _of_layers(self, name: str, count: int) -> list[Any]:
        """Return a setting for each hidden layer. Raises ValueError for a list of another length."""
        value = getattr(self, name)
        found = list(value) if isinstance(value, (list, tuple)) else [value] * count
        if len(found) != count:
            raise ValueError(f"{name} has {len(found)} entries for {count} hidden layers; pass one, or one for each")
        return found


@dataclass(eq=False, repr=False)
class _Module(_Network):
    """A module from a factory: `module(inputs, outputs, seed=generator)` returns a Module, as `tg.nn.Linear` does."""

    module: Any = nn.Linear

    def _make(self, inputs: int, outputs: int, seed: Any) -> nn.Module:
        found = self.module if isinstance(self.module, nn.Module) else self.module(inputs, outputs, seed=seed)
        if found is self.module or not isinstance(found, nn.Module):
            what = "module= takes a function of inputs, outputs and seed= that returns a Module"
            raise TypeError(f"{what}, not {found!r:.40}")
        return found


@dataclass(eq=False, repr=False)
class DenseClassifier(_Classifier, _Dense):
    """A classifier of dense layers, trained with cross entropy; a label is a number, a text or a boolean per row.

    `hidden_layers` are the sizes of the layers before the last; `activation` names the activation after each, or is a
    function that returns one, and `dropout` is the share dropped after it: one for all, or a list with one for each.
    Initial weights follow Glorot and Bengio. `class_weight` is a dict of weights by class, or "balanced".

    `loss(outputs, y)` gets class indices, (m,), or a regressor's numbers, (m, outputs). `optimizer` is a name, such as
    "sgd", or a function of parameters, `lr=` and, unless 0, `weight_decay=`; `schedule`, called with the optimiser,
    returns one of `tg.optim.lr_scheduler`. A step uses `batch_size` rows, all if None. With `early_stopping=n`, the
    share `validation_fraction` of the rows is held out: training ends when its loss has not fallen for n epochs (10 if
    n is True), and keeps the best epoch's parameters. With `warm_start`, another `fit` goes on with the module and
    optimiser of the last. Rows of float32 are computed in float32, others in float64.

    After `fit`, it has `module_`, `optimizer_`, `loss_curve_` (the mean loss of each epoch), `n_iter_`, `classes_` and
    `n_features_in_`.

    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
    >>> classifier = DenseClassifier((8,), activation="tanh", epochs=100, random_state=0).fit(X, y)
    >>> classifier.predict([[0.2], [2.9]]).tolist(), classifier.predict_proba(X).shape
    (['low', 'high'], (4, 2))
    """


@dataclass(eq=False, repr=False)
class DenseRegressor(_Regressor, _Dense):
    """A regressor of dense layers, trained with the mean squared error; a target is one or several numbers per row.

    All parameters except `class_weight` are as in `DenseClassifier`; `score` is R².

    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> regressor = DenseRegressor((16,), activation="tanh", epochs=300, random_state=0)
    >>> regressor.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.9
    True
    """


@dataclass(eq=False, repr=False)
class ModuleClassifier(_Classifier, _Module):
    """A classifier with logits from any module, which `module(inputs, outputs, seed=generator)` returns.

    The default, `tg.nn.Linear`, is softmax regression. The outputs, of shape (m, classes), are logits; the other
    parameters are as in `DenseClassifier`. `random_state` fixes the module's draws only if they come from `seed`.

    >>> import tinygrad_nn as tg
    >>> def network(inputs, outputs, seed):
    ...     return tg.nn.Sequential(tg.nn.LayerNorm(inputs), tg.nn.Linear(inputs, outputs, seed=seed))
    >>> ModuleClassifier(network, epochs=50, random_state=0).fit([[0.0, 1.0], [1.0, 0.0]], [1, 2]).predict([[0.1, 0.9]])
    array([1])
    """


@dataclass(eq=False, repr=False)
class ModuleRegressor(_Regressor, _Module):
    """A regressor with outputs from any module, which `module(inputs, outputs, seed=generator)` returns.

    The default is `tg.nn.Linear`. The outputs have the shape (m, outputs); the rest is as in `ModuleClassifier`.

    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> fitted = ModuleRegressor(epochs=500, random_state=0).fit(X, 2 * X[:, 0] + 1)
    >>> fitted.predict([[3.0]]).round()
    array([7.])
    """


def _named(known: dict[str, Any], what: str, given: Any) -> Any:
    """Return what a name stands for, or the callable that is given instead of one."""
    if isinstance(given, str) and given in known:
        return known[given]
    if callable(given) and not isinstance(given, nn.Module):
        return given
    raise ValueError(
        f"{what}={given!r} is not known; write one of {', '.join(known)}, or pass a function that makes it"
    )
