"""The generated stubs say what the Tensor and the package really have."""

import doctest
import inspect
import operator
import pathlib
import re
from collections.abc import Iterator

import pytest
from make_stub import FOLDER, examples_text, stubs
from public import SPACES, names_of
from stub_examples import same_but_for_digits

import tinygrad_nn as tg
from tinygrad_nn.ops.examples import EXAMPLES

LIST = pathlib.Path(__file__).with_name("public_names.txt")
EXPECTED = {
    "tensor/handle": ("def exp(x: Any)", "def sum(x: Any, axis: Any = None, dtype", "def __radd__", "def T(self)"),
    "__init__": ("def exp(x: Any) -> Tensor", "def unstack(x: Any, axis: Any = 0) -> tuple[Tensor, ...]"),
    "autograd": ("from .transforms.autograd import *",),
    "data": ("from .training.datasets import *",),
    "nn/activations": ("def __init__(self, alpha: Any = 1.0) -> None",),
    "nn/criteria": ("class NLLLoss(Loss):", "def __init__(self, weight: Any = None, *, ignore_index: Any = -100,"),
    "nn/pooling": ("def __init__(self, kernel_size: Any, stride: Any = None,",),
    "linalg": ("def matmul(a: Any, b: Any) -> Tensor",),
}


def test_the_stubs_are_fresh() -> None:
    """Making them executes every example, so what they show is what comes out."""
    for name, text in stubs().items():
        held = (FOLDER / f"{name}.pyi").read_text()
        assert same_but_for_digits(held, text), f"{name}.pyi is stale; run: python tests/make_stub.py"
        for expected in EXPECTED[name]:
            assert expected in text


def test_a_digit_may_round_otherwise_and_nothing_else_may_change() -> None:
    assert same_but_for_digits("array([0.3010300, 1.])", "array([0.3010301, 1.])")
    assert not same_but_for_digits("array([0.3010300, 1.])", "array([0.3010800, 1.])")
    assert not same_but_for_digits("axis: Any = None", "axis: Any = 0")


def test_the_examples_are_fresh_and_free_of_noise() -> None:
    held = (FOLDER / "ops" / "examples.py").read_text()
    assert same_but_for_digits(held, examples_text()), "ops/examples.py is stale; run: python tests/make_stub.py"
    noisy = {path for path, text in EXAMPLES.items() if re.search(r"e-1[4-9]", text)}
    assert noisy <= {"spacing"}  # else each machine's rounding makes another text


def test_every_public_function_shows_an_example_to_help() -> None:
    """In its own docstring, or, where it is NumPy's, from the sample that was declared with it."""
    paths = [name for name in tg.__all__ if callable(getattr(tg, name))]
    for space in SPACES:
        module = operator.attrgetter(space)(tg)
        paths += [f"{space}.{n}" for n in names_of(module) if space != "errors" and callable(getattr(module, n))]
    text = {path: inspect.getdoc(operator.attrgetter(path)(tg)) or "" for path in paths}
    assert [path for path in paths if ">>>" not in text[path]] == []
    assert "\nShapes broadcast: (...) -> (...).\n\n>>> import numpy" in text["exp"]  # in one margin, on any Python
    assert "\nThe mean of no entries is nan, with a warning.\n\n>>> import numpy" in text["mean"]
    assert [path for path in paths if text[path].count(">>> import tinygrad_nn") > 1] == []


def described() -> Iterator[tuple[str, str]]:
    """Yield each public name, and each method and property of a public class, with its description."""
    paths = [*tg.__all__, *(f"{space}.{n}" for space in SPACES for n in names_of(operator.attrgetter(space)(tg)))]
    found = {path: operator.attrgetter(path)(tg) for path in paths}
    for path, x in found.items():
        if callable(x):
            yield path, inspect.getdoc(x) or ""
        for name, member in vars(x).items() if inspect.isclass(x) else ():
            f = getattr(member, "__func__", member)
            if name[0] != "_" and (inspect.isfunction(f) or isinstance(f, property)) and f.__doc__ != tuple.__doc__:
                yield f"{path}.{name}", inspect.getdoc(f) or ""


def test_every_example_runs_as_it_stands(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader has no more than the example: it imports what it names, and Python prints what it shows."""
    monkeypatch.chdir(tmp_path)
    examples = {text: path for path, text in described() if ">>>" in text}
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for text, path in examples.items():
        runner.run(doctest.DocTestParser().get_doctest(text, {}, path, None, 0), out=report.append)
    assert len(examples) > 450
    assert report == []


def test_every_description_begins_with_a_sentence() -> None:
    begins = {path: " ".join(text.partition("\n\n")[0].split()) for path, text in described()}
    assert [path for path, text in begins.items() if not re.match(r"[A-Z0-9`].*\.", text) or " " not in text] == []


def test_help_on_the_tensor_is_ordered_by_task() -> None:
    text = inspect.getdoc(tg.Tensor) or ""
    tasks = text.partition("by task:")[2].replace("\n    ", " ").strip().splitlines()
    listed = [name for line in tasks for name in re.findall(r"\w+", line.partition(":")[2])]
    names = re.findall(r"^Tensor\.(\w+)", LIST.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted([*names, "name", "role"])
    assert "Running totals and differences along an axis: cumsum, cumprod, cummax, cummin." in tasks


def test_every_public_name_is_described_by_a_sentence() -> None:
    """NumPy's docstrings begin with the call, and some have a formula where others have words."""
    for name in tg.__all__:
        text = inspect.getdoc(getattr(tg, name)) or ""
        assert len(text.split()) > 2, name
        assert not text.startswith(("Parameters", f"{name}(")), name


def test_the_readme_has_no_gaps() -> None:
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert "@@" not in text
    assert "Not related to the project named tinygrad" in text


def test_the_readmes_lines_for_windows_are_powershells() -> None:
    """Windows comes with PowerShell 5.1, which knows no && and no ||."""
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if ".venv\\Scripts" in line]
    assert len(lines) == 2
    assert not any("&&" in line or "||" in line for line in lines)
    assert all(f"```powershell\n{line}\n```" in text for line in lines)
