"""The lessons run as programs, without warnings, and twice with the same output."""

import pathlib
import re

import pytest
from programs import run

LESSONS = sorted((pathlib.Path(__file__).parents[1] / "docs" / "lessons").glob("*.py"))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_is_short_and_opens_as_cells(lesson: pathlib.Path) -> None:
    text = lesson.read_text(encoding="utf-8")
    assert text.count("\n") < 150
    assert text.count("\n# %%\n") >= 5
    assert re.match(r'r?"""\n\d+ .*\n=+\n', text)
    assert text.rstrip().splitlines()[-1].startswith("#")  # the last words are the text's


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_runs(lesson: pathlib.Path, tmp_path: pathlib.Path) -> None:
    printed = run(lesson, folder=tmp_path)
    assert "trained" in lesson.stem or run(lesson, folder=tmp_path) == printed  # 10,000 epochs once are enough


def test_the_site_executes_every_lesson() -> None:
    text = (LESSONS[0].parents[1] / "conf.py").read_text(encoding="utf-8")
    pattern = re.search(r'"filename_pattern": r"(.*)"', text)
    assert pattern is not None
    assert all(re.search(pattern[1], f"/{lesson.name}") for lesson in LESSONS)
