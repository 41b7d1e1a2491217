"""Names for the values of a program, from what its trace knows: W1 and b1 give Z1, Z1 gives A1, its adjoint is dZ1."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..lower.lowering import Lowered
from ..program import Line, Value
from ..trace.traced_call import Placeholder, Trace
from ..trace.tracer import Tracer
from .notation import METHODS, is_transpose

_ACTIVATIONS = ("relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu", "gelu", "silu", "softplus")
_PRODUCTS = ("np.matmul", "np.dot")
_WEIGHT = re.compile(r"(.*?)(?:W|[Ww]eights?)_?(\d*)$")
_SHORT = METHODS | {
    "{0}[{1}]": "part", "setitem": "assigned", "either": "where", "getitem": "part", "reshape_to": "reshaped",
    "matrix_product": "product",
}  # fmt: skip

# Names that the text around a program uses: its own, and those of Python's builtins.
_RESERVED = {
    "np", "memory", "step", "build", "constants", "Unusual", "run", "parameters", "gradients",
    "saved", "file", "checked", "state", "error", "bool", "float", "repr", "slice", "abs", "dict",
    "isinstance", "type", "Exception", "ValueError", "FloatingPointError",
}  # fmt: skip


class Names:
    """A name for every value: its own if it has one, and no name twice."""

    def __init__(self) -> None:
        self.used: set[str] = set(_RESERVED)
        self.found: dict[Value, str] = {}
        self.primals: dict[Value, Value] = {}  # of values that became adjoints in rewrites

    def of(self, value: Value) -> str:
        """Return the value's name; that of an adjoint is a d before the name of its primal."""
        if value not in self.found:
            primal = value.primal or self.primals.get(value)
            if primal is not None:
                wish = f"d{self.of(primal)}"
            else:
                wish = value.name if value.after is None else f"{self.of(value.after)}{value.name}"
            self.found[value] = self.new(wish or "t#")
        return self.found[value]

    def new(self, wish: str) -> str:
        """Return an unused name like the wish; one that ends in # is numbered."""
        numbered = wish.endswith("#")
        stem = unicodedata.normalize("NFKC", wish.removesuffix("#"))  # as Python reads names
        stem = "".join([c if f"_{c}".isidentifier() else "_" for c in stem])
        stem = f"_{stem}" if not stem.isidentifier() or keyword.iskeyword(stem) else stem
        name, n = f"{stem}1" if numbered else stem, 1
        while name in self.used:
            n += 1
            name = f"{stem}{n}" if numbered else f"{stem}_{n}"
        self.used.add(name)
        return name


def named(lowered: Lowered, trace: Trace) -> None:
    """Give a program's values names: inputs, results, what the lines compute, and the adjoints of all these."""
    tracer, known = trace.tracer, trace.table.labels
    for source in lowered.sources:
        source.value.name = source.value.name or known.get(id(source.owner)) or f"{source.kind}#"
    for array, value in tracer.constants.values():
        value.name = value.name or known.get(id(array), "")
    for value in [*lowered.plain.constants, *lowered.program.constants]:
        value.name = value.name or ("constant#" if value.shape else "number#")
    names = _Names(lowered, tracer)
    names.of_results(dict(keys(trace.result)))
    names.of_lines()
    names.of_adjoints()


def keys(result: Any, name: str = "") -> Iterator[tuple[int, str]]:
    """Yield the number of each place in a function's result with the key or field that leads there."""
    if isinstance(result, Placeholder):
        yield result.number, name
    elif isinstance(result, dict):
        for key, part in result.items():
            yield from keys(part, str(key))
    elif isinstance(result, (tuple, list)):
        for part, field in zip(result, getattr(result, "_fields", [""] * len(result)), strict=True):
            yield from keys(part, field)


class _Names:
    """Names the values of the program before memory was planned; values that come later are named after these."""

    def __init__(self, lowered: Lowered, tracer: Tracer) -> None:
        program = lowered.plain
        self.program, self.tracer = program, tracer
        self.targets = list(zip(lowered.targets, program.outputs, strict=True))
        self.makers, self.inputs = program.makers, set(program.inputs)
        self.readers = Counter(v for line in program.lines for v in line.reads())
        self.operations = {program.present(v): name for v, name in reversed(tracer.operations.items())}

    def of_results(self, keys: dict[int, str]) -> None:
        """Name a function's results by their keys; what a backward pass starts from is a loss."""
        for target, value in self.targets:
            if target.kind == "result" and value in self.makers:
                value.name = value.name or keys.get(target.key, "")
        for one in self.tracer.passes:
            roots = [self.program.present(v) for v in one.roots]
            if len(roots) == 1 and roots[0] in self.makers and not roots[0].shape:
                roots[0].name = roots[0].name or "loss"

    def of_lines(self) -> None:
        """Name what each line computes: layers after their weights, everything else after the operation."""
        for line in self.program.lines:
            for output in line.outputs:
                output.name = output.name or self.of_layer(line, output) or self.of_call(line, output)
        for output in set(self.program.outputs) & set(self.makers):
            output.name = "result#" if output.name.endswith("#") else output.name

    def of_layer(self, line: Line, output: Value) -> str | None:
        """Return Z1 for the product with a weight W1, with its bias, and A1 for the activation of Z1."""
        operation = self.operations.get(output)
        if operation in _ACTIVATIONS or (operation == "maximum" and 0 in [x for x in line.args if type(x) is int]):
            given = [self.program.present(v) for span in line.spans[-1:] for v in span.names]
            given += [v for x in given if x in self.makers for v in self.makers[x].reads()]
            for found in filter(None, [re.fullmatch(r"(.*)Z(\d*)", v.name) for v in given]):
                return f"{found[1]}A{found[2]}"
        if line.function.text in _PRODUCTS:
            for v in line.reads():
                if v.root in self.inputs and (match := _WEIGHT.fullmatch(v.root.name)):
                    return f"{match[1]}Z{match[2]}"
        terms = [v for v in line.reads() if v in self.makers]
        if line.function.text == "np.add" and len(terms) == 1 and self.readers[terms[0]] == 1:
            product, made_by = terms[0], self.makers[terms[0]].function.text
            if re.fullmatch(r".*Z\d*", product.name) and product.shape == output.shape and made_by in _PRODUCTS:
                name, product.name = product.name, "product#"
                return name
        return None

    def of_call(self, line: Line, output: Value) -> str:
        """Return the name of an operation or a function, to be numbered."""
        text = line.function.text
        if is_transpose(line):
            output.after = line.args[0]
            return "T"
        if line.function.kind == "operator":
            return "number#"
        name = text if text in _SHORT else self.operations.get(output) or text.split(".")[-1]
        return f"{_SHORT.get(name, name).removeprefix('op_')}#"

    def of_adjoints(self) -> None:
        """Mark the adjoints: the name of each is a d before the name of its primal."""
        present = self.program.present
        arrays = [s for s in self.tracer.sources if s.kind == "array"]
        targets = [(t, v) for t, v in self.targets if t.kind == "gradient"]
        gradients = [(v, s.value) for t, v in targets for s in arrays if s.owner is t.owner]
        noted = [pair for one in self.tracer.passes for pair in one.adjoints]
        for value, primal in [*gradients, *noted]:
            value, primal = present(value), present(primal)
            if value in self.makers and value.primal is None and not _descends(primal, value):
                value.primal = primal


def _descends(value: Value | None, other: Value) -> bool:
    """Return whether a value is another one, or its adjoint, or the adjoint of its adjoint, and so on."""
    return value is not None and (value is other or _descends(value.primal, other))
