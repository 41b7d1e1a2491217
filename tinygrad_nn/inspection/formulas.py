"""What a node computes, and what its rules compute from its adjoint: NumPy and a derivation, as `explain()` has them.

The operation and its rules are compiled as a separate step, with placeholders that nodes' names replace afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..compiler.compiled import compile
from ..compiler.write.explain import Listing
from ..compiler.write.mathematics import OF
from ..compiler.write.naming import Names
from ..errors import CompileError, GradientError
from ..tensor.handle import Tensor
from ..transforms.autograd import grad
from .nodes import GraphNode
from .terms import Contribution

_OURS = re.compile(rf"\b(dL{OF}|d?)(v\d+_|[yg]\d*_)(?![A-Za-z0-9_])")


class Formula(NamedTuple):
    """The code that computes a node, under the key "", and the code and derivation of its rules, by input.

    `code` holds lines of NumPy, after the functions that they call; `rules` holds expressions of a derivation.
    """

    code: dict[str, list[str]]
    rules: dict[str, str]


class Formulas:
    """The formulas of nodes, each worked out once for all nodes of the same operation, shapes and settings."""

    def __init__(self, nodes: Iterable[GraphNode]) -> None:
        self.known: dict[Any, Formula] = {}
        names = Names()
        names.used = {"np"}
        for node in nodes:
            node.symbol = names.new(node.name)

    def of(self, node: GraphNode) -> Formula:
        """Return a node's formula in the names of the graph."""
        given = [name for name, x in node.inputs.items() if isinstance(x, GraphNode)]
        wanted = [n for n in given if node.node is not None and node.inputs[n].node is not None]
        kinds = [(n, np.shape(x), str(getattr(x, "dtype", type(x)))) for n, x in node.operands.items()]
        plain = [(n, repr(x)) for n, x in node.inputs.items() if n not in given]
        other = (given, node.number) if node.engine is None else node.settings
        key = repr((node.operation, kinds, plain, wanted, other))
        if key not in self.known:
            traced = (_traced(node, given, wanted, sound) for sound in (None, 0.5, 1.5))
            self.known[key] = next(filter(None, traced), None) or _called(node, given, wanted)
        names = {f"v{i}_": node.inputs[name].symbol for i, name in enumerate(given)}
        for end, name in ({"_": node.symbol} | _outputs(node)).items():
            names |= {f"y{end}": name, f"g{end}": f"d{name}"}
        private = rf"(?<![.\w]){node.engine.name if node.engine else 'item'}(?=\(|_vjp|'s)"

        def renamed(text: str) -> str:
            """Return code with the graph's names; in a derivation, the adjoint that a rule is given is dL/dy."""
            public = re.sub(private, node.operation, text)
            return _OURS.sub(lambda m: f"{m[1]}{names.get(m[2], m[2])}", public)

        code, rules = self.known[key]
        return Formula({n: [*map(renamed, c)] for n, c in code.items()}, {n: renamed(r) for n, r in rules.items()})


def _called(node: GraphNode, given: list[str], wanted: list[str]) -> Formula:
    """Return the formula of an operation that can't be compiled by itself, or of one of several outputs."""
    if node.operation == "item":
        part = f"v0_[{given[0].removeprefix('output ')}]"
        return Formula({"": [f"y_ = {part}"], "outputs": [f"d{part} = g_"]}, {"outputs": f"dL{OF}y_"})
    operands = {name: f"v{i}_" for i, name in enumerate(given)}
    args = [operands.get(name) or repr(np.asarray(x).item()) for name, x in node.inputs.items()]
    args = [f"[{', '.join(args)}]"] if node.engine.variadic else args
    settings = {name: repr(x) for name, x in node.settings.items() if not (x is None or x is False)}
    args += [f"{name}={text}" for name, text in settings.items() if len(text) < 40]  # no arrays of indices
    function = f"np.{node.operation}" if hasattr(np, node.operation) else node.operation
    code = {n: [f"d{operands[n]} = {node.operation}_vjp(g_)"] for n in wanted}
    rules = dict.fromkeys(wanted, f"{node.operation}_vjp(dL{OF}y_)")
    return Formula({"": [f"y_ = {function}({', '.join(args)})"]} | code, rules)


def _outputs(node: GraphNode) -> dict[str, str]:
    """Return the graph's names for the outputs of a node, by the suffixes of their placeholders."""
    if not isinstance(node.value, tuple):
        return {"_": node.symbol}
    items = {argument: x.symbol for x in node.children if x.operation == "item" for argument in x.inputs}
    return {f"{i}_": items.get(f"output {i}", f"{node.symbol}_{i}") for i in range(len(node.value))}


def _traced(node: GraphNode, given: list[str], wanted: list[str], sound: float | None) -> Formula | None:
    """Return the formula of an operation and of its rules, None if they can't be compiled by themselves.

    The operation may be undefined at its operands: if `sound` is given, numbers a little above it replace them.
    """
    engine, value = node.engine, node.value
    if engine is None or not given or not node.operands or value is None:
        return None
    known = {name: _above(sound, x) for name, x in node.operands.items()}
    ends, several = _outputs(node), isinstance(value, tuple)
    shapes = map(np.shape, value if several else [value])
    gs = [Tensor(np.ones(shape, node.dtype), name=f"g{end}") for shape, end in zip(shapes, ends, strict=True)]

    def step(gs: Any, values: Any, argument: str) -> Any:
        operands = known | dict(zip(given, values, strict=True))
        called = [list(operands.values())] if engine.variadic else list(operands.values())
        y = engine.kernel(*called, **node.settings)
        ys = y if several else (y,)
        slope = {"slope": grad(ys, operands[argument], gs)[0]} if argument else {}
        return {f"y{end}": y for end, y in zip(ends, ys, strict=True)} | slope

    def listing(argument: str) -> Listing:
        compiled = compile(step)
        tensors = [Tensor(known[n], n == argument, f"v{i}_") for i, n in enumerate(given)]
        with np.errstate(all="ignore"):
            compiled(gs, tensors, argument)
        return compiled.explain()

    try:
        listings = {argument: listing(argument) for argument in ("", *wanted)}
    except (CompileError, GradientError, TypeError, ValueError):
        return None
    formula = Formula({"": _code(listings[""], "forward", "y_ = v0_")}, {})
    for argument in wanted:
        text = listings[argument]
        handed_on = text.rpartition("'slope': ")[2].partition("}")[0]
        slope = f"dv{given.index(argument)}_ = {handed_on}"
        formula.code[argument] = _code(text, "backward", slope)
        left, _, right = [f"dL{OF}{slope[1:]}", *text.derivation][-1].partition(" = ")
        rule = right if right and not left.endswith("]") else "scatter_add(g_)"
        formula.rules[argument] = re.sub(r"\bg(\d*)_", rf"dL{OF}y\1_", rule)
    return formula


def _above(least: float | None, x: Any) -> Any:
    """Return numbers a little above `least`, no two of them equal, in place of an array of floats."""
    if least is None or not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return x
    return np.asarray(np.random.default_rng(0).uniform(least, least + 0.4, x.shape), x.dtype)


def _code(listing: Listing, section: str, otherwise: str) -> list[str]:
    """Return the code of a section, after the functions that it calls: the library's own as head and summary only."""
    code = [*listing.code.get(section, [otherwise])]
    heads = [re.match(r'def [^:"]*:\n    """.*?(?="""|\n)', text) for text in listing.kernels]
    for text in reversed([*[f'{head[0]}"""' for head in heads if head], *map(str.strip, listing.functions)]):
        name = text[4:].partition("(")[0]
        if re.search(rf"(?<!def )(?<![.\w]){name}\(", "\n".join(code)):
            code.insert(0, text)
    return code


def derivation(nodes: list[GraphNode], formulas: Formulas) -> list[str]:
    """Return the backward pass that was watched, a line for each adjoint, in the order of the pass."""
    lines, functions = [], dict[str, None]()
    for node in sorted((n for n in nodes if n.contributions), key=lambda n: -n.number):
        if isinstance(node.seen, tuple):  # what arrived is shown at its outputs
            continue
        parts = " + ".join([part_of(c, formulas) for c in node.contributions])
        lines.append(f"dL{OF}{node.symbol} = {parts if node.arrived is None else f'hook({parts})'}")
        texts = [formulas.of(c.source).code[c.argument] for c in node.contributions if c.source is not None]
        functions |= dict.fromkeys(text for code in texts for text in code)
    return [*lines, *equations(functions)]


def equations(code: Iterable[str]) -> Iterator[str]:
    """Yield the lines of the functions in code as equations; the last one of each function gives its result.

    If the lines of a function are not shown, the first sentence of its docstring is its only equation.
    """
    for function in [text for text in code if text.startswith("def ")]:
        head, docstring, *lines = map(str.strip, function.splitlines())
        if not lines:
            sentence, _, _ = docstring.strip('"').removeprefix("Return ").partition(". ")
            yield f"{head[4:].partition('(')[0]} = {sentence}"
        yield from [line.replace("return ", f"{head[4:-1]} = ", 1) for line in lines if line]


def part_of(contribution: Contribution, formulas: Formulas) -> str:
    """Return one summand of an adjoint, as a derivation shows it."""
    source = contribution.source
    if source is None:
        return "1" if np.size(contribution.value) == 1 and contribution.value == 1 else "seed"
    return formulas.of(source).rules[contribution.argument]
