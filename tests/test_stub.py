"""The generated stub says what the Tensor really has."""

from make_stub import FOLDER, stub


def test_the_stub_is_fresh() -> None:
    assert (FOLDER / "tensors.pyi").read_text() == stub(), "run: python tests/make_stub.py"


def test_the_stub_lists_attached_methods() -> None:
    text = stub()
    for expected in ("def exp(self)", "def sum(self, axis: Any = ..., keepdims", "def __radd__", "def T(self)"):
        assert expected in text


def test_the_readme_has_no_gaps() -> None:
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert "@@" not in text
    assert "Not related to the project named tinygrad" in text
