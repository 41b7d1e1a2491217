"""Lines of a derivation as mathematics: one printer, which writes LaTeX or MathML.

It reads what `explain()` prints: Python, or the notation of its comments, dL/dx, · for products of matrices, ∘ for
those of entries, ᵀ, Σ and f'. That becomes Python first, and what Python parses is printed; all else stays as it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from html import escape
from typing import NamedTuple

_LEVELS = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.MatMult: 2, ast.FloorDiv: 2, ast.Div: 4, ast.Pow: 4}
_COMPARED = {ast.Gt: ">", ast.Lt: "<", ast.GtE: "≥", ast.LtE: "≤", ast.Eq: "=", ast.NotEq: "≠"}
_SIGNS = {ast.Add: "+", ast.Sub: "−", ast.MatMult: "", ast.FloorDiv: "⊙", ast.Mult: "·"}
_ATOM = 5
_KNOWN = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "max", "min"}
_SHORT = {"maximum": "max", "minimum": "min", "absolute": "abs"}


# What LaTeX takes in text and in formulas alike; of any other letter the number in Unicode is written.
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi "
_GREEK += "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega cdot odot top"
_LETTERS = zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ·∘ᵀ", _GREEK.split(), strict=True)
_SPECIAL = {c: f"\\{c}" for c in "&%$#_{} "} | {c: rf"\ensuremath{{\{name}}}" for c, name in _LETTERS}
_SPECIAL |= {c: rf"\text{{\text{name}}}" for c, name in zip("\\~^", ("backslash", "asciitilde", "asciicircum"))}


class Form(NamedTuple):
    """How one language writes mathematics: templates, what it has for signs, and what it escapes in names."""

    sign: str
    text: str
    letter: str
    number: str
    name: str
    function: str
    row: str
    fraction: str
    raised: str
    lowered: str
    root: str
    fenced: str
    signs: dict[str, str]
    escaped: Callable[[str], str]


LATEX = Form(
    "%s", r"\texttt{%s}", "%s", "%s", r"\mathrm{%s}", r"\operatorname{%s}", "%s", r"\frac{%s}{%s}", "{%s}^{%s}",
    "{%s}_{%s}", r"\sqrt{%s}", r"\left%s%s\right%s",
    {
        "−": "-", "⊙": r"\odot ", "·": r"\cdot ", "≥": r"\ge ", "≤": r"\le ", "≠": r"\ne ", "∂": r"\partial ",
        "∑": r"\sum ", "⊤": r"\top ", "′": "'", "": "", "&=": "&=",
    },
    lambda text: "".join([_SPECIAL.get(c, c if c.isascii() else f"U+{ord(c):X}") for c in text]),
)  # fmt: skip
MATHML = Form(
    "<mo>%s</mo>", "<mtext>%s</mtext>", "<mi>%s</mi>", "<mn>%s</mn>", "<mi>%s</mi>", "<mi>%s</mi>", "<mrow>%s</mrow>",
    "<mfrac>%s%s</mfrac>", "<msup>%s%s</msup>", "<msub>%s%s</msub>", "<msqrt>%s</msqrt>",
    "<mrow><mo>%s</mo>%s<mo>%s</mo></mrow>", {"": "&#8290;"}, escape,
)  # fmt: skip


class Mathematics:
    """Prints equations in a form. `names` has what is shown for identifiers that stand for other names."""

    def __init__(self, form: Form, names: dict[str, str] | None = None) -> None:
        self.form, self.names = form, names or {}
        self.adjoints: list[tuple[str, str]] = []

    def sign(self, symbol: str) -> str:
        """Return an operator."""
        return self.form.sign % self.form.signs.get(symbol, self.form.escaped(symbol))

    def text(self, text: str) -> str:
        """Return code as it stands."""
        return self.form.text % self.form.escaped(text)

    def name(self, text: str) -> str:
        """Return a name, or a number."""
        number = text.replace(".", "").replace("e-", "").isdigit()
        kind = self.form.number if number else self.form.letter if len(text) == 1 else self.form.name
        return kind % self.form.escaped(text)

    def function(self, text: str) -> str:
        """Return the name of a function."""
        return f"\\{text}" if self.form is LATEX and text in _KNOWN else self.form.function % self.form.escaped(text)

    def row(self, *parts: str) -> str:
        """Return parts side by side, in LaTeX with a space after a command that a letter follows."""
        pairs = zip(parts, (*parts[1:], ""))
        spaced = [f"{a} " if a[-1:].isalnum() and b[:1].isalpha() else a for a, b in pairs]
        return self.form.row % "".join(spaced if self.form is LATEX else parts)

    def fenced(self, x: str, left: str = "(", right: str = ")") -> str:
        """Return x between brackets."""
        return self.form.fenced % (left, x, right)

    def equation(self, text: str, relation: str = "=") -> str:
        """Return a line `left = right`, or an expression, as mathematics; what can't be read as code."""
        sides = re.split(r"(?<![=<>!]) = ", text, maxsplit=1)
        return str(self.row(*[x for side in sides for x in (self.sign(relation), self.expression(side))][1:]))

    def expression(self, text: str) -> str:
        """Return an expression as mathematics."""
        try:
            return self.printed(ast.parse(self._python(text.strip()), mode="eval").body)[0]
        except (SyntaxError, NotImplementedError):
            return self.text(text)

    def _python(self, text: str) -> str:
        """Return a derivation in what Python can parse; adjoints and sums become names."""
        if "//" in text or "~" in text:
            raise NotImplementedError
        text = text.replace("·", "@").replace("∘", "//").replace("ᵀ", ".T").replace("Σ ", "~")
        text = re.sub(r"(\w)'\(", r"\1__prime(", text)
        before = ""
        while before != text:
            before = text
            text = re.sub(r"\bd(L\d*)/d(?:\((adjoint_\d+_)\)|(\w+))", self._adjoint, text)
        return text

    def _adjoint(self, match: re.Match[str]) -> str:
        self.adjoints.append((match[1], match[2] or match[3]))
        return f"adjoint_{len(self.adjoints) - 1}_"

    def printed(self, node: ast.expr) -> tuple[str, int]:
        """Return an expression, and how strongly it binds. Raises NotImplementedError for what it does not know."""
        if isinstance(node, ast.Name):
            return self.named(node.id), _ATOM
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return self.name(repr(node.value)), _ATOM
        if isinstance(node, ast.UnaryOp):
            symbol = {ast.USub: "−", ast.Invert: "∑"}.get(type(node.op))
            if symbol is not None:
                return self.row(self.sign(symbol), self.within(node.operand, 2)), 2
        if isinstance(node, ast.BinOp):
            return self.binary(node)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARED:
            sides = self.within(node.left, 1), self.within(node.comparators[0], 1)
            return self.fenced(self.row(sides[0], self.sign(_COMPARED[type(node.ops[0])]), sides[1]), "[", "]"), _ATOM
        if isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
            return self.form.raised % (self.base(node.value), self.sign("⊤")), 4
        if isinstance(node, ast.Subscript):
            return self.form.lowered % (self.within(node.value, _ATOM), self.text(ast.unparse(node.slice))), _ATOM
        if isinstance(node, (ast.Tuple, ast.List)):
            return self.listed(node.elts, []), _ATOM
        if isinstance(node, ast.Call):
            return self.called(node)
        raise NotImplementedError

    def within(self, node: ast.expr, level: int) -> str:
        """Return an operand, in brackets if it binds less than the level."""
        text, own = self.printed(node)
        return text if own >= level else self.fenced(text)

    def base(self, node: ast.expr) -> str:
        """Return what something is raised from: an adjoint, which is a fraction, in brackets."""
        fraction = isinstance(node, ast.Name) and node.id.startswith("adjoint_")
        return self.fenced(self.within(node, _ATOM)) if fraction else self.within(node, _ATOM)

    def named(self, name: str) -> str:
        """Return a name: an adjoint as a fraction of differentials, numbers at its end as an index."""
        if match := re.fullmatch(r"adjoint_(\d+)_", name):
            loss, primal = self.adjoints[int(match[1])]
            above, below = [self.row(self.sign("∂"), self.named(x)) for x in (loss, primal)]
            return self.form.fraction % (above, below)
        shown = self.names.get(name, name)
        match = re.fullmatch(r"([^\W\d_]+)(\d+(?:_\d+)*)", shown)
        if match is None:
            return self.name(shown)
        return self.form.lowered % (self.name(match[1]), self.name(match[2].replace("_", ",")))

    def binary(self, node: ast.BinOp) -> tuple[str, int]:
        """Return two operands with an operator between them."""
        level = _LEVELS.get(type(node.op))
        if level is None:
            raise NotImplementedError
        if isinstance(node.op, ast.Div):
            return self.form.fraction % (self.within(node.left, 0), self.within(node.right, 0)), level
        if isinstance(node.op, ast.Pow):
            return self.form.raised % (self.base(node.left), self.within(node.right, 0)), level
        plain = isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant)
        sign = self.sign("" if plain else _SIGNS[type(node.op)])
        return self.row(self.within(node.left, level), sign, self.within(node.right, level + 1)), level

    def called(self, node: ast.Call) -> tuple[str, int]:
        """Return a call: a root, an absolute value, a sum, or a function of its arguments."""
        args = node.args
        if isinstance(node.func, ast.Attribute) and not (
            isinstance(node.func.value, ast.Name) and node.func.value.id == "np"
        ):
            args = [node.func.value, *args]
        if not isinstance(node.func, (ast.Attribute, ast.Name)):
            raise NotImplementedError
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        name, prime, _ = name.partition("__prime")
        name = _SHORT.get(name, name)
        if len(args) == 1 and not node.keywords and name in ("sqrt", "abs"):
            inner = self.within(args[0], 0)
            return (self.form.root % inner if name == "sqrt" else self.fenced(inner, "|", "|")), _ATOM
        if len(args) == 1 and name == "sum":
            over = ",".join(map(ast.unparse, node.keywords))
            sign = self.form.lowered % (self.sign("∑"), self.text(over)) if over else self.sign("∑")
            return self.row(sign, self.within(args[0], 2)), 2
        function = self.form.raised % (self.function(name), self.sign("′")) if prime else self.function(name)
        return self.row(function, self.listed(args, node.keywords)), _ATOM

    def listed(self, args: list[ast.expr], keywords: list[ast.keyword]) -> str:
        """Return arguments in brackets, without settings that only a program reads."""
        plain = [k for k in keywords if not isinstance(k.value, ast.Call)]
        parts = [self.within(x, 0) for x in args] + [self.text(ast.unparse(k)) for k in plain]
        return self.fenced(self.row(*[part for one in parts for part in (self.sign(","), one)][1:]))


def latex_of(text: str, names: dict[str, str] | None = None) -> str:
    """Return a derivation, an equation a line, as LaTeX for amsmath."""
    printer = Mathematics(LATEX, names)
    lines = [printer.equation(line, "&=") for line in text.splitlines()]
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def derivation_of(listing: str) -> str:
    """Return the backward passes of what `explain()` prints, a line of the derivation each.

    What a comment does not say is taken from the code below it; what only leads to an adjoint has a line of its own.
    """
    found: list[str] = []
    named = ""  # the adjoint that the next line of code assigns
    inside = False
    for line in map(str.strip, listing.splitlines()):
        if line.startswith("# "):
            match = re.match(r"# backward, (?:pass \d+, )?(.*)", line)
            inside = match is not None or (inside and "dL" in line)
            if match or (inside and " = " in line):
                found.append(match[1] if match else line[2:])
            named = line[2:] if inside and " = " not in line else ""
        elif named and (code := re.sub(r"\s+# \(.*", "", line)):
            left, _, right = code.partition(" = ")
            symbol = "" if named.startswith("for ") else named
            found.append(f"{symbol or left} = {right}" if right else code)
        elif not line or line.startswith("return"):
            named = ""
    return "\n".join(found)
