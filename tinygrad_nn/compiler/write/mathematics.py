"""Lines of a derivation as mathematics: as text in comments, and by one printer as LaTeX or MathML.

A derivation is Python, in which dLǀx stands for dL/dx, x * ǀ * y for the product of entries, and f__prime for f'. What
Python can't parse stays as it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from html import escape

OF = "ǀ"  # a letter, so that Python takes dLǀx for a name
ENTRYWISE = f" * {OF} * "
_IN_TEXT = {" @ ": " · ", ENTRYWISE: " ∘ ", ".T": "ᵀ", "__prime(": "'("}
_LEVELS = {ast.Add: 1, ast.Sub: 1, ast.Mult: 3, ast.MatMult: 3, ast.Div: 5, ast.Pow: 5}
_COMPARED = {ast.Gt: ">", ast.Lt: "<", ast.GtE: "≥", ast.LtE: "≤", ast.Eq: "=", ast.NotEq: "≠"}
_SIGNS = {ast.Add: "+", ast.Sub: "−", ast.MatMult: "", ast.Mult: "·"}
_SUM, _PRODUCT, _ATOM = 2, 3, 6
_SHORTER = {"maximum": "max", "minimum": "min", "absolute": "abs"}

# How a language writes mathematics.
LATEX, MATHML = 0, 1
_FORMS = {
    "sign": ("%s", "<mo>%s</mo>"),
    "text": (r"\texttt{%s}", "<mtext>%s</mtext>"),
    "letter": ("%s", "<mi>%s</mi>"),
    "number": ("%s", "<mn>%s</mn>"),
    "name": (r"\mathrm{%s}", "<mi>%s</mi>"),
    "function": (r"\operatorname{%s}", "<mi>%s</mi>"),
    "row": ("%s", "<mrow>%s</mrow>"),
    "fraction": (r"\frac{%s}{%s}", "<mfrac>%s%s</mfrac>"),
    "raised": ("{%s}^{%s}", "<msup>%s%s</msup>"),
    "lowered": ("{%s}_{%s}", "<msub>%s%s</msub>"),
    "root": (r"\sqrt{%s}", "<msqrt>%s</msqrt>"),
    "fenced": (r"\left%s%s\right%s", "<mrow><mo>%s</mo>%s<mo>%s</mo></mrow>"),
}
_IN_LATEX = {
    "−": "-", "⊙": r"\odot ", "·": r"\cdot ", "≥": r"\ge ", "≤": r"\le ", "≠": r"\ne ", "∂": r"\partial ",
    "∑": r"\sum ", "⊤": r"\top ", "′": "'", "&=": "&=",
}  # fmt: skip

# What LaTeX accepts in text and in formulas alike; any other letter is written as its number in Unicode.
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi "
_GREEK += "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega cdot odot top"
_LETTERS = zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ·∘ᵀ", _GREEK.split(), strict=True)
_SPECIAL = {c: f"\\{c}" for c in "&%$#_{} "} | {c: rf"\ensuremath{{\{name}}}" for c, name in _LETTERS}
_SPECIAL |= {c: rf"\text{{\text{name}}}" for c, name in zip("\\~^", ("backslash", "asciitilde", "asciicircum"))}


class Mathematics:
    """Prints equations in a language. `names` maps identifiers to the names that are shown for them."""

    def __init__(self, language: int, names: dict[str, str] | None = None) -> None:
        self._language, self._names = language, names or {}

    def put(self, kind: str, *parts: str) -> str:
        """Return parts in the form that the language has for them."""
        return _FORMS[kind][self._language] % parts

    def escaped(self, text: str) -> str:
        """Return text as the language accepts it."""
        if self._language == MATHML:
            return escape(text)
        return "".join([_SPECIAL.get(c, c if c.isascii() else f"U+{ord(c):X}") for c in text])

    def sign(self, symbol: str) -> str:
        """Return an operator; "" is a product without a sign."""
        if self._language == LATEX:
            return _IN_LATEX.get(symbol, self.escaped(symbol))
        return self.put("sign", escape(symbol) or "&#8290;")

    def text(self, text: str) -> str:
        """Return code as it stands in comments."""
        return self.put("text", self.escaped(shown(text)))

    def name(self, text: str) -> str:
        """Return a name."""
        return self.put("letter" if len(text) == 1 else "name", self.escaped(text))

    def row(self, *parts: str) -> str:
        """Return parts side by side."""
        return self.put("row", "".join(parts))

    def fenced(self, x: str, left: str = "(", right: str = ")") -> str:
        """Return x between brackets."""
        return self.put("fenced", left, x, right)

    def equation(self, text: str, relation: str = "=") -> str:
        """Return a line `left = right`, or an expression, as mathematics, or as code if it can't be parsed."""
        return self.row(*[x for side in text.split(" = ", 1) for x in (self.sign(relation), self.expression(side))][1:])

    def expression(self, text: str) -> str:
        """Return an expression as mathematics."""
        try:
            return self.printed(ast.parse(text.strip(), mode="eval").body)[0]
        except (SyntaxError, NotImplementedError):
            return self.text(text)

    def printed(self, node: ast.expr) -> tuple[str, int]:
        """Return an expression, and how strongly it binds. Raises NotImplementedError for an unknown kind of node."""
        match node:
            case ast.Name(name):
                return self.named(name), _ATOM
            case ast.Constant(int() | float() as number):
                return self.put("number", repr(number)), _ATOM
            case ast.UnaryOp(ast.USub(), x):
                return self.row(self.sign("−"), self.within(x, _PRODUCT)), _PRODUCT
            case ast.BinOp(ast.BinOp(x, ast.Mult(), ast.Name(name)), ast.Mult(), y) if name == OF:
                return self.row(self.within(x, _PRODUCT), self.sign("⊙"), self.within(y, _PRODUCT + 1)), _PRODUCT
            case ast.BinOp(op=operator) if type(operator) in _LEVELS:
                return self.binary(node, _LEVELS[type(operator)])
            case ast.Compare(a, [operator], [b]) if type(operator) in _COMPARED:
                sides = self.within(a, 1), self.sign(_COMPARED[type(operator)]), self.within(b, 1)
                return self.fenced(self.row(*sides), "[", "]"), _ATOM
            case ast.Attribute(x, "T" | "mT"):
                return self.put("raised", self.base(x), self.sign("⊤")), 5
            case ast.Subscript(x, index):
                return self.put("lowered", self.base(x), self.text(ast.unparse(index))), _ATOM
            case ast.Tuple(parts) | ast.List(parts):
                return self.listed(parts, []), _ATOM
            case ast.Call(function, args, keywords) if re.fullmatch(r"(np\.(linalg\.)?)?\w+", ast.unparse(function)):
                return self.called(ast.unparse(function).rpartition(".")[2], args, keywords)
            case ast.Call(ast.Attribute(x, name), args, keywords):
                return self.called(name, [x, *args], keywords)
        raise NotImplementedError

    def within(self, node: ast.expr, level: int) -> str:
        """Return an operand, in brackets if it binds less than the level."""
        text, own = self.printed(node)
        return text if own >= level else self.fenced(text)

    def base(self, node: ast.expr) -> str:
        """Return the base of a superscript or subscript; an adjoint, which is a fraction, in brackets."""
        text = self.within(node, _ATOM)
        return self.fenced(text) if isinstance(node, ast.Name) and OF in node.id else text

    def named(self, name: str) -> str:
        """Return a name: an adjoint as a fraction of differentials, numbers at its end as an index."""
        loss, is_adjoint, primal = name.partition(OF)
        if is_adjoint:
            return self.put("fraction", *[self.row(self.sign("∂"), self.named(x)) for x in (loss[1:], primal)])
        shown = self._names.get(name, name)
        match = re.fullmatch(r"([^\W\d_]+)(\d+(?:_\d+)*)", shown)
        if match is None:
            return self.name(shown)
        return self.put("lowered", self.name(match[1]), self.name(match[2].replace("_", ",")))

    def binary(self, node: ast.BinOp, level: int) -> tuple[str, int]:
        """Return two operands with an operator between them."""
        if isinstance(node.op, ast.Div):
            return self.put("fraction", self.within(node.left, 0), self.within(node.right, 0)), level
        if isinstance(node.op, ast.Pow):
            return self.put("raised", self.base(node.left), self.within(node.right, 0)), level
        plain = isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant)
        sign = self.sign("" if plain else _SIGNS[type(node.op)])
        return self.row(self.within(node.left, level), sign, self.within(node.right, level + 1)), level

    def called(self, name: str, args: list[ast.expr], keywords: list[ast.keyword]) -> tuple[str, int]:
        """Return a call: a root, an absolute value, a sum, or a function of its arguments."""
        name, prime, _ = name.partition("__prime")
        name = _SHORTER.get(name, name)
        if len(args) == 1 and not keywords and name in ("sqrt", "abs"):
            inner = self.within(args[0], 0)
            return self.put("root", inner) if name == "sqrt" else self.fenced(inner, "|", "|"), _ATOM
        if len(args) == 1 and name in ("sum", "Σ"):
            over = ",".join(map(ast.unparse, keywords))
            sign = self.put("lowered", self.sign("∑"), self.text(over)) if over else self.sign("∑")
            return self.row(sign, self.within(args[0], _PRODUCT)), _SUM
        function = self.put("function", self.escaped(name))
        function = self.put("raised", function, self.sign("′")) if prime else function
        return self.row(function, self.listed(args, keywords)), _ATOM

    def listed(self, args: list[ast.expr], keywords: list[ast.keyword]) -> str:
        """Return arguments in brackets, without settings that only a program reads."""
        plain = [k for k in keywords if not isinstance(k.value, ast.Call)]
        parts = [self.within(x, 0) for x in args] + [self.text(ast.unparse(k)) for k in plain]
        return self.fenced(self.row(*[part for one in parts for part in (self.sign(","), one)][1:]))


def latex_of(lines: Iterable[str], names: dict[str, str] | None = None) -> str:
    """Return the lines of a derivation as LaTeX for amsmath, one equation for each."""
    printer = Mathematics(LATEX, names)
    return "\\begin{align*}\n" + " \\\\\n".join([printer.equation(line, "&=") for line in lines]) + "\n\\end{align*}"


def shown(text: str) -> str:
    """Return a derivation as comments show it: · and ∘ for products, ᵀ, Σ, f' and dL/dx."""
    for code, sign in _IN_TEXT.items():
        text = text.replace(code, sign)
    text = re.sub(r"\bnp\.(linalg\.)?", "", text)
    return re.sub(rf"\w+{OF}\w+", lambda match: _quotient(match[0]), text)


def _quotient(adjoint: str) -> str:
    loss, _, primal = adjoint.partition(OF)
    return f"{loss}/d({_quotient(primal)})" if OF in primal else f"{loss}/d{primal}"
