"""Derivative rules as they are written in the code, and as mathematics, read from the source of the operations."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import tinygrad_nn

OPS = Path(tinygrad_nn.__file__).parent / "ops"
_ROWS = {"elementwise": 1, "_of_scipy": 2}  # what declares a row, and where the row's rules begin


class Written(NamedTuple):
    """One rule: the input that it is of, the code of its value, and that as LaTeX, in lines where it is long."""

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
        declared = {**dict(map(_declared, body)), **_recurrent(body)}
        found |= {names.get(name, name): rules for name, rules in declared.items() if rules}
    return found


def _named(node: ast.FunctionDef) -> str:
    """Return the name that a declared function's operation has: what `primitive(name=...)` says, or its own."""
    keywords = [k for d in node.decorator_list if isinstance(d, ast.Call) for k in d.keywords if k.arg == "name"]
    return str(keywords[0].value.value) if keywords and isinstance(keywords[0].value, ast.Constant) else node.name


def _declared(node: ast.stmt) -> tuple[str, list[Written]]:
    """Return the operation whose rules a statement declares, and the rules."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
        call, target = node.value, node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        first = _ROWS.get(getattr(call.func, "id", ""))
        if isinstance(target, ast.Name) and first:
            named = [k.value.value for k in call.keywords if k.arg == "name" and isinstance(k.value, ast.Constant)]
            return str(named[0] if named else target.id), _rules(call.args[first:])
        node = ast.Expr(call)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _attaches(node.value.func):
        return _name(node.value.func), _rules(node.value.args)
    if isinstance(node, ast.FunctionDef) and any(_attaches(d) for d in node.decorator_list):
        text = f"{node.name}({', '.join(a.arg for a in node.args.args)})"
        return _name(node.decorator_list[0]), [Written("x", text, _RULES.get(node.name, ""))]
    return "", []


def _recurrent(body: list[ast.stmt]) -> dict[str, list[Written]]:
    """Return the rules of operations that one function of a file declares, each with a reverse pass of its own."""
    found = {}
    shared = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == "_layer"]
    named = {n.name: n.body[-1] for node in shared for n in ast.walk(node) if isinstance(n, ast.FunctionDef)}
    values = {name: last.value for name, last in named.items() if isinstance(last, ast.Return) and last.value}
    attached = [n for node in shared for n in ast.walk(node) if isinstance(n, ast.Call) and _attaches(n.func)]
    for node in body:
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.value).startswith("_layer("):
            assert isinstance(node.value, ast.Call)
            operation, *_, back = node.value.args
            assert isinstance(operation, ast.Constant)
            assert isinstance(back, ast.Lambda)
            products = [rule.args[1] for rule in attached[0].args if isinstance(rule, ast.Call)]
            codes = [ast.unparse(p.body if isinstance(p, ast.Lambda) else values[ast.unparse(p)]) for p in products]
            codes[1] = f"d, {codes[1]} = {ast.unparse(back.body)}"  # what all of them read
            found[str(operation.value)] = [Written("", *pair) for pair in zip(codes, _OF_GATES, strict=True)]
    return found


def _attaches(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "vjp" and isinstance(node.value, ast.Name)


def _name(node: ast.expr) -> str:
    assert isinstance(node, ast.Attribute)
    assert isinstance(node.value, ast.Name)
    return node.value.id


def _rules(arguments: list[ast.expr]) -> list[Written]:
    names = ("x",) if len(arguments) == 1 else tuple("abcdefgh")
    return [_rule(name, argument) for name, argument in zip(names, arguments)]


def _rule(name: str, node: ast.expr) -> Written:
    if not isinstance(node, ast.Lambda):
        text = ast.unparse(node)
        return Written(name, text, _RULES.get(text, ""))
    try:
        formula = _latex(node.body)
    except (KeyError, TypeError):
        formula = ""
    return Written(name, ast.unparse(node.body), formula)


# A formula, by the kind of the expression; KeyError for what is none, TypeError for a call with other arguments.
_NAMES = {
    "g": r"\bar y", "_ROOT_PI": r"\sqrt{\pi}", "condition": r"\text{condition}", "logits": "z", "weight": "W",
    "index_of_input": "i", "slope": r"\alpha", "alpha": r"\alpha", "delta": r"\delta", "exponent": "n",
}  # fmt: skip
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
    "log1p": lambda x: rf"\log(1 {x[0]} {x[1:]})" if x[0] == "-" else rf"\log(1 + {x})",
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
    "isnan": lambda x: rf"{x} \text{{ is nan}}",
    "clip": lambda x, *bounds: rf"\min(\max({x}, {bounds[0]}), {bounds[1]})" if bounds else x,
    "maximum": lambda a, b: rf"\max({a}, {b})",
    "minimum": lambda a, b: rf"\min({a}, {b})",
    "ldexp": lambda a, n: rf"{a}\,2^{{{n}}}",
    **dict.fromkeys(["solve", "solved"], lambda a, b, of="": rf"({a})^{{-1}}\,{b}"),
    # What helpers of the rules compute.
    "_quotient": lambda a, b, *size, of="": rf"\frac{{{a}}}{{{b}}}",
    "_silu_slope": lambda x: rf"\sigma({x})\,(1 + {x}\,\sigma(-{x}))",
    "_gelu_slope": lambda x: rf"(\Phi({x}) + {x}\,\varphi({x}))",
    "_slope": lambda x, left, at_zero: rf"\begin{{cases}} 1 & {x} > 0 \\ {left} & \text{{otherwise}} \end{{cases}}",
    "_slope_of_inverse": lambda x, complement="": r"\frac{\sqrt{\pi}}{2}\,e^{y^2}",
    "_rgamma_slope": lambda x: rf"(-\frac{{\psi({x})}}{{\Gamma({x})}})",
    "_divisor": lambda q: q,
    "_length": lambda a, b: rf"\sqrt{{{_squares(a, b)}}}",
    "_product_over": lambda u, v, h: rf"\frac{{{u}\,{v}}}{{{h}}}",
    "_product_over_squares": lambda c, d, h: rf"\frac{{{_factor(c)}\,{_factor(d)}}}{{(a^2 + b^2)^2}}",
    "_shares": lambda *_: _SHARE,
    "_symmetric": lambda x: rf"\frac{{1}}{{2}}\,({x} + {{{x}}}^\top)",
    "_cofactors": lambda a: rf"\operatorname{{cof}}({a})",
    **{
        name: functools.partial(lambda name, x: rf"\{name}({x})", name)
        for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "log")
    },
}
# Functions of whose arguments a formula tells the first: the others are axes and shapes.
_OF_THE_FIRST: dict[str, str] = {
    **dict.fromkeys(["with_kept_axes", "broadcast_to", "reshape", "_rows", "_to_value"], "{}"),
    **dict.fromkeys(["sum", "reduce", "total"], r"\sum ({})"), "softmax": r"\operatorname{{softmax}}({})",
    **{name: rf"\text{{{{{name}}}}}({{}})" for name in ("flip", "stack", "transpose")},
    "_spread": r"\bar \ell",
}  # fmt: skip
_OF_FUNCTIONS = {"_share", "_spread"}  # no operations, which have these names elsewhere
_SHARE = r"\bar y\,y\,(1 - y) \text{, times } \log(2) \text{ if binary}"
# Rules that are functions of several lines, by what they compute.
_RULES = {
    "_shares": _SHARE,
    "_bessel_slope": (
        r"\frac{\bar y}{2}\,\begin{cases} I_{n-1}(x) + I_{n+1}(x) & y = I_n(x) \\ "
        r"C_{n-1}(x) - C_{n+1}(x) & y = C_n(x) \text{, J or Y} \end{cases}"
    ),
    "_slope_of_slope": (
        r"\bar y\,\begin{cases} -2\,y^2\,\text{erfcinv}(x) & \text{if complement} \\ "
        r"2\,y^2\,\text{erfinv}(x) & \text{otherwise} \end{cases}"
    ),
    "_own_part": r"\bar y \text{ where } x_i \text{ stands}",
    "_from_cholesky": r"\text{sym}(y^{-\top}\,\text{halved}(y^\top \bar y)\,y^{-1})",
    "_from_eigh": r"V\,(\text{diag}(\bar w) + \text{sym}(\frac{(V^\top \bar V)_{ij}}{w_j - w_i}))\,V^\top",
    "_from_qr": r"(\bar q + q\,\text{mirrored}(r\,\bar r^\top - \bar q^\top q))\,r^{-\top}",
    "_from_svd": r"""U\,(\text{diag}(\bar s) + \text{sym}(\frac{(K + L)_{ij}}{s_j - s_i})
+ \frac{1}{2}\,\frac{(K - L - K^\top + L^\top)_{ij}}{s_j + s_i})\,V^\top
+ (\bar U - U\,K)\,S^{-1}\,V^\top + U\,S^{-1}\,(\bar V - V\,L)^\top""",
    "_from_pinv": r"""(1 - a\,y)\,\bar y^\top y\,y^\top
+ y^\top y\,\bar y^\top (1 - y\,a) - y^\top \bar y\,y^\top""",
    "_to_matrix": r"""(b - a\,x)\,(a^+ u)^\top
+ (a^+)^\top x\,(\bar x - a^\top u)^\top - u\,x^\top""",
    "_third_derivatives": r"""\det(a)\,a^{-\top}\,((\text{tr}(X)\,\text{tr}(Z) - \text{tr}(X\,Z))\,1
- \text{tr}(X)\,Z - \text{tr}(Z)\,X + X\,Z + Z\,X)^\top""",
    "None": "0",
    "_slope_of_left": r"\bar y\,b^\top", "_slope_of_right": r"a^\top\,\bar y",
    "_to_extremes": r"\begin{cases} \bar y / k & x = y \\ 0 & \text{otherwise} \end{cases}",
    "_probabilities_minus_labels": r"\bar \ell\,(\operatorname{softmax}(z) - \text{labels})",
    "_at_class": r"\begin{cases} \bar y & \text{at the class} \\ 0 & \text{otherwise} \end{cases}",
    "_to_attained": r"\bar y \text{ where it was attained}",
    "_from_eigenvalues": r"V\,\operatorname{diag}(\bar y)\,V^\top",
    "_from_singular_values": r"U\,\operatorname{diag}(\bar y)\,V^\top",
    "_from_logarithm": r"(\bar y)_1\,a^{-\top}",
}  # fmt: skip
_OF_GATES = [
    r"W^\top d_t", r"\bar h_0 \text{, where } d \text{ ends}", r"\sum_t d_t\,x_t^\top", r"\sum_t e_t\,h_{t-1}^\top",
    r"\sum_t d_t", r"\sum_t e_t",
]  # fmt: skip
_PRECEDENCE = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 2, ast.Pow: 4}
_COMPARISONS = {ast.Gt: ">", ast.Lt: "<", ast.Eq: "=", ast.GtE: r"\ge", ast.LtE: r"\le"}


def symbol(name: str) -> str:
    """Return a name as mathematics: one letter, or words."""
    return _NAMES.get(name, name if len(name) == 1 else rf"\text{{{name.replace('_', ' ')}}}")


def _latex(node: ast.expr, above: int = 0) -> str:
    match node:
        case ast.Name(id=name):
            return symbol(name)
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
        case ast.BinOp(left=a, op=ast.BitOr(), right=b):
            return rf"{_latex(a)} \text{{ or }} {_latex(b)}"
        case ast.BinOp(left=a, op=op, right=b):
            sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: r"\,"}[type(op)]
            own = _PRECEDENCE[type(op)]
            text = f"{_latex(a, own)} {sign} {_latex(b, own + (sign != '+'))}"
            return _bracketed(text, own, above)
        case ast.Compare(left=a, ops=[op], comparators=[b]):
            return _bracketed(f"{_latex(a)} {_COMPARISONS[type(op)]} {_latex(b)}", 0, above)
        case ast.IfExp(test=ast.BoolOp(values=[ast.Compare(left=ast.Call(func=ast.Name(id="type"))), _]), orelse=b):
            return _latex(b, above)  # what is before it is faster for some arrays, and the same
        case ast.IfExp(test=ast.Name(id=name), body=a, orelse=b):
            return (
                rf"\begin{{cases}} {_latex(a)} & \text{{if {name}}} \\ {_latex(b)} & \text{{otherwise}} \end{{cases}}"
            )
        case ast.Subscript(value=value, slice=ast.Constant(value=int() as n)):
            return f"{_entries(value)}_{{{n}}}"
        case ast.Subscript(value=value, slice=ast.Name(id=index)):
            return rf"{_entries(value)}_{{\text{{{index}}}}}"
        case ast.Subscript(value=value, slice=ast.Tuple()):  # which inserts axes
            return _latex(value, above)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="kernel")):
            known = {*_FUNCTIONS, *_OF_THE_FIRST} - _OF_FUNCTIONS
            return _called(name, node) if name in known else _another(name, node)
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return _called(name, node)
        case ast.Attribute(value=value, attr="mT" | "T"):
            return rf"{{{_latex(value, 5)}}}^\top"
    raise KeyError(ast.dump(node))


def _called(name: str, node: ast.Call) -> str:
    if name in _OF_THE_FIRST:
        return _OF_THE_FIRST[name].format(_latex(node.args[0]))
    arguments = [_latex(argument) for argument in node.args if not isinstance(argument, ast.Starred)]
    return _FUNCTIONS[name](*arguments, **{str(k.arg): _latex(k.value) for k in node.keywords})


def _another(name: str, node: ast.Call) -> str:
    """Return a call of another operation, by its name in words, with its operands."""
    own = _operations().get(name, name.strip("_"))
    return rf"\text{{{own.replace('_', ' ')}}}({', '.join(map(_latex, node.args))})"


@functools.cache
def _operations() -> dict[str, str]:
    """Return the names of operations by those of the functions that they are declared by, of all files."""
    bodies = [ast.parse(path.read_text(encoding="utf-8")).body for path in sorted(OPS.rglob("*.py"))]
    functions = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    return {node.name: _named(node) for node in functions}


def _entries(node: ast.expr) -> str:
    text = _latex(node)
    return f"({text})" if text.startswith(r"\bar") else text  # else the index would stand below the bar


def _factor(x: str) -> str:
    return x if len(x) == 1 else f"({x})"


def _squares(a: str, b: str) -> str:
    return " + ".join(x if x == "1" else f"{x}^2" for x in (a, b))


def _bracketed(text: str, own: int, above: int) -> str:
    return f"({text})" if own < above or (own == 0 and above > 0) else text
