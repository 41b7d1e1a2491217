"""The page of the bridges: its examples run, section by section, and it names every bridge and every extra."""

from __future__ import annotations

import doctest
import importlib.util
import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = {name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("interop", "leaving")}
BRIDGES = {path.stem for path in (ROOT / "tinygrad_nn/interop").glob("[!_]*.py")}
NEEDS = {"ONNX": "onnx", "PyTorch": "torch"}  # not among the tests' own packages
SLOW = {"scikit-learn", *NEEDS}
# Each section of a page, after what stands above all of them.
SECTIONS = {
    (page, name): text[: text.index("\n## ")] + section
    for page, text in PAGES.items()
    for name, section in re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
}


@pytest.mark.parametrize(
    ("page", "name"), [pytest.param(*key, marks=pytest.mark.slow if key[1] in SLOW else ()) for key in SECTIONS]
)
def test_the_examples_of_a_section_run(
    page: str, name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"needs {name}: python -m pip install {NEEDS[name]}")
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestParser().get_doctest(SECTIONS[page, name], {}, name, f"docs/{page}.md", 0)
    assert found.examples
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(found, out=report.append)
    assert not report, "".join(report)


def test_every_bridge_and_its_extra_are_in_the_table() -> None:
    rows = re.findall(r"^\| `tinygrad_nn\.interop\.(\w+)` \| `(\w+)` \|", PAGES["interop"], flags=re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {bridge for bridge, _ in rows} == BRIDGES
    assert {extra for _, extra in rows} <= extras.keys()
