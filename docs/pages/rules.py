"""Derivative rules as they are written in the code, and as mathematics, read from the source of the operations."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import tinygrad_nn

OPS = Path(tinygrad_nn.__file__).parent / "ops"


class Written(NamedTuple):
    """One rule: the input that it is of, the code of its value, and that as LaTeX, "" where it is no formula."""

    argument: str
    code: str
    formula: str


@functools.cache
def written() -> dict[str, list[Written]]:
    """Return the rules of all operations in `ops`, by the operation's name."""
    found: dict[str, list[Written]] = {}
    for path in sorted(OPS.rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        names = {node.name: _named(node) for node in body if isinstance(node, ast.FunctionDef)}
        for node in body:
            name, rules = _declared(node)
            if rules:
                found[names.get(name, name)] = rules
    return found


def _named(node: ast.FunctionDef) -> str:
    """Return the name that a declared function's operation has: what `primitive(name=...)` says, or its own."""
    keywords = [k for d in node.decorator_list if isinstance(d, ast.Call) for k in d.keywords if k.arg == "name"]
    return str(keywords[0].value.value) if keywords and isinstance(keywords[0].value, ast.Constant) else node.name


def _declared(node: ast.stmt) -> tuple[str, list[Written]]:
    """Return the operation whose rules a statement declares, and the rules."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
        call, target = node.value, node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name) and getattr(call.func, "id", "") == "elementwise":
            named = [k.value.value for k in call.keywords if k.arg == "name" and isinstance(k.value, ast.Constant)]
            names = ("x",) if len(call.args) < 3 else ("a", "b")
            return str(named[0] if named else target.id), _rules(call.args[1:], names)
        node = ast.Expr(call)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _attaches(node.value.func):
        return _name(node.value.func), _rules(node.value.args, ())
    if isinstance(node, ast.FunctionDef) and any(_attaches(d) for d in node.decorator_list):
        text = f"{node.name}({', '.join(a.arg for a in node.args.args)})"
        return _name(node.decorator_list[0]), [Written("x", text, "")]
    return "", []


def _attaches(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "vjp" and isinstance(node.value, ast.Name)


def _name(node: ast.expr) -> str:
    assert isinstance(node, ast.Attribute)
    assert isinstance(node.value, ast.Name)
    return node.value.id


def _rules(arguments: list[ast.expr], names: tuple[str, ...]) -> list[Written]:
    names = names or (("x",) if len(arguments) == 1 else tuple("abcdefgh"))
    return [_rule(name, argument) for name, argument in zip(names, arguments)]


def _rule(name: str, node: ast.expr) -> Written:
    if not isinstance(node, ast.Lambda):
        text = ast.unparse(node)
        return Written(name, text, "0" if text == "None" else "")
    try:
        formula = _latex(node.body)
    except (KeyError, TypeError):
        formula = ""
    return Written(name, ast.unparse(node.body), formula)


# A formula, by the kind of the expression; KeyError for what is none, TypeError for a call with other arguments.
_NAMES = {"g": r"\bar y", "_ROOT_PI": r"\sqrt{\pi}", "condition": r"\text{condition}"}
_FUNCTIONS: dict[str, Callable[..., str]] = {
    "sqrt": lambda x: rf"\sqrt{{{x}}}",
    "exp": lambda x: rf"e^{{{x}}}",
    "hypot": lambda a, b: rf"\sqrt{{{_squares(a, b)}}}",
    "sign": lambda x: rf"\operatorname{{sgn}}({x})",
    "abs": lambda x: rf"|{x}|",
    "where": lambda c, a, b: rf"\begin{{cases}} {a} & {c} \\ {b} & \text{{otherwise}} \end{{cases}}",
    "floor_divide": lambda a, b: rf"\lfloor {a} / {b} \rfloor",
    "rint": lambda x: rf"\operatorname{{round}}({x})",
    "gaussian": lambda x, scale="1": rf"e^{{-{x}^2{' / 2' if scale == '0.5' else ''}}}",
    "quotient": lambda a, b: rf"\frac{{{a}}}{{{b}}}",
    "log1p": lambda x: rf"\log(1 + {x})",
    "tanh_slope": lambda x, t, logistic="": rf"{t}\,(1 - {t})" if logistic else rf"(1 - {t}^2)",
    "edge_product": lambda x, low="-1", high="1": rf"{x}\,(1 - {x})" if low == "0" else rf"1 - {x}^2",
    "over_square": lambda a, b: rf"\frac{{{a}}}{{{_squares(a, b)}}}",
    "cosine_of": lambda a, b: rf"\frac{{{a}}}{{\sqrt{{{_squares(a, b)}}}}}",
    "_slope_of_power": lambda a, b: rf"{b}\,{a}^{{{b} - 1}}",
    "power_derivative": lambda a, b, n, k: rf"{a}^{b}\,\log({a})",
    "exponential_share": lambda a, b, binary="": rf"\frac{{#^{a}}}{{#^a + #^b}}".replace("#", "2" if binary else "e"),
    "sigmoid": lambda x: rf"\sigma({x})",
    "polygamma": lambda x, n="0": rf"\psi^{{({n})}}({x})",
    "_polygamma": lambda x: rf"\psi({x})",
    "_share": lambda wins, tie, wanted: (
        rf"\begin{{cases}} 1 & {wins} \\ \frac{{1}}{{2}} & {tie} \\ 0 & \text{{otherwise}} \end{{cases}}"
    ),
    "copysign": lambda a, b: rf"|{a}|\,\operatorname{{sgn}}({b})",
    **{
        name: functools.partial(lambda name, x: rf"\{name}({x})", name)
        for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "log")
    },
}
_PRECEDENCE = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 2, ast.Pow: 4}
_COMPARISONS = {ast.Gt: ">", ast.Lt: "<", ast.Eq: "=", ast.GtE: r"\ge", ast.LtE: r"\le"}


def _latex(node: ast.expr, above: int = 0) -> str:
    match node:
        case ast.Name(id=name):
            return _NAMES.get(name, name)
        case ast.Constant(value=bool() as value):
            return "yes" if value else ""
        case ast.Constant(value=int() | float() as value):
            return f"{value:g}"
        case ast.Attribute(attr="pi"):
            return r"\pi"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _bracketed(f"-{_latex(operand, 3)}", 2, above)
        case ast.BinOp(left=a, op=ast.Div(), right=b):
            return rf"\frac{{{_latex(a)}}}{{{_latex(b)}}}"
        case ast.BinOp(left=a, op=ast.Pow(), right=b):
            return f"{{{_latex(a, 5)}}}^{{{_latex(b)}}}"
        case ast.BinOp(left=a, op=ast.MatMult(), right=b):
            return _bracketed(rf"{_latex(a, 2)}\,{_latex(b, 2)}", 2, above)
        case ast.BinOp(left=a, op=op, right=b):
            sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: r"\,"}[type(op)]
            own = _PRECEDENCE[type(op)]
            text = f"{_latex(a, own)} {sign} {_latex(b, own + (sign != '+'))}"
            return _bracketed(text, own, above)
        case ast.Compare(left=a, ops=[op], comparators=[b]):
            return _bracketed(f"{_latex(a)} {_COMPARISONS[type(op)]} {_latex(b)}", 0, above)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="kernel")):
            return _called(name, node)
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return _called(name, node)
        case ast.Attribute(value=value, attr="mT" | "T"):
            return rf"{{{_latex(value, 5)}}}^\top"
    raise KeyError(ast.dump(node))


def _called(name: str, node: ast.Call) -> str:
    return _FUNCTIONS[name](*map(_latex, node.args), **{str(k.arg): _latex(k.value) for k in node.keywords})


def _squares(a: str, b: str) -> str:
    return " + ".join(x if x == "1" else f"{x}^2" for x in (a, b))


def _bracketed(text: str, own: int, above: int) -> str:
    return f"({text})" if own < above or (own == 0 and above > 0) else text
