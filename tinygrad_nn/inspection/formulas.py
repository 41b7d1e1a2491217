"""What a node computes, and what its rules make of its adjoint, as `explain()` says it: NumPy, and a derivation.

The operation and its rules are compiled as a step of their own, by names that stand for those of the nodes.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compiler.compiled import compile
from ..errors import CompileError, GradientError
from ..tensor.handle import Tensor
from ..transforms.autograd import grad
from .nodes import Contribution, GraphNode

_MOST = 3  # lines of a forward pass that are shown; what takes more is shown as a call
_OURS = re.compile(r"\b(dL/d|d?)(v\d+_|y_|g_)(?![A-Za-z0-9_])")


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
            self.known[key] = self._traced(node, given, wanted)
        names = {f"v{i}_": identifier(node.inputs[name].name) for i, name in enumerate(given)}
        names |= {"y_": identifier(node.name), "g_": f"d{identifier(node.name)}"}
        found = self.known[key]
        if found is None:
            args = ", ".join(identifier(x.name) if isinstance(x, GraphNode) else repr(x) for x in node.inputs.values())
            return Formula([f"{names['y_']} = {node.operation}({args})"])
        return Formula(
            [_renamed(line, names) for line in found.forward],
            {name: [_renamed(line, names) for line in lines] for name, lines in found.code.items()},
            {name: _renamed(rule, names) for name, rule in found.rules.items()},
        )

    def _traced(self, node: GraphNode, given: list[str], wanted: list[str]) -> Formula | None:
        """Return the formula of an operation, None where it can't be compiled by itself."""
        if node.engine is None or not given or isinstance(node.value, tuple) or not node.operands or node.value is None:
            return None
        tensors = {n: Tensor(node.operands[n], n in wanted, f"v{i}_") for i, n in enumerate(given)}

        def step(g: Any, *values: Any) -> Any:
            operands = dict(node.operands) | dict(zip(given, values, strict=True))
            called = [list(operands.values())] if node.engine.variadic else list(operands.values())
            y = node.engine.kernel(*called, **node.settings)
            return {"y_": y, "slopes": grad(y, [operands[n] for n in wanted], g) if wanted else ()}

        compiled = compile(step)
        try:
            with np.errstate(all="ignore"):
                compiled(Tensor(np.ones(np.shape(node.value), node.dtype), name="g_"), *tensors.values())
            return _read(str.__str__(compiled.explain()), wanted, given)
        except (CompileError, GradientError, TypeError, ValueError):
            return None


def _renamed(line: str, names: dict[str, str]) -> str:
    """Return a line in the names of a graph; the adjoint that a rule is given is dL/dy in a derivation."""
    return _OURS.sub(lambda m: f"{m[1]}{names[m[2]]}", line)


def _read(listing: str, wanted: list[str], given: list[str]) -> Formula:
    """Return what a program of one operation says."""
    body = listing.rpartition("\ndef step(")[2]
    forward, _, backward = body.partition("# backward")
    lines = [re.sub(r"\s+# \(.*", "", line.strip()) for line in forward.splitlines()[1:]]
    formula = Formula([line for line in lines if line and not line.startswith(("#", "return"))])
    pending: list[str] = []
    rule = ""
    for line in map(str.strip, backward.splitlines()[1:]):
        if line.startswith("# "):
            rule = line[2:]
        elif line and not line.startswith("return"):
            pending.append(re.sub(r"\s+# \(.*", "", line))
            match = re.match(r"dL/dv(\d+)_(?: = (.*))?$", rule)
            if match:
                name = given[int(match[1])]
                formula.code[name], pending = pending, []
                left, _, right = formula.code[name][-1].partition(" = ")
                formula.rules[name] = match[2] or (right if left.isidentifier() else "scatter_add(g_)")
    returns: Any = [n for n in ast.walk(ast.parse(listing)) if isinstance(n, ast.Return) and "'y_'" in ast.unparse(n)]
    for name, slope in zip(wanted, getattr(returns[0].value.values[1], "elts", []), strict=False):
        if name not in formula.rules:  # the adjoint itself, handed on
            formula.rules[name] = ast.unparse(slope)
            formula.code[name] = [f"dv{given.index(name)}_ = {formula.rules[name]}"]
    formula.rules = {name: re.sub(r"\bg_", "dL/dy_", rule) for name, rule in formula.rules.items()}
    return formula


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
