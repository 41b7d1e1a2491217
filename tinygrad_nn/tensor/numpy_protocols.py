"""How NumPy's own calls reach the operations: `np.exp(t)`, `np.sum(t, axis=0)`, `np.add.reduce(t)`, ...

NumPy passes every call on a Tensor to the two protocols below. An operation is found by the NumPy function that it was
declared with. Arguments are matched by NumPy's signature, so that they mean the same as in NumPy. A function that is
not recorded raises TypeError, which names the nearest one that is.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Collection
from typing import Any

import numpy as np

from .. import errors
from ..engine.trees import map_leaves
from .creation import as_tensor
from .handle import NUMPY_FUNCTIONS, Tensor

WITHOUT_DERIVATIVE: frozenset[Any] = frozenset({
    np.shape, np.ndim, np.size, np.array_equal, np.array_equiv, np.allclose, np.isclose, np.array_repr, np.array_str,
    np.array2string, np.can_cast, np.result_type, np.common_type, np.min_scalar_type, np.shares_memory,
    np.may_share_memory, np.iscomplexobj, np.isrealobj, np.iscomplex, np.isreal, np.count_nonzero, np.broadcast_shapes,
    np.histogram_bin_edges, np.isin, np.lexsort, np.einsum_path,
})  # fmt: skip


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Return the recorded operation's result, or NumPy's own, on the arrays, if there is no derivative."""
    if function in WITHOUT_DERIVATIVE:
        plain = map_leaves(lambda x: x.data if isinstance(x, Tensor) else x, [list(args), kwargs])
        return function(*plain[0], **plain[1])
    if (call := NUMPY_FUNCTIONS.get(function)) is None:
        raise TypeError(errors.unknown_numpy(f"{function.__module__}.{function.__name__}", NUMPY_FUNCTIONS.values()))
    inputs = getattr(call, "inputs", None)  # functions that create or assign take NumPy's arguments as they are
    if inputs is not None and (len(args) > inputs or not kwargs.keys() <= _signature(call).parameters.keys()):
        args, kwargs = _matched(function, call, args, kwargs)
    out = kwargs.pop("out", None) if inputs is not None else None
    return _written(call(*args, **kwargs), out, True)


@functools.cache
def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # a NumPy function written in C, before 2.4
        return inspect.signature(lambda *args, out=None, **kwargs: None)


def _matched(function: Any, call: Any, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return NumPy's arguments as the operation takes them: by NumPy's names, and without those that are defaults."""
    theirs, ours = _signature(function), list(_signature(call).parameters)
    try:
        bound = theirs.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"np.{function.__name__}: {error}; see help(np.{function.__name__})") from None
    positional: list[Any] = []  # the inputs, whatever NumPy calls them
    keywords: dict[str, Any] = {}
    for position, (name, value) in enumerate(bound.arguments.items()):
        kind = theirs.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            positional += value
        elif kind is inspect.Parameter.VAR_KEYWORD:
            keywords |= value
        elif kind is not kind.KEYWORD_ONLY and position < call.inputs and (name not in ours or ours[position] == name):
            positional.append(value)
        elif name in ours or (name == "out" and value is not None):
            keywords[name] = value
        elif not _is_default(value, theirs.parameters[name].default, name):
            raise TypeError(_option(function.__name__, [name]))
    return positional, keywords


def _option(name: str, options: Collection[str]) -> str:
    return (
        f"np.{name} with {', '.join(sorted(options))} is not recorded; leave it out and assign the result: "
        f"y = np.{name}(...)" + (".astype(dtype)" if "dtype" in options else "")
    )


def _is_default(value: Any, default: Any, name: str) -> bool:
    """Return whether an option changes nothing: NumPy's default, or C order for a result in C order."""
    in_c_order = name == "order" and value in "CK"
    return in_c_order or value is default or (isinstance(value, (str, int)) and value == default)


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """Return the recorded result of a ufunc or of one of its methods, with `out=`, `where=` and `dtype=`."""
    call = NUMPY_FUNCTIONS.get(ufunc) or _of_scipy(ufunc)
    if call is None:
        theirs = getattr(np, ufunc.__name__, None) is ufunc
        home, known = ("np", NUMPY_FUNCTIONS) if theirs else ("scipy.special", SCIPY_FUNCTIONS)
        raise TypeError(errors.unknown_numpy(f"{home}.{ufunc.__name__}", known.values()))
    if not options and method == "__call__":
        return call(*inputs)
    out, where = options.pop("out", None), options.pop("where", True)
    if isinstance(out, tuple):
        out = out[0] if len(out) == 1 else out
    if method != "__call__":
        options |= {} if where is True else {"where": where}
        return _written(_by_method(ufunc, call, method, inputs, options), out, True)
    if (dtype := options.pop("dtype", None)) is not None:
        asked = (*[type(x) if type(x) in (int, float) else np.result_type(x) for x in inputs], *[None] * ufunc.nout)
        signature = (*[None] * ufunc.nin, *[np.dtype(dtype)] * ufunc.nout)
        inputs = tuple(map(as_tensor, inputs, ufunc.resolve_dtypes(asked, signature=signature)))
    axis = {"axis": options.pop("axis")} if "axis" in options and "axis" in _signature(call).parameters else {}
    if unknown := {name for name, value in options.items() if (name, value) not in _HARMLESS}:
        raise TypeError(_option(ufunc.__name__, unknown))
    if where is not True:
        inputs = _inside(ufunc, call, inputs, where, out)
    return _written(call(*inputs, **axis), out, where)


def _by_method(ufunc: Any, call: Any, method: str, inputs: Any, options: dict[str, Any]) -> Any:
    """Return the result of a ufunc's method, such as `np.add.reduce`, by its own operation or composed of calls."""
    if ufunc in _LOGICAL:
        inputs = (np.not_equal(inputs[0], 0), *inputs[1:])
    if (declared := NUMPY_FUNCTIONS.get(getattr(ufunc, method))) is not None:
        given = {name: value for name, value in options.items() if value is not None or name == "axis"}
        return declared(*inputs, **{"axis": 0} | given)
    result = UFUNC_METHODS[method](ufunc, call, inputs, options)
    if left := [name for name, value in options.items() if value is not None]:
        raise TypeError(_option(f"{ufunc.__name__}.{method}", left))
    return result


SCIPY_FUNCTIONS: dict[str, Any] = {}
UFUNC_METHODS: dict[str, Any] = {}  # by name: the function that composes a ufunc's method of calls
_HARMLESS = {("casting", "same_kind"), ("order", "K"), ("subok", True)}
_LOGICAL = (np.logical_and, np.logical_or, np.logical_xor)


def _of_scipy(ufunc: Any) -> Any:
    """Return the operation of a ufunc of scipy.special, if that module has been imported."""
    theirs = getattr(sys.modules.get("scipy.special"), ufunc.__name__, None) is ufunc
    return SCIPY_FUNCTIONS.get(ufunc.__name__) if theirs else None


def _inside(ufunc: Any, call: Any, inputs: Any, where: Any, out: Any) -> tuple[Any, ...]:
    """Return operands with a harmless number where the ufunc must not compute: no warning, no nan, no gradient."""
    if out is None:
        raise TypeError(
            f"np.{ufunc.__name__} with where= leaves the other entries undefined, so they have no gradient; pass "
            f"out= as well, or write np.where(mask, np.{ufunc.__name__}(...), value)"
        )
    harmless = sum(call.operation.domain if hasattr(call, "operation") else (0.5, 2.0)) / 2
    kinds = [x.dtype.kind if hasattr(x, "dtype") else type(x).__name__[0] for x in inputs]
    return tuple([np.where(where, x, harmless) if kind == "f" else x for x, kind in zip(inputs, kinds, strict=True)])


def _written(result: Any, out: Any, where: Any) -> Any:
    """Return the result, written into `out` if given: a Tensor is rebound, an array filled if no gradient is lost."""
    if out is None:
        return result
    if isinstance(out, tuple):
        return tuple([_written(r, o, where) for r, o in zip(result, out, strict=True)])
    if isinstance(out, Tensor):
        return out._rebind(result if where is True else NUMPY_FUNCTIONS[np.where](where, result, out))
    np.copyto(out, np.asarray(result), where=np.asarray(where), casting="same_kind")
    return out


setattr(Tensor, "__array_function__", array_function)  # noqa: B010
setattr(Tensor, "__array_ufunc__", array_ufunc)  # noqa: B010
