"""The generated stubs say what the Tensor and the package really have."""

import pytest
from make_stub import FOLDER, stubs

EXPECTED = {
    "tensor/handle": ("def exp(self)", "def sum(self, axis: Any = ..., dtype", "def __radd__", "def T(self)"),
    "__init__": ("def exp(x: Any) -> Tensor", "def unstack(x: Any, axis: Any = ...) -> tuple[Tensor, ...]"),
    "autograd": ("from .transforms.autograd import *",),
    "data": ("from .training.datasets import *",),
    "linalg": ("def matmul(a: Any, b: Any) -> Tensor",),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_stub_is_fresh(name: str) -> None:
    text = stubs()[name]
    assert (FOLDER / f"{name}.pyi").read_text() == text, "run: python tests/make_stub.py"
    for expected in EXPECTED[name]:
        assert expected in text


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
