"""The lessons run as programs, without warnings, and twice with the same output."""

import pathlib
import re
import types

import pytest
from programs import run

LESSONS = sorted((pathlib.Path(__file__).parents[1] / "docs" / "lessons").glob("*.py"))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_is_short_and_opens_as_cells(lesson: pathlib.Path) -> None:
    text = lesson.read_text(encoding="utf-8")
    assert text.count("\n") < 150
    assert text.count("\n# %%\n") >= 5
    assert re.match(r'r?"""\n\d+[abc]? .*\n=+\n', text)
    assert text.rstrip().splitlines()[-1].startswith("#")  # the last words are the text's
    figures = re.findall(r"plt\.subplots\(.*", text)
    assert [line for line in figures if 'layout="constrained"' not in line] == []  # else labels are cut


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_every_question_has_an_answer(lesson: pathlib.Path) -> None:
    _, _, text = lesson.read_text(encoding="utf-8").partition("# Questions\n# ---------\n")
    asked, _, answered = text.partition("# **Answers**\n")
    numbers = re.findall(r"^# (\d)\. ", asked, re.MULTILINE)
    assert numbers == re.findall(r"^# (\d)\. ", answered, re.MULTILINE)
    assert numbers == ["1", "2", "3"][: 2 if lesson.stem.startswith("04") else 3]  # of the article, two in each part


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_runs(lesson: pathlib.Path, tmp_path: pathlib.Path) -> None:
    printed = run(lesson, folder=tmp_path)
    assert "trained" in lesson.stem or run(lesson, folder=tmp_path) == printed  # 10,000 epochs once are enough


@pytest.mark.slow
def test_a_notebook_of_the_site_has_outputs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, _ = pytest.importorskip("nbformat"), pytest.importorskip("ipykernel")
    monkeypatch.syspath_prepend(str(LESSONS[0].parents[1] / "pages"))
    notebooks = pytest.importorskip("notebooks")
    path = tmp_path / "generated" / "lessons" / "one.ipynb"
    path.parent.mkdir(parents=True)
    code = "import matplotlib.pyplot as plt\nprint(6 * 7)\nplt.plot([1, 2])\nplt.show()"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), path)
    notebooks.execute(types.SimpleNamespace(srcdir=tmp_path))
    outputs = nbformat.read(path, as_version=4).cells[0].outputs
    assert outputs[0].text == "42\n"
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_the_site_executes_every_lesson() -> None:
    text = (LESSONS[0].parents[1] / "conf.py").read_text(encoding="utf-8")
    pattern = re.search(r'"filename_pattern": r"(.*)"', text)
    assert pattern is not None
    assert all(re.search(pattern[1], f"/{lesson.name}") for lesson in LESSONS)
