"""The command line: what it prints and writes, with and without matplotlib, and its exit codes."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
from small import SMALL

import tinygrad_nn as tg
from tinygrad_nn import __main__ as program
from tinygrad_nn.testing import planted_rule
from tinygrad_nn.training import experiment


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of 21 parameters, and a terminal that wraps nothing."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(experiment, "ARCHITECTURE", SMALL)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_quick_run_prints_the_report_and_writes_the_pictures(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--quick", "--seed", "3", "--animate", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"total\s+21\n", printed)
    assert "\ngradient check OK: all 21 entries of the inputs\n" in printed
    assert re.search(r"test accuracy 0\.\d\d after 200 epochs, \d+\.\d\d ms each", printed)
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
    assert rows[0][2] == "0.69364849"
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
    printed = capsys.readouterr().out
    assert "gradient check: BUG" in printed
    assert "the rule of operation 'relu'" in printed


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


def run_program(*arguments: str, columns: int = 80, head: int | None = None) -> tuple[int, str, str]:
    """Return the exit code of the program in a process of its own, what it prints, and what it says on stderr."""
    command = [sys.executable, "-m", "tinygrad_nn", *arguments]
    given = os.environ | {"COLUMNS": str(columns), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if head is None:
            printed, said = process.communicate()
        else:
            printed = "".join(process.stdout.readline() for _ in range(head))
            process.stdout.close()
            said = process.stderr.read()
    return process.returncode, printed, said


def test_the_version_is_the_packages() -> None:
    assert run_program("--version") == (0, f"tinygrad_nn {tg.__version__}\n", "")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_help_fits_the_terminal_and_links_the_article(columns: int) -> None:
    code, printed, said = run_program("--help", columns=columns)
    assert (code, said) == (0, "")
    assert experiment.ARTICLE in printed
    assert max(len(line) for line in printed.splitlines() if "://" not in line) <= columns
    assert {"--epochs", "--quick", "--seed", "--learning-rate", "--output", "--animate"} <= {*printed.split()}


def test_quick_and_a_number_of_epochs_are_refused_together(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        program.main(["--quick", "--epochs", "3"])
    assert stopped.value.code == 2
    assert "argument --epochs: not allowed with argument --quick" in capsys.readouterr().err


def test_a_wrong_number_of_threads_is_refused_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TINYGRAD_NN_BLAS_THREADS", "many")
    with pytest.raises(SystemExit) as stopped:
        program.main(["--quick"])
    assert stopped.value.code == 2
    assert "TINYGRAD_NN_BLAS_THREADS must be a whole number, 1 or more, got 'many'" in capsys.readouterr().err


def test_a_reader_that_stops_reading_gets_no_traceback(tmp_path: pathlib.Path) -> None:
    code, printed, said = run_program("--epochs", "1", "--output", str(tmp_path), head=1)
    assert code == 141
    assert printed.startswith("tinygrad_nn ")
    assert "Traceback" not in said
    assert "Exception" not in said


@pytest.mark.usefixtures("small")
def test_a_narrow_terminal_gets_no_broken_word(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = []
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        assert program.main(["--epochs", "11"]) == 0
        texts.append(capsys.readouterr().out)
    narrow, wide = texts
    assert max(len(line) for line in narrow.splitlines() if "://" not in line) <= 40
    assert re.search(r"^ +10  0\.\d{8}  0\.\d{8}  \d\.\de[-+]\d+$", narrow, re.MULTILINE)
    words = {*re.findall(r"[A-Za-z]+", wide + repr(tg.DenseNetwork(SMALL)))} | {"off", "relative", "costs", "own"}
    assert {*re.findall(r"[A-Za-z]+", narrow)} <= words
