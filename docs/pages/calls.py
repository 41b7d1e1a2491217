"""The first call of a function in its example: the shapes that it takes and gives, and what its like is refused for."""

from __future__ import annotations

import ast
import builtins
import contextlib
import doctest
import io
import linecache
import re
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from inspect import Parameter
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeGuard

import names
import numpy as np

from tinygrad_nn import errors

# In place of an argument, by what it is: values of the same kind that many functions have no use for.
ARRAYS = ["np.ones(5)", "np.ones((3, 5))", "-2.0", "0.0"]
OTHERS: dict[type, list[str]] = {
    bool: [], type(None): [], str: ["'other'"], int: ["-7"], float: ["-7.0"], list: ["[7]"], dict: ["{'other': 7}"],
    tuple: ["(7, 7)", "(-7, 7)", "(7,)"], FunctionType: ["lambda *_: 'other'"],
}  # fmt: skip
OMITTED = {"axis": "7", "dtype": "'other'"}  # for parameters whose default says little
MOST, LONG = 4, 100  # refusals of a page, and letters of a call
NOT_CALLED = ("tinygrad_nn.interop.mpi", "tinygrad_nn.errors")  # bridges that change how their process ends, and errors
PACKAGE = str(Path(errors.__file__).parents[1])


class Call(NamedTuple):
    """A call, as it is written, and the names that are defined before it."""

    node: ast.Call
    known: dict[str, Any]


class Refusal(NamedTuple):
    """A call, the name of the error that it raises or of the warning that it gives, and what that says."""

    call: str
    error: str
    message: str
    gives: str = ""  # beside a warning, where it is one number
    helps: bool = True  # unless neither the library nor NumPy has worded it


def told(name: names.Name) -> tuple[str, list[Refusal]]:
    """Return the shapes in the example of a name, "" where its description tells any, and what is refused."""
    if not callable(name.value) or name.module.startswith(NOT_CALLED):
        return "", []
    with _quietly(), contextlib.suppress(ModuleNotFoundError):  # of a library that only a bridge needs
        if (call := first_call(name.value, name.text)) is not None:
            found = shapes(call) if "hape" not in name.text.partition(">>>")[0] else ""
            return found, refusals(call, names.parameters(name.value))
    return "", []


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Let the body run examples: what they write goes into a folder that is removed, what they print nowhere."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        yield


def first_call(function: Any, text: str) -> Call | None:
    """Return the first call of a function in a text's example that only names what stands above it.

    Where what it returns is called at once, as in `tg.grad(f)(x)`, it is that call.
    """
    known: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples(text):
        body = ast.parse(example.source).body[0]
        for node in [n for n in ast.walk(body) if isinstance(n, ast.Call)]:
            inner = node.func if isinstance(node.func, ast.Call) else node
            is_plain = _reads(node) <= known.keys() and "(" not in ast.unparse(inner.func)
            if is_plain and _value(inner.func, known) is function:
                return Call(node, known)
        exec(example.source, known)
    return None


def _reads(node: ast.expr) -> set[str]:
    """Return the names that an expression reads, but for Python's own, and those that functions within it take."""
    taken = {argument.arg for argument in ast.walk(node) if isinstance(argument, ast.arg)}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - taken - vars(builtins).keys()


def shapes(call: Call) -> str:
    """Return the shapes of the arrays in a call, and those of its results, where these are arrays."""
    arguments = [*call.node.args, *[k.value for k in call.node.keywords if k.arg not in ("shape", "axis", "axes")]]
    leaves = [leaf for argument in arguments for leaf in (argument.elts if _is_list(argument) else [argument])]
    values = [(ast.unparse(leaf), _value(leaf, call.known)) for leaf in leaves if not isinstance(leaf, ast.Starred)]
    held = [f"{text if text.isidentifier() else ''} {tuple(np.shape(x))}".strip() for text, x in values if _is_array(x)]
    result = _value(call.node, call.known)
    parts = result if isinstance(result, (tuple, list)) else (result,)
    are_arrays = parts and all(isinstance(part, (int, float)) or _is_array(part) for part in parts)
    given = [str(tuple(np.shape(part))) for part in parts] if are_arrays else []
    taken = ", ".join(dict.fromkeys(held))
    if not given or (not held and {*given} == {"()"}):
        return taken
    return f"{taken} -> {', '.join(given)}".strip()


def refusals(call: Call, parameters: list[Parameter]) -> list[Refusal]:
    """Return what calls like this one raise or warn of where one argument does not fit, each once."""
    found: dict[str, Refusal] = {}
    for wrong_calls in (_wrong_calls(call, parameters), _with_text(call)):
        for wrong in wrong_calls if not found else ():
            if (refusal := _refusal(Call(wrong, call.known), call.node)) is not None and refusal.helps:
                found.setdefault(re.sub(r"[\d\W]+", " ", f"{refusal.error} {refusal.message}")[:40], refusal)
    return list(found.values())[:MOST]


def _is_list(argument: ast.expr) -> TypeGuard[ast.List]:
    """Return whether this is a list of names, as of tensors to be joined."""
    return isinstance(argument, ast.List) and all(isinstance(x, ast.Name) for x in argument.elts)


def _is_array(x: Any) -> bool:
    """Return whether this is an array, or numbers in nested lists."""
    return (hasattr(x, "shape") and not isinstance(x, type)) or (isinstance(x, list) and _numbers(x))


def _numbers(x: Any) -> bool:
    return all(map(_numbers, x)) if isinstance(x, list) and x else isinstance(x, float)


def _value(node: ast.expr, known: dict[str, Any]) -> Any:
    return eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<example>", "eval"), known)


def _wrong_calls(call: Call, parameters: list[Parameter]) -> Iterator[ast.Call]:
    """Yield calls with another value for an argument, or for one that is left out."""
    function, args, keywords = call.node.func, call.node.args, call.node.keywords
    for i, argument in enumerate(args):
        for wrong in _wrong(argument, call.known):
            yield ast.Call(function, [*args[:i], wrong, *args[i + 1 :]], keywords)
    for i, keyword in enumerate(keywords):
        for wrong in _wrong(keyword.value, call.known) if keyword.arg != "seed" else ():
            yield ast.Call(function, args, [*keywords[:i], ast.keyword(keyword.arg, wrong), *keywords[i + 1 :]])
    if isinstance(function, ast.Call):
        for wrong in _wrong_calls(Call(function, call.known), parameters):
            yield ast.Call(wrong, args, keywords)
        parameters = []
    given = {keyword.arg for keyword in keywords} | {p.name for p in parameters[: len(args)]}
    for p in [p for p in parameters if p.name not in given | {"seed"}]:
        for text in [OMITTED[p.name]] if p.name in OMITTED else OTHERS.get(type(p.default), ()):
            yield ast.Call(function, args, [*keywords, ast.keyword(p.name, _parsed(text))])


def _with_text(call: Call) -> Iterator[ast.Call]:
    """Yield the call with text in place of its first argument."""
    if call.node.args and not isinstance(call.node.args[0], ast.Starred):
        yield ast.Call(call.node.func, [ast.Constant("other"), *call.node.args[1:]], call.node.keywords)


def _wrong(argument: ast.expr, known: dict[str, Any]) -> list[ast.expr]:
    if isinstance(argument, ast.Starred):
        return []
    if isinstance(argument, ast.List) and argument.elts and _is_list(argument):
        return [ast.List([wrong, *argument.elts[1:]], ast.Load()) for wrong in _wrong(argument.elts[0], known)]
    value = _value(argument, known)
    return list(map(_parsed, ARRAYS if _is_array(value) else OTHERS.get(type(value), OTHERS[str])))


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _refusal(call: Call, right: ast.Call) -> Refusal | None:
    """Return the error that a call raises, or else the first warning of NumPy's, None if all is well."""
    text = _short(call.node, right)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = _value(call.node, {**call.known, "np": np})
        except Exception as error:
            return Refusal(text, type(error).__name__, _said(error), "", _helps(error))
    found = [w.message for w in caught if isinstance(w.message, RuntimeWarning)]
    gives = str(result.item()) if getattr(result, "size", 0) == 1 else ""
    return Refusal(text, "RuntimeWarning", _said(found[0]), gives) if found else None


def _short(call: ast.Call, right: ast.Call) -> str:
    """Return a call as it is written; where that is long, without the settings that it shares with the right one."""
    text = ast.unparse(call)
    own = [keyword for keyword in call.keywords if keyword not in right.keywords]
    if len(text) < LONG or len(own) == len(call.keywords):
        return text
    return f"{ast.unparse(ast.Call(call.func, call.args, own))[:-1]}, ...)"


def _helps(error: Exception) -> bool:
    """Return whether the library raised an error, or added a note to it, or it is of a value that NumPy refuses."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    is_raised = linecache.getline(last.filename, last.lineno or 0).strip().startswith("raise")
    return isinstance(error, ValueError) or hasattr(error, "__notes__") or (is_raised and PACKAGE in last.filename)


def _said(reason: Exception) -> str:
    """Return what an error says, with its remedy, without what the call tells."""
    told = r"^(in tinygrad_nn operation .*?(; |$)|tg\.\w+\(.*?\): )"
    notes = [re.sub(told, "", note) for note in getattr(reason, "__notes__", [])]
    remedies = [note for note in notes if note and not note.startswith(("help(", "in layer "))]
    said = " ".join("; ".join([str(reason).strip(), *remedies]).split())
    return re.sub(r" at 0x[0-9a-f]+", "", said)
