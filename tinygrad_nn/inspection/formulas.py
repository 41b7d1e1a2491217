"""What a node computes, and what its rules make of its adjoint, as `explain()` says it: NumPy, and a derivation.

The operation and its rules are compiled as a step of their own, by names that stand for those of the nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compiler.compiled import compile
from ..errors import CompileError, GradientError
from ..tensor.handle import Tensor
from ..transforms.autograd import grad
from .nodes import Contribution, GraphNode

_OURS = re.compile(r"\b(dL/d|d?)(v\d+_|[yg]\d*_)(?![A-Za-z0-9_])")


@dataclass
class Formula:
    """Lines of NumPy that compute a node; those that compute what a rule contributes, and the derivation, by input."""

    forward: list[str]
    code: dict[str, list[str]] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)


def identifier(name: str) -> str:
    """Return a node's name as one that Python takes."""
    plain = re.sub(r"\W", "_", name)
    return plain if plain.isidentifier() else f"_{plain}"


class Formulas:
    """The formulas of nodes, each worked out once for all nodes of the same operation, shapes and settings."""

    def __init__(self) -> None:
        self.known: dict[Any, Formula | None] = {}

    def of(self, node: GraphNode) -> Formula:
        """Return a node's formula in the names of the graph."""
        given = [name for name, x in node.inputs.items() if isinstance(x, GraphNode)]
        wanted = [n for n in given if node.node is not None and node.inputs[n].node is not None]
        kinds = [(n, np.shape(x), str(getattr(x, "dtype", type(x)))) for n, x in node.operands.items()]
        plain = [repr(x) for n, x in node.operands.items() if n not in given]
        key = repr((node.operation, kinds, plain, wanted, node.settings, node.number if node.engine is None else 0))
        if key not in self.known:
            self.known[key] = _traced(node, given, wanted)
        names = {f"v{i}_": identifier(node.inputs[name].name) for i, name in enumerate(given)}
        for end, name in _outputs(node).items():
            names |= {f"y{end}": identifier(name), f"g{end}": f"d{identifier(name)}"}
        found = self.known[key]
        if found is None:
            args = ", ".join(identifier(x.name) if isinstance(x, GraphNode) else repr(x) for x in node.inputs.values())
            return Formula([f"{identifier(node.name)} = {node.operation}({args})"])
        return Formula(
            [_renamed(line, names) for line in found.forward],
            {name: [_renamed(line, names) for line in lines] for name, lines in found.code.items()},
            {name: _renamed(rule, names) for name, rule in found.rules.items()},
        )


def _outputs(node: GraphNode) -> dict[str, str]:
    """Return the graph's names for the outputs of a node, by the endings of what stands for them."""
    if not isinstance(node.value, tuple):
        return {"_": node.name}
    items = {argument: x.name for x in node.children if x.operation == "item" for argument in x.inputs}
    return {f"{i}_": items.get(f"output {i}", f"{node.name}_{i}") for i in range(len(node.value))}


def _renamed(line: str, names: dict[str, str]) -> str:
    """Return a line in the names of a graph; the adjoint that a rule is given is dL/dy in a derivation."""
    return _OURS.sub(lambda m: f"{m[1]}{names.get(m[2], m[2])}", line)


def _traced(node: GraphNode, given: list[str], wanted: list[str]) -> Formula | None:
    """Return the formula of an operation and of its rules, None where they can't be compiled by themselves."""
    engine, value = node.engine, node.value
    if engine is None or not given or not node.operands or value is None:
        return None
    ends, several = _outputs(node), isinstance(value, tuple)
    shapes = map(np.shape, value if several else [value])
    gs = [Tensor(np.ones(shape, node.dtype), name=f"g{end}") for shape, end in zip(shapes, ends, strict=True)]

    def step(gs: Any, values: Any, argument: str) -> Any:
        operands = dict(node.operands) | dict(zip(given, values, strict=True))
        called = [list(operands.values())] if engine.variadic else list(operands.values())
        y = engine.kernel(*called, **node.settings)
        ys = y if several else (y,)
        slope = {"slope": grad(ys, operands[argument], gs)[0]} if argument else {}
        return {f"y{end}": y for end, y in zip(ends, ys, strict=True)} | slope

    def body(argument: str) -> str:
        compiled = compile(step)
        tensors = [Tensor(node.operands[n], n == argument, f"v{i}_") for i, n in enumerate(given)]
        with np.errstate(all="ignore"):
            compiled(gs, tensors, argument)
        return str.__str__(compiled.explain()).rpartition("\ndef step(")[2].partition("\n")[2].partition("\n\n\n")[0]

    try:
        formula = Formula(_code(body("")))
        for name in wanted:
            text, variable = body(name), f"dv{given.index(name)}_"
            backward = text.partition("# backward")[2].partition("\n")[2]
            handed_on = text.rpartition("'slope': ")[2].partition("}")[0]
            code = _code(backward) or [f"{variable} = {handed_on}"]
            left, _, right = code[-1].partition(" = ")
            derived = re.findall(r"# dL/d\w+(?: = (.*))?", backward)[-1:]
            rule = "".join(derived) or (right if left.isidentifier() else "scatter_add(g_)")
            formula.code[name], formula.rules[name] = code, re.sub(r"\bg(\d*)_", r"dL/dy\1_", rule)
    except (CompileError, GradientError, TypeError, ValueError):
        return None
    return formula


def _code(text: str) -> list[str]:
    """Return the lines of code of a program's text."""
    lines = [re.sub(r"\s+# \(.*", "", line.strip()) for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "return"))]


def derivation(nodes: list[GraphNode], formulas: Formulas) -> list[str]:
    """Return the backward pass that was watched, a line for each adjoint, in the order of the pass."""
    lines = []
    for node in sorted((n for n in nodes if n.contributions), key=lambda n: -n.number):
        parts = [part_of(c, formulas) for c in node.contributions]
        lines.append(f"dL/d{identifier(node.name)} = {' + '.join(parts)}")
    return lines


def part_of(contribution: Contribution, formulas: Formulas) -> str:
    """Return one summand of an adjoint, as a derivation says it."""
    source = contribution.source
    if source is None:
        return "1" if np.size(contribution.value) == 1 and contribution.value == 1 else "seed"
    rule = formulas.of(source).rules.get(contribution.argument)
    return rule or f"{source.operation}_vjp_{identifier(contribution.argument)}(dL/d{identifier(source.name)})"
