"""The closures that run when a user calls an operation: the only hot code.

A chain of small operations spends most of its time here. A closure is built once, for its operation's arity. Those for
one and two operands more than halve a call's time; for two, `record` and `make` are even written out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np

from .. import errors
from ..engine.arrays import ArrayProxy, as_array
from ..engine.grad_mode import recording
from ..engine.node import Node, next_number, record
from ..engine.operation import Operation
from ..engine.outputs import item
from .handle import Tensor, make
from .refusals import no_rule

_new = object.__new__
_NUMBERS = frozenset({int, float, bool, complex, np.ndarray, np.float64, np.float32, np.bool_})


def constant(x: Any) -> Any:
    """Return what NumPy gets for an operand that is not a Tensor; Python numbers stay weak."""
    if type(x) in _NUMBERS and (type(x) is not np.ndarray or (x.dtype.kind in "fiub" and x.dtype.isnative)):
        return x
    return x if isinstance(x, ArrayProxy) else as_array(x)


def call_one(op: Operation) -> Callable[[Any], Tensor]:
    """Return the function that calls an operation on one operand, without parameters."""
    forward, watched = op.forward, call_any(op)
    save_x, save_y = op.saves((True,))[0][:2]

    def call(x: Any, /) -> Tensor:
        enabled = recording.get()
        if enabled is not True and enabled is not False:  # but a watcher
            return cast(Tensor, watched(x))
        try:
            if type(x) is Tensor:
                data, parent = x._array, x._node
            else:
                data, parent = constant(x), None
            y = forward(data)
        except Exception as error:
            errors.failed(error, op.name, [x])
            raise
        if parent is None or not enabled or (y.dtype.kind != "f" and _ends_graph(y.dtype)):
            return make(y, None)
        return make(y, record(op, (parent,), (data if save_x else None, y if save_y else None), y))

    return call


def call_two(op: Operation) -> Callable[[Any, Any], Tensor]:
    """Return the function that calls an operation on two operands, without parameters."""
    forward, watched = op.forward, call_any(op)
    first, second, both = [op.saves(wanted)[0][:3] for wanted in ((True, False), (False, True), (True, True))]
    saves_nothing = not any(both)

    def call(a: Any, b: Any, /) -> Tensor:
        enabled = recording.get()
        if enabled is not True and enabled is not False:  # but a watcher
            return cast(Tensor, watched(a, b))
        try:
            if type(a) is Tensor:
                x, p = a._array, a._node
            else:
                p = None
                x = a if type(a) is float else constant(a)
            if type(b) is Tensor:
                z, q = b._array, b._node
            else:
                q = None
                z = b if type(b) is float else constant(b)
            y = forward(x, z)
        except Exception as error:
            errors.failed(error, op.name, [a, b])
            raise
        t: Tensor = _new(Tensor)
        t._array = y
        t._grad = t.name = None
        dtype = y.dtype
        if (p is None and q is None) or not enabled or (dtype.kind != "f" and _ends_graph(dtype)):
            t._node = None
            return t
        node = t._node = Node()
        node.operation = op
        node.parents = (p, q)
        if saves_nothing:
            node.saved = ()
        else:
            save_x, save_z, save_y = both if p is not None and q is not None else first if q is None else second
            node.saved = (x if save_x else None, z if save_z else None, y if save_y else None)
        node.shape = y.shape
        node.dtype = dtype
        node.number = next_number()
        node.handle = node.hooks = None
        return t

    return call


def call_any(op: Operation) -> Callable[..., Any]:
    """Return the function that calls any operation: any inputs, parameters, several outputs, watched or not."""

    def call(*args: Any, **parameters: Any) -> Any:
        enabled = recording.get()
        watching = None if enabled is True or enabled is False else enabled
        try:
            inputs, values = op.bind(args, parameters)
            if watching is None:
                arrays, parents = _operands(op, inputs)
                y = op.run(arrays, values)
            else:
                arrays, parents = _operands(op, [watching.shadow(x) if type(x) is Tensor else x for x in inputs])
                y = watching.forward(op, arrays, values)
        except Exception as error:
            errors.failed(error, op.name, args)
            raise
        node = _recorded(op, enabled, arrays, parents, values, y)
        if watching is not None:
            watching.recorded(op, arrays, values, node, y)
        return _outputs(y, node) if op.multiple_outputs else make(y, node)

    return call


def _operands(op: Operation, inputs: Iterable[Any]) -> tuple[list[Any], list[Node | None]]:
    """Return the inputs' arrays, and their nodes: None for inputs that get no gradient."""
    arrays: list[Any] = []
    parents: list[Node | None] = []
    for x in inputs:
        if type(x) is Tensor:
            arrays.append(x._array)
            parents.append(x._node)
        else:
            arrays.append(x if x is None and len(arrays) >= op.required_inputs else constant(x))
            parents.append(None)
    for index in op.constant_inputs:
        parents[index] = None
    return arrays, parents


def _saved(op: Operation, arrays: list[Any], y: Any, values: Mapping[str, Any], wanted: tuple[bool, ...]) -> Any:
    """Return what the rules of the wanted inputs read, and None in the other slots."""
    if not op.rules:
        raise errors.GradientError(no_rule(op.name))
    saves, more = op.saves(wanted)
    everything = [arrays, y] if op.variadic else [*arrays, y]
    if more:
        shapes = [a.shape if type(a) is np.ndarray else np.shape(a) for a in arrays]
        everything += [shapes] if op.variadic else shapes
        everything += [wanted, *values.values()]
    return tuple([value if save else None for value, save in zip(everything, saves)])


def _recorded(op: Operation, enabled: Any, arrays: Any, parents: list[Node | None], values: Any, y: Any) -> Node | None:
    """Return the node that records an operation's result, or None if no gradient can go back."""
    wanted = tuple([p is not None for p in parents])
    if True not in wanted or not enabled:
        return None
    saved = _saved(op, arrays, y, values, wanted)
    if not op.multiple_outputs:
        return None if y.dtype.kind != "f" and _ends_graph(y.dtype) else record(op, tuple(parents), saved, y)
    if not y:
        return None
    whole = record(op, tuple(parents), saved, y[0])
    whole.shape = tuple([part.shape for part in y])
    return whole


def _outputs(ys: Any, whole: Node | None) -> tuple[Tensor, ...]:
    """Return the outputs as NumPy does: in a tuple, or in a named tuple, with names such as `.eigenvalues`."""
    nodes = [item(whole, i, y) if whole is not None and y.dtype.kind == "f" else None for i, y in enumerate(ys)]
    tensors = [make(y, node) for y, node in zip(ys, nodes, strict=True)]
    return cast(Any, type(ys))(*tensors) if hasattr(ys, "_fields") else tuple(tensors)


def _ends_graph(dtype: Any) -> bool:
    """Return True: no gradient goes through integers and booleans. Raises DtypeError for a complex result."""
    if dtype.kind == "c":
        raise errors.DtypeError(errors.no_gradient_dtype(dtype))
    return True
