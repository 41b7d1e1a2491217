"""SciPy's optimisers over nested parameters and modules, with exact derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from .. import errors
from ..compiler.compiled import Compiled
from ..engine.grad_mode import no_grad
from ..engine.trees import aligned, leaves, map_leaves
from ..ops.joining import ravel, unravel
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from ..transforms import autograd
from ..transforms.functions import grad, hvp, jacobian, value_and_grad
from ..transforms.purity import restoring

try:
    from scipy import optimize
except ImportError as _error:
    raise ImportError(errors.missing("tinygrad_nn.interop.scipy needs SciPy", "scipy")) from _error

# What SciPy asks for, as functions of a function of one vector.
_DERIVED: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: no_grad()(lambda x: f(Tensor(x))),
    "value and gradient": value_and_grad,
    "vector": lambda f: no_grad()(lambda x: ravel(f(Tensor(x)))),
    "jacobian": lambda f: jacobian(lambda x: ravel(f(x))),
    "hessian": lambda f: jacobian(grad(f)),
    "connection": lambda f: lambda x: autograd.grad(ravel(f(x := Tensor(x, requires_grad=True))).sum(), x),
    "product": lambda f: lambda x, direction: hvp(f, (x,), (direction,))[0],
}
WORTH_COMPILING = 20  # evaluations, which take about as long as compiling
_WITHOUT_GRADIENT = {"nelder-mead", "powell", "cobyla", "cobyqa"}
_WITH_PRODUCTS = {"newton-cg", "trust-ncg", "trust-krylov", "trust-constr"}
_WITH_HESSIAN = {"dogleg", "trust-exact"}


def minimize(
    loss: Callable[..., Any], params: Any, args: Any = (), method: Any = None, *, bounds: Any = None,
    constraints: Any = (), tol: float | None = None, callback: Any = None, options: Any = None, compile: bool = True,
) -> Any:  # fmt: skip
    """Return the result of `scipy.optimize.minimize`, with the best parameters as `.params`, nested as given.

    `params` are arrays, Tensors, numbers and Modules in nested lists, tuples and dicts, and `loss(params, *args)` gets
    them in the same nesting, as Tensors; a list of numbers is a vector, as in SciPy. A Module's frozen parameters and
    its buffers stay, and `params` itself is not changed: `.params` is new. Gradients, Hessians and Hessian-vector
    products are exact, and computed for the methods that use them.

    `bounds` are a pair of numbers or None that holds for every entry, or SciPy's `Bounds`; or, nested as the parameters
    (a Module's by name), one of these for each leaf, SciPy's pairs for each entry, or None for no bounds. Constraints
    are SciPy's, with functions of the parameters as the loss gets them; their Jacobians are exact, too. A `callback`
    gets parameters, or SciPy's `intermediate_result` with `.params`. Everything else is as in SciPy.

    From the 21st evaluation on, the functions are compiled (see `tg.compile` for its contract), unless `compile=False`;
    one that can't be compiled runs uncompiled, with a warning. Raises DtypeError if a parameter's dtype has no
    gradient, ValueError if bounds are nested differently, DisconnectedError if the loss ignores its argument.

    >>> import tinygrad_nn as tg
    >>> found = minimize(lambda p: (p["a"] - 3) ** 2 + (p["b"] ** 2).sum(), {"a": 0.0, "b": np.ones(2)})
    >>> round(found.params["a"], 4), found.params["b"].round(4) + 0.0
    (3.0, array([0., 0.]))
    """
    problem = _Problem(params, compile)
    kind = method.lower() if isinstance(method, str) else ""
    settings: dict[str, Any] = {"jac": kind not in _WITHOUT_GRADIENT}
    if kind in _WITH_PRODUCTS or callable(method):
        settings["hessp"] = _Evaluated(problem, "product", loss, args)
    elif kind in _WITH_HESSIAN:
        settings["hess"] = _Evaluated(problem, "hessian", loss, args)
    if constraints:
        several = isinstance(constraints, (list, tuple))
        settings["constraints"] = [problem.constraint(c) for c in (constraints if several else [constraints])]
    function = _Evaluated(problem, "value and gradient" if settings["jac"] else "value", loss, args)
    found = optimize.minimize(
        function, problem.start, method=method, bounds=problem.bounds(bounds, in_pairs=True), tol=tol,
        callback=problem.callback(callback), options=options, **settings,
    )  # fmt: skip
    return problem.checked(found, loss, args)


def least_squares(
    residuals: Callable[..., Any], params: Any, args: Any = (), kwargs: Any = None, *, bounds: Any = None,
    callback: Any = None, compile: bool = True, **options: Any,
) -> Any:  # fmt: skip
    """Return the result of `scipy.optimize.least_squares`, with the best parameters as `.params`, nested as given.

    `residuals(params, *args, **kwargs)` returns Tensors of any shapes, which may be nested; half the sum of their
    squares is minimised. The Jacobian is exact, unless `jac` names one of SciPy's finite differences. `params`, bounds,
    callbacks and `compile` are as in `minimize`, except that a pair (low, high) of bounds may hold arrays, as in
    SciPy's function. The other options are SciPy's.

    >>> t = np.linspace(0, 1, 20)
    >>> found = least_squares(lambda p: p["a"] * np.exp(p["k"] * t) - 3 * np.exp(-2 * t), {"a": 1.0, "k": 0.0})
    >>> {name: round(value, 4) for name, value in found.params.items()}
    {'a': 3.0, 'k': -2.0}
    """
    problem = _Problem(params, compile)
    residuals = partial(residuals, **(kwargs or {}))
    function, jac = [_Evaluated(problem, f, residuals, args) for f in ("vector", "jacobian")]
    if bounds is not None:
        options["bounds"] = problem.bounds(bounds, in_pairs=False)
    if callback is not None:
        options["callback"] = problem.callback(callback)
    found = optimize.least_squares(function, problem.start, **{"jac": jac} | options)
    return problem.checked(found, residuals, args)


class _Problem:
    """Parameters as one vector: the leaves of a tree, except the frozen parameters of modules."""

    def __init__(self, params: Any, compile: bool) -> None:
        if type(params) in (list, tuple) and all(isinstance(x, (int, float)) for x in params):
            params = np.array(params, float)
        self.params, self.compile = params, compile
        self.is_free = [not _is_frozen(x) for x in leaves(params)]
        self.leaves = [x for x, free in zip(leaves(params), self.is_free, strict=True) if free]
        for x in self.leaves:
            if as_tensor(x).dtype.kind not in "iuf":
                raise errors.DtypeError(errors.no_gradient_dtype(as_tensor(x).dtype))
        self.start = np.asarray(ravel(self.leaves).data if self.leaves else (), float)
        if not self.start.size:
            raise ValueError("there are no parameters; pass arrays, or modules with parameters that are not frozen")

    def tree(self, values: Iterable[Any]) -> Any:
        """Return the parameters with these values as their leaves."""
        each = iter(values)
        return map_leaves(lambda x: x if _is_frozen(x) else next(each), self.params)

    def as_given(self, vector: np.ndarray) -> Any:
        """Return the vector's entries as parameters, of the kinds that were given."""
        values = unravel(np.asarray(vector, float), self.leaves)
        return self.tree([_like(x, value.data.copy()) for x, value in zip(self.leaves, values, strict=True)])

    def constraint(self, given: Any) -> Any:
        """Return a constraint with functions of the vector."""
        if isinstance(given, Mapping):
            parts = [_Evaluated(self, f, given["fun"], given.get("args", ())) for f in ("vector", "jacobian")]
            return {"type": given["type"], "fun": parts[0], "jac": parts[1]}
        if not isinstance(given, optimize.NonlinearConstraint):
            return given
        found = copy(given)
        found.fun, found.jac = [_Evaluated(self, f, given.fun, ()) for f in ("vector", "jacobian")]
        return found

    def bounds(self, given: Any, in_pairs: bool) -> Any:
        """Return bounds of the vector's entries, None if there are none."""
        if given is None:
            return None
        if isinstance(given, optimize.Bounds) or _is_pair(given):
            low, high = _limits(given, (self.start.size,), in_pairs)
        else:
            free = [pair for pair, is_free in zip(aligned(given, self.params), self.is_free, strict=True) if is_free]
            found = [_limits(pair, np.shape(x), in_pairs) for pair, x in zip(free, self.leaves, strict=True)]
            low, high = (np.concatenate([each.reshape(-1) for each in sides]) for sides in zip(*found, strict=True))
        return optimize.Bounds(low, high, getattr(given, "keep_feasible", False))

    def callback(self, given: Any) -> Any:
        """Return a callback of SciPy's that calls the given one with parameters."""
        if given is None:
            return None
        if "intermediate_result" in signature(given).parameters:
            return lambda intermediate_result: given(intermediate_result=self.found(intermediate_result))
        return lambda x, *state: given(self.as_given(x), *state)

    def found(self, result: Any) -> Any:
        """Return SciPy's result with the parameters added."""
        result.params = self.as_given(result.x)
        return result

    def checked(self, result: Any, function: Callable[..., Any], args: Any) -> Any:
        """Return SciPy's last result. Raises DisconnectedError if the function turns out to ignore its argument."""
        if not np.any(result.get("grad", result.get("jac", 1))):
            try:
                _Evaluated(self, "connection", function, args).function(result.x)
            except errors.GradientError as error:
                raise errors.DisconnectedError(
                    "the function does not depend on the parameters that it is given; compute with its argument, and "
                    "not with a module or tensors from outside: minimize(lambda module: loss(module(X), y), module)"
                ) from error
        return self.found(result)


class _Evaluated:
    """What SciPy asks for of a function, called with a vector, and perhaps a direction.

    It runs uncompiled at first, and is compiled when it has taken about as long as compiling takes.
    """

    def __init__(self, problem: _Problem, what: str, function: Callable[..., Any], args: Any) -> None:
        args = args if isinstance(args, tuple) else (args,)

        def derived(*vectors: Any) -> Any:
            with restoring(function, problem.params, args):
                return _DERIVED[what](lambda x: function(problem.tree(unravel(x, problem.leaves)), *args))(*vectors)

        self.function, self.calls = derived, 0
        self.program: Any = Compiled(derived, own=(function,)) if problem.compile else None

    def __call__(self, *vectors: np.ndarray) -> Any:
        # Complex steps are refused, and not cut.
        vectors, found = tuple([np.asarray(x).astype(float, casting="same_kind", copy=False) for x in vectors]), None
        self.calls += 1
        if self.program and self.calls > WORTH_COMPILING:
            try:
                found = self.program(*vectors)
            except errors.CompileError as error:
                errors.warn(f"the function is not compiled: {error}. Pass compile=False if that is intended")
                self.program = None
        found = self.function(*vectors) if found is None else found
        if isinstance(found, tuple):
            return float(found[0].item()), found[1].data
        return np.asarray(found.data if isinstance(found, Tensor) else found, float)


def _is_frozen(x: Any) -> bool:
    return getattr(x, "role", None) == "parameter" and not x.requires_grad


def _like(x: Any, array: np.ndarray) -> Any:
    if isinstance(x, Tensor):
        return Tensor(array, x.requires_grad, x.name)
    return array if isinstance(x, np.ndarray) else array[()] if isinstance(x, np.generic) else float(array)


def _is_pair(x: Any) -> bool:
    """Return whether x is (low, high), numbers or None: one pair for every entry."""
    return isinstance(x, (tuple, list)) and len(x) == 2 and all(side is None or np.isscalar(side) for side in x)


def _limits(given: Any, shape: tuple[int, ...], in_pairs: bool) -> list[np.ndarray]:
    """Return the lower and the upper bounds of a leaf's entries."""
    if given is None:
        given = (None, None)
    elif isinstance(given, optimize.Bounds):
        given = (given.lb, given.ub)
    elif in_pairs and not _is_pair(given):
        given = [np.reshape([pair[side] for pair in given], shape) for side in (0, 1)]
    found = []
    for side, infinite in zip(given, (-np.inf, np.inf), strict=True):
        entries = np.array([infinite if x is None else x for x in np.asarray(side, object).flat], float)
        found.append(np.broadcast_to(entries[0], shape) if entries.size == 1 else entries.reshape(shape))
    return found
