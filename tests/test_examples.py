"""Every example runs, in a quick mode, as a program of its own."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest
from programs import finished, run

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
BENCHMARKS = [
    path
    for path in sorted(EXAMPLES.glob("benchmarks/*.py"))
    if '"--quick"' in path.read_text(encoding="utf-8")
    and path.stem not in ("operations", "gradcheck", "estimators", "ranks", "tables")
]
TESTED = {
    "first_steps", "by_hand", "moons", "digits", "regression", "autoencoder", "gru", "transformer",
    "david_vs_goliath", "fit_by_lbfgs", "data_parallel", "gradient_checking", "whose_backprop_is_wrong",
}  # fmt: skip


@pytest.mark.parametrize(
    ("example", "option", "words"),
    [("digits", "--output=no/folder.png", "folder that does not exist")]
    + [(name, "--epochs=0", "--epochs must be at least 1") for name in ("by_hand", "moons", "david_vs_goliath")]
    + [(name, "--output=no/folder.png", "folder that does not exist") for name in ("moons", "david_vs_goliath")]
    + [("david_vs_goliath", "--output=.", "is a folder"), ("david_vs_goliath", "--output=both.txt", "is no picture")],
)
def test_options_that_lead_nowhere_are_refused_before_training(
    example: str, option: str, words: str, tmp_path: pathlib.Path
) -> None:
    done = finished(EXAMPLES / f"{example}.py", option, folder=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def is_png(path: pathlib.Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 10_000


def test_every_example_has_a_test() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == TESTED | {"contestants", "shared"}


def test_first_steps(tmp_path: pathlib.Path) -> None:
    assert run(EXAMPLES / "first_steps.py", folder=tmp_path).splitlines() == [
        "tg.tensor(1., dtype='float64', requires_grad=True)",
        "tg.tensor([6., 8.], dtype='float64')",
        "tg.tensor([ 4., -2.], dtype='float64')",
    ]


def test_by_hand_prints_the_articles_table(tmp_path: pathlib.Path) -> None:
    printed = run(EXAMPLES / "by_hand.py", "--epochs", "101", folder=tmp_path)
    rows = re.findall(r"^ *([\d,]+) +(0\.\d+) +(0\.\d{6})$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == ["0", "1", "10", "100"]
    assert {row[2] for row in rows} == {"0.504444"}
    costs = [0.6936484871866765, 0.6936453795732516, 0.6936171443380083, 0.6933371271884572]
    assert [float(row[1]) for row in rows] == pytest.approx(costs, rel=1e-12)
    assert "test accuracy 0.46" in printed


def test_moons(tmp_path: pathlib.Path) -> None:
    printed = run(EXAMPLES / "moons.py", "--quick", folder=tmp_path)
    assert re.search(r"total +5,226$", printed, re.MULTILINE)
    assert re.search(r"^49 +0\.6935 +0\.50444$", printed, re.MULTILINE)
    assert re.search(r"not seen: cost 0\.69\d\d, accuracy 0\.46\n50 epochs are too few", printed)
    assert list(tmp_path.iterdir()) == []


def test_moons_draws_its_boundary(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    printed = run(EXAMPLES / "moons.py", "--quick", "--output", "boundary.png", folder=tmp_path)
    assert "wrote boundary.png" in printed
    assert is_png(tmp_path / "boundary.png")


def right_digits(printed: str) -> list[int]:
    """Return how many of the 360 digits each seed has read right; their mean is printed too."""
    right = [int(n) for n in re.findall(r"^seed \d: (\d+) of 360 digits right", printed, re.MULTILINE)]
    assert f"test accuracy {sum(right) / 360 / len(right):.4f}, the mean of {len(right)} seeds" in printed
    return right


@pytest.mark.slow
def test_digits_are_read(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("sklearn")
    right = right_digits(run(EXAMPLES / "digits.py", folder=tmp_path))
    assert len(right) == 5
    assert sum(right) / 5 >= 0.98 * 360


@pytest.mark.slow
def test_digits_quickly(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    assert min(right_digits(run(EXAMPLES / "digits.py", "--quick", folder=tmp_path))) >= 0.94 * 360
    assert is_png(tmp_path / "digits.png")


def test_regression_says_how_sure_it_is(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    printed = run(EXAMPLES / "regression.py", "--quick", folder=tmp_path)
    rows = {
        name.strip(): [float(x) for x in figures.split()]
        for name, figures in re.findall(r"^([a-zσ ]+?) +(-?\d\.\d+ .*)$", printed, re.MULTILINE)
    }
    learned, constant, true = (rows[name] for name in ("learned σ", "one σ for all", "true mean and σ"))
    assert true[0] <= learned[0] < true[0] + 0.05 < constant[0]
    assert all(abs(share - 0.9545) < 0.02 for share in learned[1:])
    assert constant[2] > 0.99
    assert constant[3] < 0.9
    assert is_png(tmp_path / "regression.png")


@pytest.mark.slow
def test_autoencoder(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    printed = run(EXAMPLES / "autoencoder.py", "--quick", folder=tmp_path)
    rows = re.findall(r"^(autoencoder|2 principal).* (\d\.\d{4})  (\d\.\d{3})  (\d\.\d{3})$", printed, re.MULTILINE)
    (_, *learned), (_, *linear) = rows
    assert float(learned[0]) < float(linear[0])
    # Of scikit-learn's PCA on the same split.
    assert [float(x) for x in linear] == pytest.approx([0.0522, 0.281, 0.553], abs=0.0006)
    assert is_png(tmp_path / "autoencoder.png")


def grammars_cost(printed: str) -> tuple[float, float]:
    """Return what a letter of new sentences costs the network, and the grammar."""
    found = re.search(r"^cost of a letter of new sentences: (\d\.\d+), the grammar's own (\d\.\d+)$", printed, re.M)
    assert found is not None
    return float(found[1]), float(found[2])


@pytest.mark.slow
def test_gru_learns_letters(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    printed = run(EXAMPLES / "gru.py", "--quick", folder=tmp_path)
    network, grammar = grammars_cost(printed)
    assert grammar < network < 0.7
    written = re.findall(r"^[a-z .]+\.$", printed, re.MULTILINE)
    assert len(written) == 8
    assert "the" in " ".join(written)
    assert is_png(tmp_path / "gru.png")
    assert (tmp_path / "gru.npz").exists()


@pytest.mark.slow
def test_gru_writes_valid_sentences(tmp_path: pathlib.Path) -> None:
    printed = run(EXAMPLES / "gru.py", folder=tmp_path)
    network, grammar = grammars_cost(printed)
    assert grammar < network < grammar + 0.005
    counts = re.search(r"^(\d+) of 1,000 sentences are valid; (\d+) of these are not in", printed, re.MULTILINE)
    assert counts is not None
    assert int(counts[1]) >= 900
    assert 500 < int(counts[2]) < int(counts[1])


def sorted_strings(printed: str) -> int:
    """Return how many of 1,000 strings are sorted; the first five are shown."""
    shown = re.findall(r"^([a-z]{8})>([a-z]{8})$", printed, re.MULTILINE)
    assert len(shown) == 5
    assert any("".join(sorted(question)) == answer for question, answer in shown)
    found = re.search(r"^(\d+) of 1,000 new strings are sorted without a mistake$", printed, re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.slow
def test_transformer_begins_to_sort(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    assert sorted_strings(run(EXAMPLES / "transformer.py", "--quick", folder=tmp_path)) > 250
    assert is_png(tmp_path / "transformer.png")


@pytest.mark.slow
def test_transformer_sorts(tmp_path: pathlib.Path) -> None:
    assert sorted_strings(run(EXAMPLES / "transformer.py", folder=tmp_path)) >= 980


def test_fit_by_lbfgs(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("scipy")
    printed = run(EXAMPLES / "fit_by_lbfgs.py", "--quick", folder=tmp_path)
    assert re.search(r"^205 parameters, 30 iterations, \d+ evaluations", printed)
    rows = re.findall(
        r"^(\w+): cost (\d\.\d{4}); on the test set \d\.\d{4}, accuracy (\d\.\d\d)$", printed, re.MULTILINE
    )
    assert [row[0] for row in rows] == ["before", "after"]
    assert float(rows[0][1]) > 0.69
    assert float(rows[1][1]) < 0.15
    assert float(rows[1][2]) >= 0.95


def test_fit_by_lbfgs_names_scipy_where_it_is_missing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "scipy.py").write_text("raise ImportError")
    program, paths = EXAMPLES / "fit_by_lbfgs.py", os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 1
    install = f"install it with: {sys.executable} -m pip install scipy"
    assert done.stderr.strip() == f"tinygrad_nn.interop.scipy needs SciPy; {install}"


def tables(printed: str) -> list[list[list[str]]]:
    """Return the cells of both tables of david_vs_goliath, which have to be aligned."""
    found = []
    for part in re.split("^As published.*\n|^On equal terms.*\n", printed, flags=re.MULTILINE)[1:]:
        lines = part[: part.index("\n  ", 1)].splitlines()
        assert len({len(line) for line in lines}) == 1, part
        assert len(lines[0]) <= 110
        found.append([re.split(r"  +", line) for line in lines])
    return found


@pytest.mark.slow
def test_david_vs_goliath(tmp_path: pathlib.Path) -> None:
    printed = run(EXAMPLES / "david_vs_goliath.py", "--quick", "--output", "both.png", folder=tmp_path)
    published, equal = tables(printed)
    assert [row[0].split(",")[0] for row in published[1:3]] == ["David", "Goliath's settings"]
    assert published[1][2] == "0.46"
    assert all(float(row[2]) > 0.55 for row in published[2:])
    assert [row[0] for row in equal[1:3]] == ["by hand", "tinygrad_nn"]
    assert {row[1] for row in equal[1:]} == {"0.46 after 120"}
    assert equal[1][-1] == "reference"
    # Keras's own steps, in double precision too, are off by 2e-8 of their length.
    assert all(float(row[-1]) < (1e-8 if row[0] == "Keras" else 1e-12) for row in equal[2:])
    names = [row[0] for row in equal[1:]]
    for name in names:
        assert f"\n  {name}: " in printed
    for package, name in (("torch", "PyTorch"), ("sklearn", "scikit-learn"), ("keras", "Keras")):
        missing = importlib.util.find_spec(package) is None
        assert f"  {name} is left out (ModuleNotFoundError: not installed; python -m" in printed or not missing
        assert missing or name in names or f"  {name} is left out" in printed
    if importlib.util.find_spec("matplotlib") is None:
        assert "no picture: python -m pip install matplotlib" in printed
    else:
        assert is_png(tmp_path / "both.png")


@pytest.mark.slow
def test_david_vs_goliath_leaves_out_what_is_broken(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "sklearn", "keras", "matplotlib", "threadpoolctl"):
        (tmp_path / f"{package}.py").write_text("raise ImportError('half of it is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    printed = run(EXAMPLES / "david_vs_goliath.py", "--quick", "--epochs", "3", folder=tmp_path)
    published, equal = tables(printed)
    assert "As published (Goliath's settings in tinygrad_nn stand in for Keras)" in printed
    assert [len(published), [row[0] for row in equal]] == [3, ["", "by hand", "tinygrad_nn"]]
    for name in ("Goliath, Keras", "PyTorch", "scikit-learn", "Keras"):
        assert f"\n  {name} is left out (ImportError: " in printed
    assert "no picture: python -m pip install matplotlib" in printed


def test_whose_backprop_is_wrong(tmp_path: pathlib.Path) -> None:
    printed = run(EXAMPLES / "whose_backprop_is_wrong.py", "--quick", folder=tmp_path)
    assert "by_hand.backward as it is: 21 gradients, all right" in printed
    assert re.findall(r"^\+ .*\n(\w+)", printed, re.MULTILINE) == [
        "dZ3", "dZ3", "dW3", "dW3", "dW3", "db3", "db3", "db3", "dA2", "dA2",
    ]  # fmt: skip
    assert "dW3 is 60 times what it should be: a missing 1/m (m = 60 samples)\nno other follows from it" in printed
    assert re.search(r"^dA2 +\(50, 60\) +wrong .* dA2 is minus dZ3: .*write W3.T @ dZ3$", printed, re.MULTILINE)


def test_gradient_checking(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    printed = run(EXAMPLES / "gradient_checking.py", "--quick", folder=tmp_path)
    assert re.findall(r"^    2\*\*(-\d+)", printed, re.MULTILINE) == ["-2", "-14", "-26", "-38"]
    off = dict(re.findall(r"^    (\w+) +(\de-\d+)$", printed, re.MULTILINE))
    assert float(off["forward"]) > 100 * float(off["central"]) > 1e4 * float(off["ridders"])
    assert float(off["complex"]) < 1e-14
    assert re.search(r"KINK: one-sided slopes 0 and 1; the gradient is a subgradient \(relu at 0: 0\)$", printed, re.M)
    assert "PRECISION: right, but float32 holds 0 of 6 digits here" in printed
    assert re.search(
        r"rule of operation 'cubed' for 'x', called at gradient_checking.py:\d+ .*a factor is missing", printed
    )
    assert "the article's is OK" in printed
    assert "the gradient by input['W2']: it is 20 times what is right: a missing 1/m (m = 20)" in printed
    assert is_png(tmp_path / "v_curve.png")


@pytest.mark.slow
def test_the_benchmark_of_gradient_checks_prints_a_table(tmp_path: pathlib.Path) -> None:
    printed = run(
        EXAMPLES / "benchmarks" / "gradcheck.py", "--quick", "--all", "--only", "tinygrad_nn", folder=tmp_path
    )
    right, alarms, missed = re.findall(r"^  tinygrad_nn +(\d+) +(\d+) +(\d+)  [\d.]+, \d+$", printed, re.MULTILINE)[0]
    assert (int(alarms), int(missed)) == (0, 0)
    assert f"{right} functions " in printed
    for verdict, said in re.findall(r"^.{40}(\w+) +(\w+)$", printed, re.MULTILINE):
        assert verdict == said


@pytest.mark.slow
def test_the_benchmark_of_operations_prints_a_table(tmp_path: pathlib.Path) -> None:
    """Each contestant checks its own results before it is timed, and the program fails if one is wrong."""
    program = EXAMPLES / "benchmarks" / "operations.py"
    ours = ["tinygrad_nn", "im2col", "channels_last", "positions", "tensordot"]
    works = ["convolution", "pool", "loop-300"]
    printed = run(program, "--quick", "--only", *works, *ours, folder=tmp_path)
    rows = re.findall(r"^  (\S+) +\d+\.\d\d +\d+\.\d\d-\d+\.\d\d +\S+$", printed, re.MULTILINE)
    assert sorted(rows) == sorted([*ours, "tinygrad_nn", "tinygrad_nn", "tinygrad_nn"])
    assert printed.count("float64, forward and backward; us an index") == 1


@pytest.mark.slow
def test_the_benchmark_of_minibatches_prints_a_table(tmp_path: pathlib.Path) -> None:
    """Eager and compiled steps are checked to be the same before they are timed."""
    program, ours = EXAMPLES / "benchmarks" / "minibatches.py", ["tinygrad_nn", "tinygrad_nn-compiled"]
    printed = run(program, "--rounds", "1", "--seconds", "0", "--only", "conv", *ours, folder=tmp_path)
    assert re.findall(r"^  (\S+) +[\d,]+ +[\d,]+-[\d,]+ +- +\d+ +\d+$", printed, re.MULTILINE) == ours


@pytest.mark.slow
def test_the_tables_of_the_pages_are_those_that_a_program_prints(tmp_path: pathlib.Path) -> None:
    printed = run(EXAMPLES / "benchmarks" / "tables.py", "--quick", "eager", "startup", folder=tmp_path)
    printed_rows = [line for line in printed.splitlines() if line.startswith("| ")]
    pages = (EXAMPLES.parent / "docs" / name for name in ("measurements.md", "performance.md"))
    held = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    assert len(printed_rows) == 6 + 8
    for row in printed_rows:
        name = row[: row.index(" |") + 2]
        assert any(line.startswith(name) for line in held), row
        if row.startswith(("| step", "| what")):
            assert row in held


@pytest.mark.slow
@pytest.mark.parametrize("program", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmarks_print_a_table(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    printed = run(program, "--quick", "--only", "a32", "d0", "plain", "article", "tinygrad_nn", folder=tmp_path)
    for row in ("plain", "article", "tinygrad_nn"):
        assert re.search(rf"^  {row} +\d+ +\d+-\d+ +\d+\.\d\d", printed.replace(",", ""), re.MULTILINE), printed


@pytest.mark.slow
def test_the_estimators_are_compared_with_scikit_learns_own(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("sklearn")
    printed = run(EXAMPLES / "benchmarks/estimators.py", "--quick", folder=tmp_path)
    rows = re.findall(r"^(\w+) +-?\d\.\d{4} +-?\d\.\d{4} [+-]\d\.\d{4} ± .* \d+\.\d\d$", printed, re.MULTILINE)
    assert rows == ["iris", "wine", "breast_cancer", "digits", "diabetes"]
