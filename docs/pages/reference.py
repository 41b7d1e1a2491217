"""The reference: a page for each public name, lists of them by task, and the tables of operations, kinks and NumPy.

Written into docs/generated/reference when the site is built; nothing of it is kept in the repository.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import calls
import names
import rules
from names import PAGES, Name
from sphinx.ext.autodoc.mock import mock

import tinygrad_nn as tg
from tinygrad_nn import errors, ops
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.reference import conventions, coverage

FOLDER = Path(__file__).parents[1] / "generated" / "reference"
CODE = re.compile(r"(`+[^`]+`+)")


def rst(text: str) -> str:
    """Return a docstring as reStructuredText: code between backquotes stays code, and all other signs are signs."""
    parts: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        if block.lstrip().startswith(">>>"):
            parts.append(block)
        elif all(line.startswith("    ") for line in block.splitlines()):
            parts.append("::\n\n" + block)
        elif re.search(r"\n +\S", block):  # a line for each entry, and where it is long, more of it indented
            parts.append("\n".join("- " + prose(" ".join(entry.split())) for entry in re.split(r"\n(?=\S)", block)))
        else:
            parts.append(prose(block))
    return "\n\n".join(parts)


def prose(block: str) -> str:
    """Return sentences with code as literals, and with names of the reference as links."""
    pieces = CODE.split(block)
    return "".join(_code(p.strip("`")) if n % 2 else re.sub(r"([\\*|_])", r"\\\1", p) for n, p in enumerate(pieces))


def _code(text: str) -> str:
    found = _linked().get(text.removeprefix("tg.").partition("(")[0])
    return f":doc:`tg.{found.path} <{found.document}>`" if found and text.startswith("tg.") else f"``{text}``"


def _linked() -> dict[str, Name]:
    return names.by_path()


def heading(text: str, sign: str = "=") -> str:
    """Return a title of the level that the sign stands for."""
    return f"{text}\n{sign * len(text)}\n"


def table(header: Iterable[str], rows: Iterable[Iterable[str]], widths: str = "auto") -> str:
    """Return a table; cells are reStructuredText, of any number of lines."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in [header, *rows]:
        for n, cell in enumerate(row):
            mark = "   * - " if n == 0 else "     - "
            lines.append(mark + textwrap.indent(cell, " " * 7).lstrip())
    return "\n".join(lines) + "\n"


def page(name: Name) -> str:
    """Return the page of one name: signature, description with an example, rules, methods, and where it is written."""
    title = f"tg.{name.path}"
    kind = "class" if inspect.isclass(name.value) else "function" if callable(name.value) else "data"
    body = [
        rst(name.text),
        *_other_names(name),
        *_of_the_call(name),
        *_rules_of(name),
        *(_members(name) if kind == "class" else []),
    ]
    directive = f".. py:{kind}:: {name.path}{names.signature(name.value)}\n   :module: tinygrad_nn\n\n"
    file = Path(str(sys.modules[name.module].__file__)).relative_to(Path(tg.__file__).parents[1])
    where = f"Written in ``{file.as_posix()}``, line {name.line}."
    return "\n".join([heading(title), directive + textwrap.indent("\n\n".join(body), "   "), "", where, ""])


def _other_names(name: Name) -> Iterator[str]:
    """Yield the names that stand for the same function."""
    same = [other for other in names.public_names() if other.value is name.value and other.path != name.path]
    if same and callable(name.value):
        yield f"Another name of {' and '.join(f':doc:`tg.{other.path} <{other.document}>`' for other in same)}."


def _of_the_call(name: Name) -> Iterator[str]:
    """Yield the shapes in the example of a name, where its description tells none, and what is refused."""
    shapes, refusals = calls.told(name)
    if shapes:
        yield f"Shapes in the example: {shapes}."
    if refusals:
        yield "What is refused, or warned of, with the names of the example:\n\n" + "\n".join(map(_refused, refusals))


def _refused(refusal: calls.Refusal) -> str:
    gives = f"gives ``{refusal.gives}``, and " if refusal.gives else ""
    verb = f"{gives}warns by" if refusal.error.endswith("Warning") else "raises"
    return f"- ``{refusal.call}`` {verb} ``{refusal.error}``: {prose(refusal.message)}"


def _rules_of(name: Name) -> Iterator[str]:
    """Yield the rules of an operation, as code and as formulas, and what it is at its kinks."""
    for op in _operations_of(name):
        yield from _rules_of_operation(op, name)


def _operations_of(name: Name) -> list[Any]:
    """Return the operation that a function is, or those that it calls, which users know by the function's name."""
    own = getattr(name.value, "operation", None)
    called = [op for op in OPERATIONS.values() if re.fullmatch(_known_as(op).replace("{}", r"\d"), name.path)]
    return [own] if own is not None else called if callable(name.value) else []


def _known_as(op: Any) -> str:
    return errors.PUBLIC.get(str(op.name), str(op.name))


def _rules_of_operation(op: Any, name: Name) -> Iterator[str]:
    if not op.differentiable:
        yield "Its derivative is zero wherever there is one: it has no rule."
        return
    lines = [f"{argument}:  {rule.code}" for argument, rule in _written(op)]
    if lines:
        text = "Rules, with ``g`` for the cotangent of the result, and ``y`` for the result:"
        if getattr(name.value, "operation", None) is None:
            text = f"Rules of the operation ``{op.name}`` that it calls" + text.removeprefix("Rules")
        yield f"{text}\n\n.. code-block:: text\n\n{textwrap.indent(chr(10).join(lines), '   ')}"
    formulas = [rf"\bar {{{rules.symbol(argument)}}} = {rule.formula}" for argument, rule in _written(op)]
    if formulas:
        yield ".. math:: " + r"\quad ".join(formulas).replace("\n", " ")


def _written(op: Any) -> list[tuple[str, rules.Written]]:
    found = rules.written().get(op.name, [])
    return list(zip(op.arguments, found)) if len(found) == len(op.arguments) else []


def _members(name: Name) -> Iterator[str]:
    """Yield the methods and properties that a class of the package has itself, each with its description."""
    for method in names.methods(name):
        kind = "property" if isinstance(method.value, property) else "method"
        head = f".. py:{kind}:: {method.name}{_bound(method.value)}\n\n"
        said = rst(method.text)
        if method.function is not None:  # its page has the example
            said += f"\n\nThe same as :doc:`tg.{method.function.path} <{method.function.document}>`."
        yield head + textwrap.indent(said, "   ")


def _bound(value: Any) -> str:
    text = names.signature(value)
    return re.sub(r"^\((self|cls|x|a)(, /)?(, )?", "(", text)


def listing(title: str, held: list[Name]) -> str:
    """Return a page with tables of names and their first sentences, under what their files say they are about."""
    sections: dict[str, list[Name]] = {}
    for name in held:
        sections.setdefault(_about(name), []).append(name)
    parts = [heading(title)]
    for about, members in sections.items():
        parts += [heading(about, "-")] if len(sections) > 1 else []
        rows = [(f":doc:`tg.{name.path} <{name.document}>`", prose(name.sentence)) for name in members]
        parts.append(table(["name", "what it is"], rows, "25 75"))
    return "\n".join([*parts, contents(name.document for members in sections.values() for name in members)])


def contents(documents: Iterable[str]) -> str:
    """Return what says that pages belong to a page: its sidebar and the way back to it follow from that."""
    return "\n".join([".. toctree::", "   :hidden:", "", *[f"   {document}" for document in documents], ""])


def _about(name: Name) -> str:
    space = name.path.rpartition(".")[0]
    text = inspect.getdoc(sys.modules[name.module]) or ""
    return f"tg.{space}" if space else re.split("[:;,.]", text)[0]


def index() -> str:
    """Return the first page of the reference."""
    held = {key: [n for n in names.public_names() if n.page == key] for key in PAGES}
    held = {key: found for key, found in held.items() if found}
    rows = [(f":doc:`{PAGES[key][0]} <{key}>`", str(len(found))) for key, found in held.items()]
    tables = {
        "operation_table": "The rules of all operations",
        "subgradients": "Subgradients: what the gradient is at kinks and ties",
        "numpy_coverage": "NumPy: what is recorded",
    }
    text = (
        "Every public name has a page: its signature, what it returns, shapes, errors, an example, and a link to its "
        "source. The tests execute the examples. Errors have theirs on :doc:`one page </errors>`, with what to do.\n"
    )
    return "\n".join([
        heading("Reference"),
        text,
        table(["names", "how many"], rows, "75 25"),
        "Tables, each made from the code:\n",
        *[f"- :doc:`{text} <{link}>`" for link, text in tables.items()], "",
        contents([*held, *tables]),
    ])  # fmt: skip


def operation_table() -> str:
    """Return the page with all rules of operations, as they are written and as mathematics."""
    functions = {name: call for name, call in ops.functions().items() if hasattr(call, "operation")}
    public = {call.operation.name: name for name, call in functions.items()}
    public |= {name: name for name, call in functions.items() if call.operation.name == name}
    rows = []
    for op in sorted(OPERATIONS.values(), key=lambda op: (public.get(op.name) or _known_as(op), op.name)):
        found = _written(op)
        if not op.differentiable or not found or not op.home[0].startswith("tinygrad_nn."):
            continue
        code = "\n\n".join(f"``{argument}: {rule.code}``" for argument, rule in found)
        lines = [[f":math:`{line}`" for line in rule.formula.splitlines()] for _, rule in found]
        formulas = "\n\n".join(map(" ".join, lines))
        known = public.get(op.name) or _known_as(op).format(2)
        is_step = known in functions and functions[known].operation is not op
        known = "" if is_step or known not in _linked() else known
        link = f":doc:`tg.{known} <{_linked()[known].document}>`" if known else f"``{op.name}``"
        rows.append((link, code, formulas))
    text = (
        "A rule gives the cotangent of an input. It names what it reads: ``g`` is the cotangent of the result "
        "(:math:`\\bar y`), ``y`` the result, the others are inputs and parameters. The engine sums over what was "
        "broadcast, so no rule does. Operations without a link are steps of others.\n\n"
        "In the mathematics, :math:`\\bar \\ell` is the cotangent of each loss, :math:`\\bar y / m` where the result "
        "is their mean, *k* how many entries are tied, :math:`\\Phi` and :math:`\\varphi` the normal distribution and "
        "its density. Of matrices, *V* holds eigenvectors, or *U*, *s*, *V* the singular value decomposition; "
        ":math:`S = \\text{diag}(s)`, :math:`K = U^\\top \\bar U`, :math:`L = V^\\top \\bar V`; sym(*x*) is "
        ":math:`(x + x^\\top) / 2`, mirrored(*x*) has the lower triangle of *x* on both sides, and halved(*x*) is that "
        "triangle with half of the diagonal. For least squares, *x* is the solution and "
        ":math:`u = (a^+)^\\top \\bar x`; for slopes of cofactors, :math:`X = a^{-1} e` and "
        ":math:`Z = a^{-1}\\,\\bar y`. In a recurrent layer, :math:`d_t` is the cotangent of what goes into the gates, "
        "found from the last step to the first, :math:`e_t` that of its part that the hidden state :math:`h_{t-1}` "
        "gives, and *W* the input's weight.\n"
    )
    header = ["operation", "rules as written", "as mathematics"]
    return "\n".join([heading("The rules of all operations"), text, table(header, rows, "15 42 43")])


def subgradients() -> str:
    """Return the table of what the gradient is where a derivative jumps, computed by the engine."""
    header, *lines = conventions.page().splitlines()
    text = (
        "Where a derivative jumps, the gradient is the subgradient of smallest norm over the operands that require "
        "grad: tied operands share it, and at a kink it is 0 if 0 lies between the two slopes. The last column is the "
        "gradient of one operand where the other is a constant. ``python -m tinygrad_nn.conventions`` prints this.\n"
    )
    rows = [[f"``{cell}``" if cell else "" for cell in re.split(r"\s{2,}", line)] for line in lines]
    rows = [[*row, *[""] * (4 - len(row))] for row in rows]
    return "\n".join([heading("Subgradients"), text, table(re.split(r"\s{2,}", header), rows)])


def numpy_coverage() -> str:
    """Return what of NumPy is recorded, name by name."""
    parts = [heading("NumPy: what is recorded")]
    everything = coverage.rows()
    for kind in (coverage.DIFFERENTIABLE, coverage.CONSTANT, coverage.UNSUPPORTED):
        held = [row for row in everything if row.kind == kind]
        parts += [heading(f"{kind.capitalize()} ({len(held)})", "-")]
        if kind == coverage.UNSUPPORTED:
            rows = [(f"``{row}``", prose(row.remark)) for row in held]
            parts.append(table(["name", "why, and what to use"], rows, "25 75"))
        else:
            parts.append(", ".join(f"``{row}``" for row in held) + "\n")
    share = f"{coverage.share():.1%}"
    parts.append(f"{share} of NumPy's functions with a derivative are differentiable, numpy.fft left out.\n")
    return "\n".join(parts)


def write() -> int:
    """Write all pages of the reference, and return how many."""
    if not find_spec("torch"):  # whose gigabyte no page is worth: the names of its bridge stand in its file
        with mock(["torch"]):
            import_module("tinygrad_nn.interop.torch")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    pages = {name.document: page(name) for name in names.public_names()}
    for key, (title, _) in PAGES.items():
        pages[key] = listing(title, [name for name in names.public_names() if name.page == key])
    pages |= {"operation_table": operation_table(), "subgradients": subgradients(), "numpy_coverage": numpy_coverage()}
    pages["index"] = index()
    for key, text in pages.items():
        (FOLDER / f"{key}.rst").write_text(text, encoding="utf-8")
    return len(pages)


def _home(app: Any, module: str, attribute: str) -> str | None:
    found = _linked().get(attribute)
    return found.module if found is not None and module == "tinygrad_nn" else None


def _tags(app: Any, module: str) -> tuple[str, dict[str, Any]] | None:
    """Return a module's source, and the lines of the public names that are written there."""
    held = {name.path: name.line for name in names.public_names() if name.module == module}
    if not held:
        return None
    return names.source(module), {path: ("def", line, line) for path, line in held.items()}


def setup(app: Any) -> dict[str, Any]:
    """Write the reference before Sphinx reads, and lead its links to the source to where names are written."""
    app.connect("builder-inited", lambda app: write())
    app.connect("viewcode-follow-imported", _home)
    app.connect("viewcode-find-source", _tags)
    return {"parallel_read_safe": True}
