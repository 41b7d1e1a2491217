"""The Tensor: a light handle on a NumPy array and on the node that recorded it. No mathematics."""

from __future__ import annotations

import copy
import operator
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from .. import errors
from ..engine.arrays import ArrayProxy, as_array, copied, raw
from ..engine.cotangents import fitting
from ..engine.grad_mode import enable_grad, inside_rule, no_grad, recording
from ..engine.node import Node, next_number, record
from ..engine.reverse import pullback
from ..engine.watching import watcher
from ..errors.unsupported import ELSEWHERE, elsewhere
from .refusals import LEAF_ASSIGNMENT, RECORDED_ASSIGNMENT, needs_seed, raw_in_rule, silent_loss

new = object.__new__
NUMPY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}


class Hook:
    """A registered hook; `remove()` unregisters it."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Unregister the hook; a second call does nothing."""
        self._hooks.pop(self._key, None)


class Absent(str):
    """A name that Tensors don't have: reading it raises this text. A `__getattr__` would slow down every attribute."""

    def __get__(self, t: Any, kind: Any = None) -> NoReturn:
        raise AttributeError(str(self))


class Tensor:
    """An array that may require grad, with its gradient and the node that recorded it.

    `Tensor(array)` wraps an array without copying it; `tg.tensor(x)` copies. `t[i] = v` and `t += v` rebind `t` to a
    new value: graphs recorded before stay valid. A slice is a new value, not a view: `t[0][1] = v` leaves `t` as it
    was; write `t[0, 1] = v`.

    >>> import tinygrad_nn as tg
    >>> t = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> (t * t).sum().backward()
    >>> t.grad
    tg.tensor([2., 4.], dtype='float64')
    """

    __slots__ = ("__weakref__", "_array", "_grad", "_node", "name", "role")  # role: "parameter", "buffer", ... if set

    def __init__(self, array: Any, requires_grad: bool = False, name: str | None = None) -> None:
        if isinstance(array, Tensor):
            array._refuse_loss("an array made of it")
        self._array = as_array(raw(array))
        self._node: Node | None = None
        self._grad: Tensor | None = None
        self.name = name
        if (watching := watcher()) is not None:
            watching.created(self)
        if requires_grad is not False:
            self.requires_grad = requires_grad

    @property
    def data(self) -> Any:
        """The array itself, of shape (...). No graph records what is written into it."""
        if inside_rule.get():
            self._refuse_in_rule("data")
        data = (own := _own(self))._array
        if type(data) is not np.ndarray:
            data = own._array = data.as_array() if isinstance(data, ArrayProxy) else np.asarray(data)
        return data

    @data.setter
    def data(self, array: Any) -> None:
        if isinstance(array, Tensor) and array.requires_grad:
            raise errors.DetachedError("t.data = x would lose the gradient that x requires; write t.data = x.data")
        with no_grad():
            self._rebind(Tensor(array), "t.data = x keeps both; write t = tg.tensor(x)")

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has accumulated, a Tensor of the same shape, or None; what is set is copied."""
        watching = recording.get()
        return self._grad if watching is True or watching is False else watching.gradient(self)

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            if not isinstance(gradient, Tensor):
                raise TypeError(f"a gradient is a Tensor or None, got {errors.given(gradient)}; write tg.tensor(g)")
            _check_like("gradient", gradient, self)
            gradient = make(copied((given := _own(gradient))._array), given._node)  # no gradient shares its memory
        _own(self)._grad = gradient

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not isinstance(vars(Tensor).get(name), Absent)]

    def numpy(self) -> Any:
        """Return a read-only view of the array."""
        self._refuse_in_rule("numpy()")
        view = _read(self, "numpy()").view()
        view.flags.writeable = False
        return view

    shape = property(operator.attrgetter("_array.shape"), doc="The lengths of the axes.")
    ndim = property(operator.attrgetter("_array.ndim"), doc="The number of axes.")
    size = property(operator.attrgetter("_array.size"), doc="The number of entries.")
    dtype = property(operator.attrgetter("_array.dtype"), doc="The dtype of the entries.")
    is_leaf = property(
        lambda self: (node := node_of(self)) is None or node.operation is None,
        doc="True unless a recorded operation computed this tensor.",
    )

    @property
    def requires_grad(self) -> bool:
        """True if operations on this tensor are recorded; may be set on leaves."""
        return node_of(self) is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not isinstance(wanted, (bool, np.bool_)):
            raise TypeError(f"requires_grad is True or False, got {errors.given(wanted)}; write t.requires_grad = True")
        if not self.is_leaf:
            raise errors.GradientError("only a leaf's requires_grad can be set; use t.detach()")
        own = _own(self)
        if wanted and own._node is None:
            if self.dtype.kind != "f":
                raise errors.DtypeError(errors.no_gradient_dtype(self.dtype))
            own._node = record(None, (), (), self.data)
            own._node.handle = weakref.ref(self)
        elif not wanted:
            own._node = None

    def detach(self) -> Tensor:
        """Return a tensor with the same array that doesn't require grad: gradients stop there."""
        self._refuse_in_rule("detach()")
        return make(_own(self)._array, None)

    def retain_grad(self) -> None:
        """Let `backward` fill the `.grad` of this tensor too, although it is not a leaf."""
        root_of(self).handle = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Hook:
        """Call `hook(gradient)` in every backward pass; if it returns a gradient, that replaces it.

        Returns a handle; its `remove()` unregisters the hook.
        """
        node = root_of(self)
        if not callable(hook):
            raise TypeError(f"a hook is a function of the gradient, got {errors.given(hook)}; write lambda g: 2 * g")
        hooks = node.hooks = {} if node.hooks is None else node.hooks
        key = next_number()
        hooks[key] = hook
        return Hook(hooks, key)

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the derivatives of this tensor to the `.grad` of every leaf that it was computed from.

        `gradient` is the cotangent to start from, of this tensor's shape; the default, for a tensor of one entry, is 1.
        The graph is freed on the way unless `retain_graph` is true (default: `create_graph`). With `create_graph` the
        gradients are themselves recorded. Raises GradientError if nothing was recorded or no cotangent is given,
        FreedGraphError if the graph was freed.
        """
        retain = create_graph if retain_graph is None else retain_graph
        seed = seed_of(self, gradient, create_graph)
        found = pullback({root_of(self): seed}, None, make, retain_graph=retain, create_graph=create_graph)
        ready = []  # all sums before the first assignment: a sum that fails leaves every `.grad` as it was
        for leaf, g in found.items():
            if leaf.handle is not None and (handle := leaf.handle()) is not None:  # else the Tensor no longer exists
                if g.dtype != handle.dtype:  # the leaf was converted after it was used
                    with enable_grad():
                        g = g.astype(handle.dtype)
                old = handle.grad
                if old is not None and create_graph:
                    with enable_grad():
                        g = old + g
                elif old is not None:
                    g = np.add(g, _own(old)._array, out=g)  # `g` belongs to this pass; `old` may be held elsewhere
                ready.append((handle, g if create_graph else make(g, None)))
        for handle, g in ready:
            _own(handle)._grad = g  # `g` has the right shape and dtype: `handle.grad = g` would check them again

    def item(self) -> Any:
        """Return the only entry as a Python number."""
        self._refuse_in_rule("item()")
        return _read(self, "item()", lambda array: array.item())

    def tolist(self) -> Any:
        """Return the entries as nested lists of Python numbers."""
        self._refuse_in_rule("tolist()")
        return _read(self, "tolist()").tolist()

    def zero_grad(self) -> None:
        """Set `.grad` to None."""
        self.grad = None

    def _rebind(self, result: Tensor, advice: str = "an assignment keeps both; write t = t + v") -> Tensor:
        """Rebind this handle to a new value of the same shape and dtype, and return the handle."""
        if result.dtype != self.dtype and np.can_cast(result.dtype, self.dtype, "same_kind"):
            result = result.astype(self.dtype)
        _check_like("new value", result, self, advice)
        own, new = _own(self), _own(result)
        node, is_recorded = own._node, bool(recording.get())
        if node is not None and is_recorded == self.is_leaf:
            raise errors.InplaceError(LEAF_ASSIGNMENT if is_recorded else RECORDED_ASSIGNMENT)
        own._array = new._array
        if is_recorded:
            if node is not None and node.handle is not None and new._node is not None:
                node.handle, new._node.handle = None, weakref.ref(self)  # retain_grad follows the handle
            own._node = new._node
        return self

    def _refuse_in_rule(self, what: str) -> None:
        """Raise DetachedError if a rule from outside this package, which is itself being recorded, leaves the graph."""
        if inside_rule.get() and node_of(self) is not None:
            caller = sys._getframe(2).f_code.co_filename  # 0: this frame, 1: the property or method, 2: its caller
            if not caller.startswith(errors.PACKAGE):
                raise errors.DetachedError(raw_in_rule(what))

    def _refuse_loss(self, what: str) -> None:
        """Raise DetachedError if a gradient would be lost. After the graph has been freed, none can be."""
        if (node := node_of(self)) is not None and node.parents is not None:
            raise errors.DetachedError(silent_loss(what))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self._refuse_loss("an array made of it")
        return np.array(_read(self, "an array made of it"), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        self._refuse_loss("another library's array made of it")
        if min(self.data.strides, default=0) < 0 or not self.data.flags.writeable:  # PyTorch aborts, and writes there
            raise BufferError("other libraries have no negative strides, and no read-only memory; write t.copy()")
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(_read(self, "bool(t)"))

    def __float__(self) -> float:
        self._refuse_loss("float(t), which NumPy and math call too,")
        return _read(self, "float(t)", float)

    def __int__(self) -> int:
        return _read(self, "int(t)", int)

    def __index__(self) -> int:
        return _read(self, "a tensor as a Python index", operator.index)

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(_read(self, "in") == (value.data if isinstance(value, Tensor) else as_array(value))))

    __hash__ = object.__hash__  # by identity: == computes a Tensor of booleans

    def __copy__(self) -> Tensor:
        return copy.deepcopy(self)

    def __reduce__(self) -> Any:  # for pickle, and for copy.deepcopy
        if not self.is_leaf:
            raise errors.GradientError("a recorded tensor can't be copied or pickled; copy or pickle t.detach()")
        slots = {"grad": None if self.grad is None else self.grad.detach(), "role": getattr(self, "role", None)}
        return Tensor, (self.data, self.requires_grad, self.name), (None, slots)

    def __format__(self, spec: str) -> str:
        if not spec:
            return repr(self)
        return _read(self, "format(t)", lambda array: format(array.item() if self.size == 1 else array, spec))

    def __repr__(self) -> str:
        """Return code that creates this tensor again; long code is shortened, and shows the shape."""
        with np.printoptions(nanstr="np.nan", infstr="np.inf"):
            body = np.array2string(self.data, separator=", ", prefix="tg.tensor(", threshold=100, floatmode="unique")
        how, body = ("tg.tensor", body) if self.size else ("tg.zeros", str(self.shape))
        if "..." in body:
            body += f", shape={self.shape}"
        named = "" if self.name is None else f", name={self.name!r}"
        return f"{how}({body}, dtype='{self.dtype}'{', requires_grad=True' * self.requires_grad}{named})"


def _own(t: Tensor) -> Tensor:
    """Return the Tensor whose slots are read and written: `t` itself, or its shadow if there is a watcher."""
    watching = recording.get()
    return t if watching is True or watching is False else watching.shadow(t)


def _read(t: Tensor, what: str, convert: Callable[[Any], Any] = lambda array: array) -> Any:
    """Return the array, which Python is about to read, converted by `convert`. A watcher may raise instead."""
    array = t.data if (watching := watcher()) is None else watching.read(t, what)
    with errors.noted("a number needs one entry, an index an integer: write t[i], t.sum(), t.tolist() or int(t)"):
        return convert(array)


def make(data: Any, node: Node | None) -> Tensor:
    """Return a Tensor with the result of an operation: an array or a NumPy scalar, and its node."""
    t: Tensor = new(Tensor)
    t._array = data
    t._node = node
    t._grad = t.name = None
    return t


def node_of(t: Tensor) -> Any:
    """Return the node that recorded a tensor, or None."""
    return _own(t)._node


def alias(t: Tensor) -> Tensor:
    """Return another handle on the same value and node."""
    return make((own := _own(t))._array, own._node)


def with_gradients(leaves: Sequence[Tensor]) -> list[tuple[Tensor, Any, Any]]:
    """Return leaves with their arrays and the arrays of their gradients, or None."""
    if watcher() is None and all(t._array.ndim for t in leaves):  # what has no axes may be a NumPy scalar
        return [(t, t._array, None if (g := t._grad) is None else g._array) for t in leaves]
    return [(t, t.data, None if (g := t.grad) is None else g.data) for t in leaves]


def replace_values(pairs: Sequence[tuple[Tensor, Any]]) -> None:
    """Rebind each leaf to another array of its shape and dtype, as an optimiser's step does.

    Raises ValueError for another shape, DtypeError for another dtype, TypeError for a non-array; then no leaf changes.
    """
    for t, array in pairs:
        if type(array) is not np.ndarray and (isinstance(array, Tensor) or not hasattr(array, "dtype")):
            raise TypeError(f"a tensor's new value is an array, got {errors.given(array)}; return one like t.data")
        _check_like("new value", array, t)
    watching = watcher()
    for t, array in pairs:
        (t if watching is None else watching.shadow(t))._array = array


def convert(t: Tensor, dtype: Any) -> None:
    """Rebind a leaf to its values in another dtype and drop its gradient. Raises GradientError if it is not a leaf."""
    own, node, array = _own(t), node_of(t), t.data.astype(dtype)
    t.requires_grad = False
    own._array, own._grad = array, None
    if node is not None:
        t.requires_grad = True
        own._node.hooks = node.hooks


def _check_like(what: str, x: Any, t: Tensor, advice: str = "") -> None:
    """Raise ValueError if the shape is not the tensor's, DtypeError if the dtype is not."""
    if x.shape != t.shape or x.dtype != t.dtype:
        kind, error = ("shape", ValueError) if x.shape != t.shape else ("dtype", errors.DtypeError)
        raise error(errors.of_another(kind, what, x, "its tensor", t, advice))


def root_of(output: Tensor) -> Node:
    """Return the node that a backward pass starts from. Raises GradientError if nothing was recorded."""
    node: Node | None = node_of(output)
    if node is None:
        raise errors.GradientError(errors.records_nothing("this tensor"))
    return node


def seed_of(output: Tensor, gradient: Any, create_graph: bool) -> Any:
    """Return the cotangent that a backward pass starts from, in the output's shape and dtype: 1 by default."""
    if gradient is None and output.size != 1:
        raise errors.GradientError(needs_seed(output.shape))
    if gradient is None:
        one = np.array(1, output.dtype).reshape(output.shape)
        return make(one, None) if create_graph else one
    seed = fitting(gradient, output, make)
    return seed if create_graph else seed.data


def explain_absent(functions: Iterable[str]) -> None:
    """Let each name that a Tensor lacks, but another library, `tg` or an array has, say what to write."""
    texts = {name: f"a Tensor has no attribute {name!r}; write t.data.{name}" for name in dir(np.ndarray)}
    texts |= {name: f"a Tensor has no attribute {name!r}; write tg.{name}(t, ...)" for name in functions}
    texts |= {name: str(elsewhere("t", name, ELSEWHERE)) for names in ELSEWHERE.values() for name in names}
    for name in [name for name in texts if not name.startswith("_") and not hasattr(Tensor, name)]:
        setattr(Tensor, name, Absent(texts[name]))
