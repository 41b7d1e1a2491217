"""The generated stubs say what the Tensor and the package really have."""

import inspect
import operator
import pathlib
import re

from make_stub import FOLDER, documented, stubs
from public import SPACES, names_of
from stub_examples import same_but_for_digits

import tinygrad_nn as tg

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


def test_every_public_function_has_an_example() -> None:
    """In its own docstring, or, where it is NumPy's, in the stub."""
    without = []
    for name in tg.__all__:
        x = getattr(tg, name)
        if callable(x) and ">>>" not in documented(name, x):
            without.append(name)
    for space in SPACES:
        module = operator.attrgetter(space)(tg)
        for name in names_of(module):
            x = getattr(module, name)
            if callable(x) and space != "errors" and ">>>" not in documented(f"{space}.{name}", x):
                without.append(f"{space}.{name}")
    assert without == []


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
