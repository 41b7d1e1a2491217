"""A compiled program as an ONNX model: its lines become nodes, one by one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import errors
from ..compiler.lower.rewrites import without_dead_lines
from ..compiler.numpy_calls import GETITEM, KIND, OPERATORS
from ..compiler.program import Line, Value
from ..compiler.run.portable import Portable, present
from ..compiler.run.rows import Ratio, Rows
from ..compiler.write.naming import Names, keys
from ..engine.trees import entries
from ..errors import CompileError
from ..tensor.handle import Tensor

ARGUMENTS = (Tensor, np.asarray)  # for Tensors, NumPy's functions are lines of few kinds
_OPSET, _VERSION = 18, 8
_ALL = np.iinfo(np.int64).max
_CAPITALS = "add exp log sqrt tanh sin cos tan sinh cosh floor ceil sign reciprocal"
_UFUNCS = {name: name.title() for name in _CAPITALS.split()} | {
    "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min",
    "matmul": "MatMul", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan", "arcsinh": "Asinh", "arccosh": "Acosh",
    "arctanh": "Atanh", "negative": "Neg", "absolute": "Abs", "rint": "Round", "positive": "Identity", "erf": "Erf",
    "fabs": "Abs",
}  # fmt: skip
_COMPARISONS = {
    "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
    "equal": "Equal", "not_equal": "Equal",
}  # fmt: skip
_ON_BOOLS = {
    "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not", "bitwise_and": "And",
    "bitwise_or": "Or", "bitwise_xor": "Xor", "invert": "Not",
}  # fmt: skip
_REDUCTIONS = {
    "add.reduce": "ReduceSum", "maximum.reduce": "ReduceMax",
    "minimum.reduce": "ReduceMin", "logical_or.reduce": "ReduceSum", "logical_and.reduce": "ReduceProd",
}  # fmt: skip


def save(portable: Portable, file: Path) -> None:
    """Write a program as an ONNX model of opset 18: this is what `step.save("model.onnx")` calls.

    Arguments, results and parameters keep their names from Python; the first axis of every argument is dynamic if the
    program works for any number of rows. The function is run again for it, with Tensors in place of arrays where it can
    take them. A model does not check what a program checks as it runs, such as whether the values of a softmax are
    finite, or indices lie within their array.

    Raises CompileError if a line has no counterpart in ONNX, if the program changes something, or if Python decides by
    a number among the arguments; ImportError without the package onnx.
    """
    changed = [target.kind for target in portable.targets if target.kind != "result"]
    if changed:
        raise CompileError(
            f"{portable.name} changes a tensor's {changed[0]}, and an ONNX model changes nothing; compile and save a "
            "function that returns the outputs of a module in eval mode"
        )
    try:
        import onnx
    except ImportError as error:
        raise ImportError(errors.missing("an ONNX model is written by the package onnx", "onnx")) from error
    onnx.save(_Graph(portable, onnx).model(), str(file))


class _Graph:
    """Writes the nodes of one program. `names` has the names of its values."""

    def __init__(self, portable: Portable, onnx: Any) -> None:
        self.portable, self.program = portable, portable.program
        self.helper, self.schema = onnx.helper, functools.cache(onnx.defs.get_schema)
        self.tensor = onnx.numpy_helper.from_array
        self.free, self.names, self.dtypes = Names(), dict[Value, str](), dict[str, Any]()
        self.free.used = {*portable.labels.values(), *portable.rows}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.makers = self.program.makers

    def model(self) -> Any:
        """Return the model."""
        self.names = {s.value: self.free.new(s.value.name or "x#") for s in self.portable.arguments}
        inputs = [self.described(v, name) for v, name in self.names.items()]
        if numbers := [x for x in entries(self.portable.result) if isinstance(x, (int, float, str))]:
            raise CompileError(
                f"an ONNX model returns arrays, and not {numbers[0]!r}; leave it out, or return an array"
            )
        given = keys(self.portable.result)
        results = {number: self.free.new(name or self.program.outputs[number].name or "y#") for number, name in given}
        for s in [s for s in self.portable.sources if s not in self.portable.arguments]:
            self.names[s.value] = self.portable.labels[s.place]
            self.initializers.append(self.tensor(np.asarray(present(s)), self.names[s.value]))
        self.dtypes = {name: _dtype(value) for value, name in self.names.items()}
        self.leave_out_guards()
        for line in self.program.lines:
            self.line(line)
        outputs = []
        for number, name in results.items():
            value = self.program.outputs[number]
            self.nodes.append(self.helper.make_node("Identity", [self.of(value)], [name]))
            outputs.append(self.described(value, name))
        graph = self.helper.make_graph(self.nodes, self.portable.name, inputs, outputs, self.initializers)
        opset = self.helper.make_opsetid("", _OPSET)
        return self.helper.make_model(graph, opset_imports=[opset], ir_version=_VERSION, producer_name="tinygrad_nn")

    def leave_out_guards(self) -> None:
        """Leave out guards, which a model does not check. Raises CompileError if Python decided by a given number."""
        guards = [line for line in self.program.lines if line.function.kind == "guard"]
        for line in guards:
            if line.args[0].known and self.is_given(line.args[0]):
                raise CompileError(
                    f"the function decides by a number at {line.where}, and an ONNX model can't; compile a function "
                    "that does not take this number as an argument"
                )
        self.program.lines = [line for line in self.program.lines if line not in guards]
        self.program = without_dead_lines(self.program)

    def is_given(self, number: Value) -> bool:
        """Return whether a number is an argument, or computed from arguments; an array's shape is neither."""
        line = self.makers.get(number)
        if line is None:
            return number in self.program.inputs
        return line.function is not KIND and any(map(self.is_given, line.reads()))

    def described(self, value: Value, name: str) -> Any:
        """Return the description of an input or output; lengths that depend on the number of rows are formulas."""
        shape = [repr(n).strip("()") if isinstance(n, Rows) else n for n in self.portable.shape(value)]
        return self.helper.make_tensor_value_info(name, self.helper.np_dtype_to_tensor_dtype(_dtype(value)), shape)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        return self.several(1, op, *inputs, **attributes)[0]

    def several(self, outputs: int, op: str, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node, and return the names of its outputs; it computes in a wider dtype if ONNX lacks the operands'."""
        schema, dtypes = self.schema(op, _OPSET), dict[str, Any]()
        allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        operands = [(name, schema.inputs[min(i, len(schema.inputs) - 1)].type_str) for i, name in enumerate(inputs)]
        for name, t in operands:
            if name:
                dtypes[t] = np.result_type(self.dtypes[name], dtypes.get(t, self.dtypes[name]))
        wide = {t: _wide(dtype, allowed.get(t, [t])) for t, dtype in dtypes.items()}
        if any(x is None for x in [*wide.values(), *attributes.values()]):  # no attribute would mean ONNX's default
            raise NotImplementedError
        given = [name and self.cast(name, wide[t]) for name, t in operands]
        names = [self.free.new(f"{op.lower()}#") for _ in range(outputs)]
        self.nodes.append(self.helper.make_node(op, given, names, **attributes))
        results = [(name, output.type_str) for name, output in zip(names, schema.outputs * outputs, strict=False)]
        for name, t in results:
            self.dtypes[name] = wide.get(t, np.dtype(bool if "tensor(bool)" in allowed.get(t, [t]) else np.int64))
        return [self.cast(name, dtypes.get(t)) for name, t in results]

    def of(self, x: Any, dtype: Any = None) -> str:
        """Return the name of an operand, cast to a dtype if one is given."""
        if isinstance(x, Rows):
            return self.cast(self.add("Squeeze", self.ints([x])), dtype)
        if isinstance(x, Ratio):
            return self.add("Div", self.of(x.above, dtype), self.of(x.below, dtype))
        if not isinstance(x, Value):
            return self.constant(np.asarray(x, dtype))
        if x not in self.names:
            if x in self.makers:  # a result that a node does not have
                raise NotImplementedError
            self.names[x] = self.constant(x.concrete)
        return self.cast(self.names[x], dtype)

    def constant(self, x: np.ndarray) -> str:
        """Return the name of a constant array."""
        name = self.free.new("constant#")
        self.initializers.append(self.tensor(x, name))
        self.dtypes[name] = x.dtype
        return name

    def ints(self, numbers: Any) -> str:
        """Return the name of a vector of lengths, some of which may depend on numbers of rows."""
        found = self.constant(np.array([getattr(n, "offset", n) for n in numbers], np.int64))
        for symbol in dict.fromkeys(n.symbol for n in numbers if isinstance(n, Rows)):
            rows = self.add("Shape", self.names[self.portable.rows[symbol]], start=0, end=1)
            factors = [n.factor if getattr(n, "symbol", "") == symbol else 0 for n in numbers]
            found = self.add("Add", found, self.add("Mul", rows, self.ints(factors)))
        return found

    def cast(self, name: str, dtype: Any) -> str:
        """Return the name of a tensor in another dtype."""
        if dtype is None or np.dtype(dtype) == self.dtypes[name]:
            return name
        found = self.add("Cast", name, to=self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
        self.dtypes[found] = np.dtype(dtype)
        return found

    def line(self, line: Line) -> None:
        """Add the nodes of a line. Raises CompileError if it has no counterpart."""
        text = line.function.text
        text = _SAME.get(text, text).removeprefix("np.").removeprefix("op_")
        try:
            found = self.nodes_of(text, line)
        except (NotImplementedError, TypeError, LookupError) as error:
            what = "this index" if line.function is GETITEM else text
            raise CompileError(
                f"{what} at {line.where} has no counterpart in ONNX; write it by other functions, or compute it "
                "outside of the model"
            ) from error
        self.names |= zip(line.outputs, [found] if isinstance(found, str) else found, strict=False)

    def nodes_of(self, text: str, line: Line) -> Any:
        """Return the name of a line's result, or the names of several. Raises if there is no counterpart."""
        out = _dtype(line.outputs[0])
        if text in ("copy", "asarray", "astype") or (text in ("floor", "ceil", "trunc") and out.kind != "f"):
            return self.of(line.args[0], out)
        if text in _UFUNCS or text in _COMPOSED:
            names = self.alike(line, line.args)
            return self.add(_UFUNCS[text], *names) if text in _UFUNCS else _COMPOSED[text](self, out, *names)
        if text in _COMPARISONS:
            # A number of Python's stays one, since it does not widen the dtype of an array.
            kinds = [x.dtype or x.concrete if isinstance(x, Value) else x for x in line.args]
            kind = np.result_type(*[int(x) if isinstance(x, Rows) else x for x in kinds])
            name = self.add(_COMPARISONS[text], *[self.of(x, kind) for x in line.args])
            return self.add("Not", name) if text == "not_equal" else name
        if text in _ON_BOOLS and out.kind == "b":
            return self.add(_ON_BOOLS[text], *[self.of(x, bool) for x in line.args])
        if text in _REDUCTIONS:
            return self.reduced(line, _REDUCTIONS[text], *line.args, **line.kwargs)
        if text in ("reshape", "expand_dims", "squeeze") and line.kwargs.get("order", "C") == "C":
            return self.shaped(line, self.of(line.args[0]))
        if text in ("transpose", "moveaxis"):  # found on an array whose axes differ in length
            x, *moved = line.args
            axes = line.function.apply(np.empty(range(1, x.concrete.ndim + 1)), *moved, **line.kwargs)
            return self.add("Transpose", self.of(x), perm=[n - 1 for n in axes.shape])
        if line.function is GETITEM:
            return self.indexed(line, *line.args)
        return _OTHERS[text](self, line, *line.args, **line.kwargs)

    def alike(self, line: Line, parts: Sequence[Any]) -> list[str]:
        """Return the names of operands in the dtype of a line's result."""
        return [self.of(x, _dtype(line.outputs[0])) for x in parts]

    def shaped(self, line: Line, name: str) -> str:
        """Return a tensor in the shape of a line's result."""
        return self.add("Reshape", name, self.ints(self.portable.shape(line.outputs[0])), allowzero=1)

    def filled(self, line: Line, number: Any) -> str:
        """Return a tensor in the shape of a line's result that is full of a number."""
        return self.add("Expand", *self.alike(line, [number]), self.ints(self.portable.shape(line.outputs[0])))

    def reduced(
        self, line: Line, op: str, x: Value, axis: Any = 0, keepdims: bool = False, initial: Any = None,
        where: Any = True,
    ) -> str:  # fmt: skip
        """Return a sum, or another reduction, over axes."""
        if initial not in (None, np.inf, -np.inf) or where is not True:
            raise NotImplementedError
        axes = self.ints(range(len(x.shape)) if axis is None else np.ravel(axis))
        return self.add(op, *self.alike(line, [x]), axes, keepdims=int(keepdims), noop_with_empty_axes=1)

    def extreme(self, line: Line, op: str, x: Value, axis: Any = None, keepdims: bool = False) -> str:
        """Return the index of an extreme along an axis, or among all entries."""
        name = self.of(x) if axis is not None else self.add("Reshape", self.of(x), self.ints([-1]))
        return self.shaped(line, self.add(op, name, axis=axis or 0, keepdims=0))

    def ordered(self, x: Value, axis: int = -1, **_: Any) -> list[str]:
        """Return a tensor in ascending order along an axis, and where its entries were."""
        return self.several(2, "TopK", self.of(x), self.ints([self.portable.shape(x)[axis]]), axis=axis, largest=0)

    def indexed(self, line: Line, x: Value, index: Any) -> str:
        """Return entries by slices and numbers, or by slices and one array of indices."""
        parts = list(index) if isinstance(index, tuple) else [index]
        at = next((n for n, part in enumerate(parts) if part is Ellipsis), len(parts))
        missing = len(x.shape) - sum(part is not None and part is not Ellipsis for part in parts)
        parts[at : at + 1] = [slice(None)] * missing
        indices = [part for part in parts if part is not None and not isinstance(part, slice)]
        each = [np.asarray(part.concrete if isinstance(part, Value) else part) for part in indices]
        if any(a.dtype.kind not in "iu" or (a.ndim and each[1:]) for a in each):
            raise NotImplementedError
        new = [n for n, part in enumerate(parts) if part is None]
        name = self.add("Unsqueeze", self.of(x), self.ints(new)) if new else self.of(x)
        for axis, part in reversed([*enumerate(parts)]):  # from the last, since a number takes its axis away
            if isinstance(part, slice):
                name = name if part == slice(None) else self.sliced(name, axis, part)
            elif part is not None:
                name = self.add("Gather", name, self.of(part, np.int64), axis=axis)
        return name

    def sliced(self, name: str, axis: int, part: slice) -> str:
        """Return a slice along an axis."""
        step = 1 if part.step is None else part.step
        ends = (0, _ALL) if step > 0 else (_ALL, -_ALL)
        start, stop = (end if x is None else x for x, end in zip((part.start, part.stop), ends, strict=True))
        return self.add("Slice", name, *[self.ints([n]) for n in (start, stop, axis, step)])

    def counted(self, line: Line, *ends: Any, **options: Any) -> str:
        """Return the numbers from one to another, as np.arange counts them."""
        kind = np.dtype(np.float64 if _dtype(line.outputs[0]).kind == "f" else np.int64)
        return self.cast(self.add("Range", *[self.of(n, kind) for n in ends]), _dtype(line.outputs[0]))

    def convolution(self, line: Line, x: Value, weight: Value, bias: Any = None, *, windows: Any, groups: int) -> str:
        given = [self.of(a) for a in (x, weight, bias) if a is not None]
        return self.add("Conv", *given, group=groups, dilations=windows.dilation, **_slid(windows, x.shape))

    def transposed(self, line: Line, z: Value, weight: Value, *, windows: Any, lengths: Any, groups: int) -> str:
        fields = zip(*windows, lengths, strict=True)
        more = [n - ((c - 1) * s + d * (k - 1) + 1 - 2 * p) for k, s, p, d, c, n in fields]
        slid = _slid(windows, lengths) | {"pads": windows.padding * 2, "dilations": windows.dilation}
        return self.add("ConvTranspose", self.of(z), self.of(weight), group=groups, output_padding=more, **slid)

    def window_maximum(self, line: Line, x: Value, *, windows: Any) -> str:
        return self.add("MaxPool", self.of(x), dilations=windows.dilation, **_slid(windows, x.shape))

    def window_sum(self, line: Line, x: Value, *, windows: Any) -> str:
        if set(windows.dilation) != {1}:
            raise NotImplementedError
        mean = self.add("AveragePool", self.of(x), count_include_pad=1, **_slid(windows, x.shape))
        return self.add("Mul", mean, self.of(math.prod(windows.kernel), x.dtype))

    def lstm(self, line: Line, *given: Any, reverse: bool) -> list[str]:
        for reader in [r for r in self.program.lines if line.outputs[1] in r.reads()]:
            if reader.function is not GETITEM or reader.args[1] != (0 if reverse else -1):
                raise NotImplementedError  # a node returns only the last cells
        return self.recurrent("LSTM", [0, 3, 1, 2], *given, reverse=reverse)

    def recurrent(
        self, op: str, order: list[int], x: Value, state: Value, w_ih: Value, w_hh: Value, *biases: Any, reverse: bool,
        **options: Any,
    ) -> list[str]:  # fmt: skip
        """Return the states of all steps and, for an LSTM, the last cells."""
        biases = tuple([self.by_gate(b, order) for b in biases if b is not None])
        given = [self.of(x), *[self.by_gate(w, order) for w in (w_ih, w_hh)]]
        given += [self.add("Concat", *biases, axis=1) if biases else "", ""]
        if op == "LSTM":
            begun, count = self.several(2, "Split", self.of(state), axis=0, num_outputs=2), 3
        else:
            begun, count = [self.add("Unsqueeze", self.of(state), self.ints([0]))], 2
        options |= {"hidden_size": w_hh.shape[1], "direction": "reverse" if reverse else "forward"}
        states, _, *cells = self.several(count, op, *given, *begun, **options)
        return [self.add("Squeeze", states, self.ints([1])), *cells]

    def by_gate(self, weight: Value, order: list[int]) -> str:
        """Return a weight or bias with its gates in ONNX's order, and an axis for the direction."""
        name = self.of(weight)
        if len(order) > 1:
            gates = self.several(len(order), "Split", name, axis=0, num_outputs=len(order))
            name = self.add("Concat", *[gates[i] for i in order], axis=0)
        return self.add("Unsqueeze", name, self.ints([0]))


def _slid(windows: Any, shape: Sequence[int]) -> dict[str, Any]:
    """Return a node's attributes for windows that slide over the last axes."""
    fields = zip(*windows, shape[-len(windows.kernel) :], strict=True)
    ends = [max(0, (c - 1) * s + d * (k - 1) + 1 - p - n) for k, s, p, d, c, n in fields]
    return {"kernel_shape": windows.kernel, "strides": windows.stride, "pads": [*windows.padding, *ends]}


def _wide(dtype: Any, allowed: Sequence[str]) -> Any:
    """Return the first dtype that holds all values of one and is allowed, or None."""
    kinds = [kind for kind in (dtype, np.dtype(np.int64), np.dtype(np.float64)) if np.can_cast(dtype, kind)]
    names = {"float32": "float", "float64": "double"}
    return next((kind for kind in kinds if f"tensor({names.get(kind.name, kind.name)})" in allowed), None)


def _dtype(value: Value) -> Any:
    """Return the dtype of a value; for a number of Python's, that of an array of it."""
    return np.asarray(value.concrete).dtype if value.dtype is None else value.dtype


def _remainder(g: _Graph, t: Any, x: str, y: str) -> str:
    """Return x % y, which has the sign of y."""
    if t.kind != "f":
        return g.add("Mod", x, y)
    rest, zero = g.add("Mod", x, y, fmod=1), g.of(0, t)
    turned = g.add("Less", g.add("Mul", g.add("Sign", rest), g.add("Sign", y)), zero)
    return g.add("Where", turned, g.add("Add", rest, y), rest)


_SAME = {text: f"np.{ufunc.__name__}" for text, ufunc in OPERATORS.values()}
_SAME["np.add.accumulate"] = "np.cumsum"
# Functions of the graph, the dtype of the result, and the operands in that dtype.
_COMPOSED: dict[str, Callable[..., str]] = {
    "square": lambda g, t, x: g.add("Mul", x, x),
    "expm1": lambda g, t, x: g.add("Sub", g.add("Exp", x), g.of(1, t)),
    "log1p": lambda g, t, x: g.add("Log", g.add("Add", x, g.of(1, t))),
    "log2": lambda g, t, x: g.add("Div", g.add("Log", x), g.of(math.log(2), t)),
    "log10": lambda g, t, x: g.add("Div", g.add("Log", x), g.of(math.log(10), t)),
    "exp2": lambda g, t, x: g.add("Pow", g.of(2, t), x),
    "logaddexp": lambda g, t, x, y: g.add(
        "Add", g.add("Max", x, y),
        _COMPOSED["log1p"](g, t, g.add("Exp", g.add("Neg", g.add("Abs", g.add("Sub", x, y))))),
    ),
    "trunc": lambda g, t, x: g.add("Mul", g.add("Sign", x), g.add("Floor", g.add("Abs", x))),
    "fmod": lambda g, t, x, y: g.add("Mod", x, y, fmod=1),
    "remainder": _remainder,
    "floor_divide": lambda g, t, x, y: g.add(
        "Round" if t.kind == "f" else "Identity", g.add("Div", g.add("Sub", x, _remainder(g, t, x, y)), y)),
    "erfc": lambda g, t, x: g.add("Sub", g.of(1, t), g.add("Erf", x)),
}  # fmt: skip
# Functions of the graph, the line, and its arguments.
_OTHERS: dict[str, Callable[..., Any]] = {
    "where": lambda g, line, c, *parts: g.add("Where", g.of(c, bool), *g.alike(line, parts)),
    "concatenate": lambda g, line, parts, axis=0: g.add("Concat", *g.alike(line, parts), axis=axis),
    "clip": lambda g, line, x, low=None, high=None: g.add(
        "Min", (least := g.add("Max", *g.alike(line, [x, x if low is None else low]))),
        least if high is None else g.alike(line, [high])[0],
    ),
    "broadcast_to": lambda g, line, x, shape: g.add("Expand", g.of(x), g.ints(shape)),
    "zeros": lambda g, line, *_, **options: g.filled(line, 0),
    "full": lambda g, line, shape, number, **options: g.filled(line, number),
    "arange": _Graph.counted,
    "argmax": lambda g, line, *given, **options: g.extreme(line, "ArgMax", *given, **options),
    "argmin": lambda g, line, *given, **options: g.extreme(line, "ArgMin", *given, **options),
    "sort": lambda g, line, *given, **options: g.ordered(*given, **options)[0],
    "argsort": lambda g, line, *given, **options: g.ordered(*given, **options)[1],
    "cumsum": lambda g, line, x, axis, dtype=None: g.add("CumSum", *g.alike(line, [x]), g.of(axis, np.int64)),
    "round": lambda g, line, x, decimals=0: g.add(
        "Div", g.add("Round", g.add("Mul", g.of(x), tens := g.of(10**decimals, x.dtype))), tens),
    "isnan": lambda g, line, x: g.add("IsNaN", g.of(x)),
    "isinf": lambda g, line, x: g.add("IsInf", g.of(x)),
    "isfinite": lambda g, line, x: g.add("Not", g.add("Or", g.add("IsInf", g.of(x)), g.add("IsNaN", g.of(x)))),
    "take_along_axis": lambda g, line, x, at, axis: g.add(
        "GatherElements", g.of(x), g.of(at, np.int64), axis=axis % len(x.shape)),
    "convolution": _Graph.convolution, "transposed_convolution": _Graph.transposed,
    "window_maximum": _Graph.window_maximum, "window_sum": _Graph.window_sum,
    "rnn_tanh": lambda g, line, *given, **options: g.recurrent("RNN", [0], *given, **options),
    "rnn_relu": lambda g, line, *given, **options: g.recurrent("RNN", [0], *given, activations=["Relu"], **options),
    "gru": lambda g, line, *given, **options: g.recurrent("GRU", [1, 0, 2], *given, linear_before_reset=1, **options),
    "lstm": _Graph.lstm,
}  # fmt: skip
