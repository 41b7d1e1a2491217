"""The command line: what it prints and writes, with and without matplotlib, and its exit codes."""

import importlib.util
import pathlib
import re
from typing import Any

import pytest
from small import SMALL

import tinygrad_nn as tg
from tinygrad_nn import __main__ as program
from tinygrad_nn.testing import planted_rule


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "ARCHITECTURE", SMALL)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_quick_run_prints_the_report_and_writes_the_pictures(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--quick", "--seed", "3", "--animate", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"total\s+21\n", printed)
    assert re.search(r"gradient check right: 21 parameters .*, worst error \d\.\de-\d+ at \w+\[.*\]\n", printed)
    assert re.search(r"test accuracy 0\.\d\d after 200 epochs, \d+ µs each", printed)
    assert "\n200 epochs are too few for the article's accuracy of 0.98, which takes 10,000" in printed
    assert "by hand" not in printed  # the article's costs are those of seed 2
    found = {path.name: path.read_bytes()[:4] for path in (tmp_path / "out").iterdir()}
    assert found == {
        "data.png": b"\x89PNG",
        "learning.png": b"\x89PNG",
        "boundary.png": b"\x89PNG",
        "learning.gif": b"GIF8",
    }


@pytest.mark.slow
def test_the_experiment_s_costs_stand_beside_the_article_s(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--epochs", "2", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+)  (0\.\d+) +(0\.\d+) +(\S+)$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == ["0", "1"]
    assert rows[0][2] == "0.6936484871866765"
    assert all(float(row[3]) < 1e-12 for row in rows)
    assert "too few" not in printed
    assert re.search(r"total\s+5,226\n", printed)


@pytest.mark.usefixtures("small")
def test_without_matplotlib_it_trains_and_names_the_install_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    assert program.main(["--quick", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "test accuracy" in printed
    assert "-m pip install matplotlib" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("small")
def test_a_wrong_rule_fails_the_run(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    with planted_rule(tg.relu, "x", lambda g, y: 1.01 * g * (y > 0)):
        assert program.main(["--quick", "--output", str(tmp_path)]) == 1
    assert "gradient check WRONG: 21 parameters" in capsys.readouterr().out


def test_epochs_below_one_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        program.main(["--epochs", "0"])
    assert stopped.value.code == 2
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "folder", "two/folders"])
def test_an_output_that_cannot_be_a_folder_is_refused_before_training(
    below: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    output = tmp_path / "file" / below
    with pytest.raises(SystemExit) as stopped:
        program.main(["--output", str(output)])
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"--output {output} can't be written to: a file is in the way; name a folder" in printed.err


@pytest.mark.parametrize("call", ["pathlib.Path.mkdir", "tempfile.TemporaryFile"])
def test_an_output_that_may_not_be_written_to_is_refused(
    call: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(call, refuse)
    with pytest.raises(SystemExit) as stopped:
        program.main(["--output", str(tmp_path)])
    assert stopped.value.code == 2
    assert f"--output {tmp_path} can't be written to: Permission denied" in capsys.readouterr().err
