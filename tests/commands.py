"""Commands for a shell, as the pages give them: whether what they start, install, read and write is there."""

from __future__ import annotations

import functools
import importlib.util
import pathlib
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
SHELLS = {"sh", "powershell"}
PYTHONS = {"python", "python3", "py", ".venv/bin/python", ".venv/Scripts/python"}
TOOLS = {"ruff", "mypy", "pytest"}  # which a developer has installed
INLINE = re.compile(rf"`((?:{'|'.join([*map(re.escape, PYTHONS), *TOOLS, 'pip', 'mpiexec', '.ci/run'])})(?: [^`]+)?)`")


def commands_of(text: str) -> Iterator[str]:
    """Yield the lines of a page's blocks for a shell, and the commands in its sentences."""
    for language, body in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language in SHELLS:
            yield from body.splitlines()
    sentences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).replace("\\", "/")
    yield from [command for command in INLINE.findall(sentences) if "..." not in command]


def unknown(line: str) -> Iterator[str]:
    """Yield what a line of commands names that is not there: programs, modules, options, extras, packages, files."""
    lexer = shlex.shlex(line.replace("\\", "/"), posix=True, punctuation_chars=True)
    lexer.wordchars += "[],="
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if re.fullmatch(r"[;&|]+", word):
            while command and re.fullmatch(r"\w+=\S*", command[0]):  # variables of the environment
                del command[0]
            yield from _of_one(command)
            command = []
        else:
            command.append(word)


def _of_one(command: list[str]) -> Iterator[str]:
    match command:
        case []:
            return
        case ["mpiexec", "-n", _, *rest]:
            yield from _of_one(rest)
        case ["pip", *rest] | [_, "-m", "pip", *rest]:
            yield from _installed(rest)
        case [program, "-m", module, *rest] if program in PYTHONS:
            yield from _of_module(module, rest)
        case [program, "-W", _, *rest] if program in PYTHONS:
            yield from _of_one([program, *rest])
        case [program, "-c", code, *rest] if program in PYTHONS:
            compile(code, "<command>", "exec")
            yield from _files(rest)
        case [program, script, *rest] if program in PYTHONS:
            yield from _of_script(ROOT / script, rest)
        case [program, *rest]:
            known = program in PYTHONS | TOOLS or (ROOT / program).is_file()
            yield from [] if known else [program]
            yield from _files(rest)


def _of_module(module: str, arguments: list[str]) -> Iterator[str]:
    """Yield what is unknown of `python -m module`: it is Python's, this package's, or in an extra."""
    spec = importlib.util.find_spec(module) if module.startswith("tinygrad_nn") else None
    if spec is not None and spec.origin is not None:
        origin = pathlib.Path(spec.origin)
        yield from _of_script(origin.with_name("__main__.py") if origin.stem == "__init__" else origin, arguments)
    else:
        yield from [] if module in sys.stdlib_module_names or module in _packages() else [module]
        yield from _files(arguments)


def _of_script(script: pathlib.Path, arguments: list[str]) -> Iterator[str]:
    """Yield a script that is not there, or the words after it that neither it nor its neighbours know."""
    if not script.is_file():
        yield str(script)
        return
    texts = [path.read_text(encoding="utf-8") for path in script.parent.glob("*.py")]
    for word in arguments:
        if not word.isdigit() and word != "--help" and not any(f'"{word}' in text for text in texts):
            yield word


def _installed(arguments: list[str]) -> Iterator[str]:
    """Yield the extras and packages of `pip install` that nothing of the project names."""
    if arguments[:1] != ["install"]:
        yield " ".join(arguments)
    for word in arguments[1:]:
        path, _, extras = word.partition("[")
        names = extras.rstrip("]").split(",") if extras else []
        yield from [name for name in names if name not in _project()["optional-dependencies"]]
        yield from [] if path.startswith("-") or path == "." or path in _packages() else [word]


def _files(arguments: list[str]) -> Iterator[str]:
    """Yield the paths among arguments that are not there, but for folders that a build makes."""
    for word in arguments:
        if re.search(r"\w/|\.(?:py|txt|md)$", word) and not word.endswith("_build") and not (ROOT / word).exists():
            yield word


@functools.cache
def _project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@functools.cache
def _packages() -> set[str]:
    """Return the packages that an extra, a group of dependencies or the script for all tests names."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", ".ci/run")]
    return {name for text in texts for name in re.findall(r"[\w-]+", text)}
