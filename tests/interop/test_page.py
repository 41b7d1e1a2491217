"""The page of the bridges: its examples run, section by section, and it names every bridge and every extra."""

from __future__ import annotations

import doctest
import importlib.util
import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/interop.md").read_text(encoding="utf-8")
BRIDGES = {path.stem for path in (ROOT / "tinygrad_nn/interop").glob("[!_]*.py")}
NEEDS = {"ONNX": "onnx", "PyTorch": "torch"}  # not among the tests' own packages
SLOW = {"scikit-learn", *NEEDS}
SECTIONS = dict(re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in SECTIONS]
)
def test_the_examples_of_a_section_run(name: str) -> None:
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"needs {name}: python -m pip install {NEEDS[name]}")
    found = doctest.DocTestParser().get_doctest(SECTIONS[name], {}, name, "docs/interop.md", 0)
    assert found.examples
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(found, out=report.append)
    assert not report, "".join(report)


def test_every_bridge_and_its_extra_are_in_the_table() -> None:
    rows = re.findall(r"^\| `tinygrad_nn\.interop\.(\w+)` \| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {bridge for bridge, _ in rows} == BRIDGES
    assert {extra for _, extra in rows} <= extras.keys()
