"""The first call of a function in its example: the shapes that it takes and gives, and what its like is refused for."""

from __future__ import annotations

import ast
import doctest
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

import numpy as np

# In place of an argument, by what it is: values of the same kind that many functions have no use for.
ARRAYS = ["np.ones(5)", "np.ones((3, 5))", "-2.0", "0.0"]
OTHERS = {str: ["'other'"], int: ["-7"], float: ["-7.0"], tuple: ["(7, 7)"], list: ["[7]"]}
MOST = 4


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


def first_call(function: Any, text: str) -> Call | None:
    """Return the first call of a function in a text's example that only names what stands above it."""
    known: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples(text):
        body = ast.parse(example.source).body[0]
        for node in [n for n in ast.walk(body) if isinstance(n, ast.Call)]:
            reads = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            if "(" not in ast.unparse(node.func) and reads <= known.keys() and _value(node.func, known) is function:
                return Call(node, known)
        exec(example.source, known)
    return None


def shapes(call: Call) -> str:
    """Return the shapes of the arrays in a call, and of its results; "" where it has no arrays, or gives none."""
    arguments = [*call.node.args, *[k.value for k in call.node.keywords if k.arg not in ("shape", "axis", "axes")]]
    leaves = [leaf for argument in arguments for leaf in (argument.elts if _is_list(argument) else [argument])]
    taken = [(ast.unparse(leaf), _value(leaf, call.known)) for leaf in leaves]
    held = {text if text.isidentifier() else "": np.shape(x) for text, x in taken if hasattr(x, "shape") or _numbers(x)}
    result = _value(call.node, call.known)
    parts = result if isinstance(result, (tuple, list)) else (result,)
    if not held or not parts or not all(isinstance(part, (int, float)) or hasattr(part, "shape") for part in parts):
        return ""
    inputs = ", ".join(f"{text} {shape}".strip() for text, shape in held.items())
    return f"{inputs} -> {', '.join(str(np.shape(part)) for part in parts)}"


def refusals(call: Call, parameters: list[str]) -> list[Refusal]:
    """Return what calls like this one raise or warn of where one argument does not fit, each once."""
    found: dict[str, Refusal] = {}
    for wrong in _wrong_calls(call, parameters):
        if (refusal := _refusal(Call(wrong, call.known))) is not None:
            found.setdefault(re.sub(r"[\d\W]+", " ", f"{refusal.error} {refusal.message}")[:40], refusal)
    return list(found.values())[:MOST]


def _is_list(argument: ast.expr) -> TypeGuard[ast.List]:
    """Return whether this is a list of names, as of tensors to be joined."""
    return isinstance(argument, ast.List) and all(isinstance(x, ast.Name) for x in argument.elts)


def _numbers(x: Any) -> bool:
    """Return whether these are numbers in nested lists."""
    return all(map(_numbers, x)) if isinstance(x, list) and x else isinstance(x, float)


def _value(node: ast.expr, known: dict[str, Any]) -> Any:
    return eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<example>", "eval"), known)


def _wrong_calls(call: Call, parameters: list[str]) -> Iterator[ast.Call]:
    function, args, keywords = call.node.func, call.node.args, call.node.keywords
    for i, argument in enumerate(args):
        for wrong in _wrong(argument, call.known):
            yield ast.Call(function, [*args[:i], wrong, *args[i + 1 :]], keywords)
    for i, keyword in enumerate(keywords):
        for wrong in _wrong(keyword.value, call.known):
            yield ast.Call(function, args, [*keywords[:i], ast.keyword(keyword.arg, wrong), *keywords[i + 1 :]])
    if "axis" in parameters[len(args) :]:
        others = [keyword for keyword in keywords if keyword.arg != "axis"]
        yield ast.Call(function, args, [*others, ast.keyword("axis", ast.Constant(7))])


def _wrong(argument: ast.expr, known: dict[str, Any]) -> list[ast.expr]:
    if isinstance(argument, ast.List) and argument.elts and _is_list(argument):
        return [ast.List([wrong, *argument.elts[1:]], ast.Load()) for wrong in _wrong(argument.elts[0], known)]
    value = _value(argument, known)
    texts = ARRAYS if isinstance(value, (np.ndarray, np.generic)) else OTHERS.get(type(value), [])
    return [ast.parse(text, mode="eval").body for text in texts]


def _refusal(call: Call) -> Refusal | None:
    """Return the error that a call raises, or else the first warning of NumPy's, None if all is well."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        try:
            result = _value(call.node, {**call.known, "np": np})
        except Exception as error:
            return Refusal(ast.unparse(call.node), type(error).__name__, _said(error))
    found = [w.message for w in caught if isinstance(w.message, RuntimeWarning)]
    gives = str(result.item()) if getattr(result, "size", 0) == 1 else ""
    return Refusal(ast.unparse(call.node), "RuntimeWarning", _said(found[0]), gives) if found else None


def _said(reason: Exception) -> str:
    """Return what an error says, with its remedy, without what the call tells."""
    notes = [re.sub(r"^in tinygrad_nn operation .*?(; |$)", "", note) for note in getattr(reason, "__notes__", [])]
    remedies = [note for note in notes if note and not note.startswith("help(")]
    return " ".join("; ".join([str(reason).strip(), *remedies]).split())
