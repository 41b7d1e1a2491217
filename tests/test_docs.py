"""The pages: every link inside leads somewhere, every block of code is executed, every public name has its place."""

from __future__ import annotations

import ast
import doctest
import fnmatch
import importlib.util
import inspect
import pathlib
import re
import sys
from collections.abc import Iterator
from operator import attrgetter

import commands
import numpy as np
import pytest
from programs import run
from public import names_of

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs" / "pages"))

import calls  # noqa: E402
import names  # noqa: E402
import rooms  # noqa: E402
import rules  # noqa: E402

import tinygrad_nn as tg  # noqa: E402
from tinygrad_nn.checking.report import Verdict  # noqa: E402
from tinygrad_nn.compiler.run import module as saved  # noqa: E402
from tinygrad_nn.engine import zero_safe  # noqa: E402
from tinygrad_nn.engine.operation import OPERATIONS  # noqa: E402
from tinygrad_nn.reference import coverage  # noqa: E402
from tinygrad_nn.tensor import calls as tensor_calls  # noqa: E402
from tinygrad_nn.training import blas_threads, steps  # noqa: E402

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Blocks that are no Python, and what they are: commands for a shell, Sphinx's own, and text that is only shown.
NOT_PYTHON = {"sh", "powershell", "{toctree}", "{include}", "text"}


def anchors(text: str) -> set[str]:
    """Return the names by which a page's headings can be linked."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: pathlib.Path, text: str) -> Iterator[str]:
    """Yield the links of a page that lead to no file, or to no heading of it, however they are written."""
    bare = BLOCK.sub("", text)
    links = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: *(\S+)|(?:href|src)=[\"']([^\"']+)", bare, re.MULTILINE)
    documents = re.findall(r"(?:\{doc\}|:doc:)`(?:[^`<]*<)?([^`<>]+)>?`", bare)
    for link in [*map("".join, links), *[f"{document.lstrip('/')}.md" for document in documents]]:
        if link.startswith(("http://", "https://", "generated/")):  # the build of the site looks at what it makes
            continue
        path, _, anchor = link.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in anchors(text if file == page else file.read_text("utf-8"))):
            yield link


def nameless(text: str) -> list[str]:
    """Return the heads of tables with a column that has no name: who hears the page does not know what it holds."""
    heads = re.findall(r"^(\|.*\|)\n\| *:?-{3}", text, re.MULTILINE)
    return [head for head in heads if not all(cell.strip() for cell in head[1:-1].split("|"))]


def unexecuted(text: str) -> Iterator[str]:
    """Yield the blocks of code that no test executes: Python without prompts, and languages that nothing knows."""
    yield from re.findall(r"^\s*(?:~~~|```).*$", BLOCK.sub("", text), re.MULTILINE)  # fences of another kind
    for language, body in BLOCK.findall(text):
        if language == "python" and not body.startswith(">>> "):
            yield body
        elif language != "python" and language not in NOT_PYTHON:
            yield f"{language}: {body}"


@pytest.mark.parametrize("lesson", sorted((ROOT / "docs" / "lessons").glob("*.py")), ids=lambda lesson: lesson.name)
def test_links_of_lessons_lead_somewhere(lesson: pathlib.Path) -> None:
    text = lesson.read_text(encoding="utf-8")
    links = ["".join(target) for target in re.findall(r"`[^`]*<([^`>]+)>`_|:doc:`([^`]+)`", text)]
    assert [
        link
        for link in links
        if not link.startswith("https://") and not (ROOT / "docs" / f"{link.lstrip('/')}.md").exists()
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_code_is_executed(page: pathlib.Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert list(broken(page, text)) == []
    assert list(unexecuted(text)) == []
    assert nameless(text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_start_what_is_there(page: pathlib.Path) -> None:
    found = {line: list(commands.unknown(line)) for line in commands.commands_of(page.read_text(encoding="utf-8"))}
    assert {line: missing for line, missing in found.items() if missing} == {}


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("python3 -m venv .venv && .venv/bin/python -m pip install -q -e '.[demo,nothing]' numpy odd", "nothing odd"),
        (r"py -m venv .venv; .venv\Scripts\python -m tinygrad_nn --quick --fast  # as a test", "--fast"),
        ("SEED=1 python -m tinygrad_nn.coverage | less", "less"),
        ("python -m tinygrad_nn.nowhere; python -m nose", "tinygrad_nn.nowhere nose"),
        ("mpiexec -n 2 python examples/digits.py --quick; python examples/none.py", f"{ROOT / 'examples/none.py'}"),
        ("PYTHONPATH=tests:. python -c 'x = 1' > tests/nothing.txt; pytest tests/nn -m slow", "tests/nothing.txt"),
        (".ci/run; .ci/walk", ".ci/walk"),
    ],
)  # fmt: skip
def test_what_a_command_lacks_is_found(line: str, missing: str) -> None:
    assert list(commands.unknown(line)) == missing.split()
    found = commands.commands_of(f"```sh\n{line}\n```\nRun `python {line}`, `python ...`.")
    assert list(found) == [line, f"python {line}".replace("\\", "/")]


def test_rows_of_the_table_stand_there_as_pages_show_them() -> None:
    """But for settings that a page leaves out; other texts are not shown."""
    rows = ast.parse((ROOT / "tinygrad_nn" / "ops" / "elementwise.py").read_text(encoding="utf-8")).body
    held = {ast.unparse(row.target): row.value for row in rows if isinstance(row, ast.AnnAssign)}
    shown = [body for page in PAGES for kind, body in BLOCK.findall(page.read_text("utf-8")) if kind == "text"]
    assert len(shown) > 1
    for row in ast.parse("\n".join(shown)).body:
        assert isinstance(row, ast.Assign)
        own, written = row.value, held[ast.unparse(row.targets[0])]
        assert isinstance(own, ast.Call)
        assert isinstance(written, ast.Call)
        assert [*map(ast.unparse, own.args)] == [*map(ast.unparse, written.args)]
        assert {*map(ast.unparse, own.keywords)} <= {*map(ast.unparse, written.keywords)}


def test_a_broken_link_and_code_that_nobody_runs_are_found() -> None:
    page = ROOT / "docs" / "guides.md"
    assert list(broken(page, "[a](nowhere.md) [b](#nothing) [c](index.md#nothing) [d](index.md)")) == [
        "nowhere.md", "#nothing", "index.md#nothing",
    ]  # fmt: skip
    assert list(broken(page, "[a]: no.md\n<a href='not.md'> {doc}`here <index>` {doc}`none`")) == [
        "no.md", "not.md", "none.md",
    ]  # fmt: skip
    assert list(unexecuted("~~~python\nx\n~~~\n  ```python\n  x\n")) == ["~~~python", "~~~", "  ```python"]
    assert list(unexecuted("```python\nx = 1\n```\n```python\n>>> 1\n1\n\n```\n```sh\nls\n```\n")) == ["x = 1\n"]


def test_every_page_is_in_a_list_of_pages() -> None:
    """A page that no toctree names cannot be reached, and the build of the site refuses it."""
    folder = ROOT / "docs"
    listed = set()
    for page in folder.glob("*.md"):
        for language, body in BLOCK.findall(page.read_text(encoding="utf-8")):
            listed |= set(body.split()) if language == "{toctree}" else set()
    assert {page.stem for page in folder.glob("*.md")} - {"index"} <= listed


def test_the_page_of_errors_has_them_all() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert [name for name in names_of(tg.errors) if f"`{name}`" not in text] == []


def test_the_page_of_verdicts_has_them_all() -> None:
    text = (ROOT / "docs" / "checking.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([A-Z]+) \|.*\| (yes|no) \|", text, re.MULTILINE))
    assert rows == {str(verdict): "yes" if verdict.accepted else "no" for verdict in Verdict}


def test_every_public_name_has_one_page_and_a_place_in_the_source() -> None:
    held = names.public_names()
    assert len(held) > 400
    for name in held:
        assert name.page in names.PAGES
        last = name.path.rpartition(".")[2]
        near = names.source(name.module).splitlines()[name.line - 1 : name.line + 6]
        aliases = {last, getattr(name.value, "__name__", last), f"_{last}"}
        assert any(alias.rstrip("d123") in line for alias in aliases for line in near), name
    documents = [name.document.lower() for name in held]
    assert len(set(documents)) == len(documents)  # on a file system that does not tell large letters from small ones


def failed(texts: dict[str, str]) -> list[str]:
    """Return what the examples in descriptions report that print something else, each run by itself."""
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    for name, text in texts.items():
        runner.run(doctest.DocTestParser().get_doctest(text, {}, name, None, None), out=report.append)
    return report


def test_the_examples_of_bridges_run_as_they_stand() -> None:
    bridges = {name.path: name for name in names.public_names() if name.path.startswith("interop.")}
    del bridges["interop.mpi.world"]  # which changes how its process ends
    assert [path for path, name in bridges.items() if f">>> from {name.module} import " not in name.text] == []
    assert failed({path: name.text for path, name in bridges.items()}) == []


@pytest.mark.slow
def test_the_example_of_all_ranks_runs_alone(tmp_path: pathlib.Path) -> None:
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("needs MPI: python -m pip install mpi4py mpich")
    (tmp_path / "ranks.py").write_text(f"import doctest\n{failed_in(names.examples()['mpi.world'])}", encoding="utf-8")
    assert run(tmp_path / "ranks.py", folder=tmp_path) == ""


def failed_in(example: str) -> str:
    """Return a program that prints what an example reports."""
    test = f"doctest.DocTestParser().get_doctest({example!r}, {{}}, 'example', None, None)"
    return f"doctest.DocTestRunner().run({test})\n"


def test_every_name_and_method_on_a_page_has_an_example_that_runs(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that stand in the code are run by tests/test_stub.py, those of pages here."""
    monkeypatch.chdir(tmp_path)
    held = {name.path: name.text for name in names.public_names() if callable(name.value)}
    for name in names.public_names():
        for method in names.methods(name) if inspect.isclass(name.value) else ():
            held[f"{name.value.__name__}.{method.name}"] = method.text if method.function is None else ">>> its page's"
    assert [path for path, text in held.items() if ">>> " not in text] == []
    of_pages = names.examples().keys() - {"mpi.world"}
    assert of_pages <= held.keys()
    assert failed({path: held[path] for path in of_pages}) == []


def call(function: object, text: str) -> calls.Call:
    found = calls.first_call(function, f"{names.IMPORTS}{text}")
    assert found is not None
    return found


def test_shapes_are_those_of_the_call_in_the_example() -> None:
    example = ">>> a = np.ones((2, 3))\n>>> b = np.ones((1, 3))\n>>> [tg.concatenate([a, b]).shape]\n"
    assert calls.shapes(call(tg.concatenate, example)) == "a (2, 3), b (1, 3) -> (3, 3)"
    assert calls.shapes(call(tg.cummax, ">>> tg.cummax([1.0, 2.0])\n")) == "(2,) -> (2,)"
    assert calls.shapes(call(tg.split, ">>> x = np.ones(4)\n>>> tg.split(x, 2)\n")) == "x (4,) -> (2,), (2,)"
    assert calls.shapes(call(tg.zeros, ">>> tg.zeros((2, 3))\n")) == "-> (2, 3)"
    assert calls.shapes(call(tg.kl_div, ">>> tg.kl_div(tg.log([0.5, 0.5]), [1.0, 0.0])\n")) == "(2,) -> ()"
    assert calls.shapes(call(tg.put, ">>> t = tg.zeros(3)\n>>> tg.put(t, [0, 2], [1.0, 2.0])\n")) == "t (3,), (2,)"
    assert calls.shapes(call(tg.grad, ">>> tg.grad(lambda x: (x * x).sum())(np.ones((2, 3)))\n")) == "(2, 3) -> (2, 3)"
    assert calls.shapes(call(tg.no_grad, ">>> tg.no_grad()\n")) == ""
    assert calls.first_call(tg.exp, ">>> import tinygrad_nn as tg\n>>> [tg.exp(x) for x in [1.0]]\n") is None


def test_what_is_refused_is_what_calls_raise() -> None:
    summed = call(tg.sum, ">>> x = np.ones((2, 3))\n>>> tg.sum(x).item()\n")
    found = calls.refusals(summed, names.parameters(tg.sum)[:2])
    assert [refusal[:2] for refusal in found] == [("tg.sum(x, axis=7)", "AxisError")]
    assert found[0].message == (
        "axis 7 is out of bounds for array of dimension 2; name an axis from 0 to t.ndim - 1, or from -1 backwards"
    )
    root = calls.refusals(call(tg.sqrt, ">>> x = np.ones(2)\n>>> tg.sqrt(x)\n"), [])
    assert root == [calls.Refusal("tg.sqrt(-2.0)", "RuntimeWarning", "invalid value encountered in sqrt", "nan")]
    joined = call(tg.stack, ">>> a = np.ones(2)\n>>> tg.stack([a, a], axis=0)\n")
    assert [refusal.call for refusal in calls.refusals(joined, [])] == [
        "tg.stack([np.ones(5), a], axis=0)", "tg.stack([a, a], axis=-7)",
    ]  # fmt: skip
    drawn = call(tg.data.make_moons, f">>> tg.data.make_moons(200, noise=0.1, seed={' + '.join('0' * 40)})\n")
    long = calls.refusals(drawn, [])[1]  # of which the page shows what matters
    assert long.call == "tg.data.make_moons(200, noise=-7.0, ...)"
    rounded = calls.refusals(call(tg.ceil, ">>> x = np.ones(2)\n>>> tg.ceil(x)\n"), [])
    assert [refusal[:2] for refusal in rounded] == [("tg.ceil('other')", "DtypeError")]  # where all numbers are taken
    made = calls.refusals(call(tg.grad, ">>> tg.grad(lambda x: x * x)(2.0)\n"), names.parameters(tg.grad)[:2])
    assert [refusal[:2] for refusal in made] == [
        ("tg.grad(lambda *_: 'other')(2.0)", "TypeError"),
        ("tg.grad(lambda x: x * x, argnums=-7)(2.0)", "ValueError"),
    ]
    assert not calls.refusals(call(len, ">>> x = tg.ones(2)\n>>> len(x)\n"), [])  # Python's own wording helps nobody


# Names whose pages tell no shapes, or nothing that is refused, and why.
NO_SHAPES = {
    "no arrays": """enable_grad no_grad keep_memory detect_anomaly watch nn.init.calculate_gain nn.ModuleDict
        nn.ModuleList nn.Sequential optim.Hyperparameter optim.ParameterGroup optim.lr_scheduler.* testing.Mutant
        testing.MutationReport testing.numpy_functions interop.mpi.world""",
    "arrays of any shapes": """Tensor optim.Optimizer assert_gradients error_curve load data.DataLoader data.Dataset
        data.Subset nn.Module interop.mpi.DataParallel interop.mpi.ShardedLoader interop.scipy.minimize
        interop.torch.from_torch""",
    "shapes in words": """data.read_idx nn.init.fans plots.plot_confusion plots.plot_history
        interop.sklearn.DenseClassifier interop.sklearn.DenseRegressor""",
    "the samples' own shapes, or those that are drawn": """testing.architectures testing.axes testing.check_agreement
        testing.check_kink testing.mutate_rules testing.planted_rule testing.programs testing.tensors""",
}
NO_ERRORS = {
    "said by its methods or subclasses": "Tensor nn.Module optim.Optimizer optim.lr_scheduler.LRScheduler",
    "nothing to refuse": """enable_grad no_grad keep_memory History data.Dataset optim.ParameterGroup testing.Case
        testing.Mutant testing.MutationReport testing.numpy_functions testing.sample""",
    "refused where it is used": """data.Subset optim.Hyperparameter plots.plot_history interop.sklearn.*
        interop.mpi.DataParallel
        interop.mpi.ShardedLoader testing.cases_of testing.check_kink""",
    "a strategy, which is refused where it draws": """testing.architectures testing.arrays testing.axes testing.tensors
        testing.broadcastable testing.indices testing.programs testing.shapes""",
}


def left_out(path: str, reasons: dict[str, str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for listed in reasons.values() for pattern in listed.split())


@pytest.mark.parametrize("page", names.PAGES)
def test_every_page_tells_shapes_and_what_is_refused(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    lacking: dict[str, list[str]] = {"shapes": [], "errors": []}
    for name in [name for name in names.public_names() if name.page == page and page != "errors"]:
        said, (shapes, refusals) = name.text.partition(">>>")[0], calls.told(name)
        if callable(name.value) and not shapes and not re.search(r"[Ss]hape|\(\.\.\.|-> \(", said):
            lacking["shapes"].append(name.path)
        if callable(name.value) and not refusals and not re.search(r"[Rr]aise|refuse|Error|warn", said):
            lacking["errors"].append(name.path)
    assert [path for path in lacking["shapes"] if not left_out(path, NO_SHAPES)] == []
    assert [path for path in lacking["errors"] if not left_out(path, NO_ERRORS)] == []


def test_an_example_calls_what_it_is_the_example_of() -> None:
    """By its name, or by that of the same function that has it: `tg.absolute` is `tg.abs`."""
    lacking = set()
    for name in [name for name in names.public_names() if callable(name.value)]:
        lines = [line for line in name.text.splitlines() if line[:3] in (">>>", "...") and " import " not in line]
        own = {name.path.rpartition(".")[2], getattr(name.value, "__name__", "")} - {""}
        lacking |= set() if re.search(rf"\b(?:{'|'.join(own)})\b", "\n".join(lines)) else {name.path}
    abstract = {"data.Dataset", "optim.Optimizer", "optim.ParameterGroup", "testing.Case"}  # what others make or take
    assert {path for path in lacking if not path.startswith("errors.")} == {"Tensor", *abstract}


def test_rules_are_read_from_the_source() -> None:
    found = rules.written()
    assert found["multiply"] == [
        rules.Written("a", "g * b", r"\bar y \, b"), rules.Written("b", "g * a", r"\bar y \, a"),
    ]  # fmt: skip
    assert found["tanh"][0].formula == r"\bar y \, (1 - y^2)"
    assert found["arctan2"][1].formula == r"\bar y \, (-\frac{a}{a^2 + b^2})"
    assert found["softmax"][0].code.startswith("y * (g - ")
    assert found["softmax"][0].formula == r"y \, (\bar y - \sum (\bar y \, y))"
    assert found["linear"][0].formula == r"\bar y\,W"
    assert found["fmax"][0].formula.startswith(r"\bar y \, \begin{cases} 1 & a > b \text{ or } b \text{ is nan}")
    assert found["frexp"][0].formula == r"(\bar y)_{0}\,2^{-y_{1}}"
    assert found["window_sum"][0].formula == r"\text{spread windows}(\bar y)"  # another operation
    assert found["bernoulli_cross_entropy"][0].formula.startswith(r"\bar \ell")  # a helper of that name
    assert found["lstm"][0].formula == "W^\\top d_t"
    assert found["lstm"][1].code.startswith("d, first = _lstm_backward.kernel(g[0], state, w, *y[1:], ")
    assert found["tanh_slope"][0].formula.startswith(
        r"\bar y \, \begin{cases} -\tanh(0.5 \, x) \, y & \text{if logistic}"
    )


def test_every_rule_is_in_the_table_as_code_and_as_mathematics() -> None:
    found = rules.written()
    ours = [op for op in OPERATIONS.values() if op.differentiable and op.home[0].startswith("tinygrad_nn.")]
    assert len(ours) > 90
    ours = [op for op in ours if not op.home[0].startswith("tinygrad_nn.interop.")]  # which wrap others' functions
    assert [op.name for op in ours if len(found.get(op.name, ())) != len(op.arguments)] == []
    assert [(op.name, rule.code) for op in ours for rule in found[op.name] if not rule.formula] == []


def test_the_picture_of_the_rooms_is_drawn_from_the_imports_of_today() -> None:
    held = (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8")
    assert held == rooms.svg(), "run: python docs/pages/rooms.py"
    edges = rooms.edges()
    assert edges["engine"] == {"errors"}
    assert edges["tensor"] >= {"engine", "errors"}
    assert rooms.reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


# What is named on a page because it is not there, or is made by the example.
NOT_THERE = {"tg.name", "tg.Linear", "tg.pi", "tg.vmap", "tg.jit", "tg.jacrev", "tg.log_cosh"}
NOT_THERE |= {"step.py", "model.py", "utils.py", "moons/"}
FILE = re.compile(r"(?<![\w/.])(?:(?:[\w.]+/)*[\w.]+\.(?:py|md|toml|svg|txt|cff)\b|(?:[\w.]+/)+(?![\w(]))")


def unknown(text: str) -> Iterator[str]:
    """Yield the files and the names of the library that stand in backquotes in a text, and that there are not."""
    for span in re.findall(r"``?([^`\n]+)``?", BLOCK.sub("", text)):
        for file in FILE.findall(span):
            folders = [ROOT, ROOT / "tinygrad_nn", ROOT / "docs", ROOT / "tests"]
            if file not in NOT_THERE and not any((folder / file).exists() for folder in folders):
                yield file
        for name in re.findall(r"\btg(?:\.[A-Za-z_]\w*)+", span):
            try:
                attrgetter(name[3:])(tg)
            except AttributeError:
                if name not in NOT_THERE:
                    yield name


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs/lessons").glob("*.py"))], ids=lambda page: page.name)
def test_files_and_names_in_the_text_exist(page: pathlib.Path) -> None:
    assert list(unknown(page.read_text(encoding="utf-8"))) == []


def test_a_file_and_a_name_that_there_are_not_are_found() -> None:
    assert list(unknown("`tg.sum` and `tg.som(x)`, in `ops/reduction.py` and `ops/reducing.py`, under `opz/`")) == [
        "tg.som", "ops/reducing.py", "opz/",
    ]  # fmt: skip


def counted() -> Iterator[tuple[str, str, float, float]]:
    """Yield sentences that count something in the code: page, pattern, what it is today, and how far off it may be."""
    network = [tg.nn.Linear(n, k) for n, k in [(2, 25), (25, 50), (50, 50), (50, 25), (25, 1)]]
    parameters = sum(p.size for layer in network for p in layer.parameters())
    yield "README.md", r"gradients of the ([\d,]+) parameters", parameters, 0
    for page in ("README.md", "docs/leaving.md"):
        yield page, r"more than ([\d,]+) numbers", saved._INSIDE, 0
    yield "README.md", r"(\d+) % are differentiable here", 100 * coverage.share(), 1
    lessons = {path.name[:2] for path in (ROOT / "docs/lessons").glob("*.py")}
    yield "README.md", r"\[(Eleven) lessons\]", len(lessons), 0
    closures = sum(inspect.getsource(call).count("\n") for call in (tensor_calls.call_one, tensor_calls.call_two))
    yield "docs/decisions.md", r"They take (\d+) lines", closures, 3
    yield "docs/decisions.md", r"more than 2(\S+) multiplications", np.log2(zero_safe.THREADED), 0
    yield "docs/performance.md", r"more than 2(\S+) multiplications", np.log2(blas_threads.SMALL), 0
    yield "docs/performance.md", r"at least ([\d,]+) rows for each", steps.TILE, 0
    yield "docs/training.md", r"at least ([\d,]+) rows for each", steps.TILE, 0
    yield "docs/training.md", r"tiles of 4,000 to ([\d,]+) rows", 2 * steps.TILE, 0
    size = sum(path.stat().st_size for path in (ROOT / "tinygrad_nn").rglob("*") if path.suffix in (".py", ".pyi"))
    yield "docs/performance.md", r"\| tinygrad_nn \| \d+ \| (\S+), and NumPy", size / 1e6, 0.15
    ours = [op for op in OPERATIONS.values() if op.home[0].startswith(("tinygrad_nn.", "numpy"))]  # no test's own
    yield "docs/lessons/03_broadcasting.py", r"some (\d+) operations", len(ours), 10


def test_figures_are_those_of_the_code() -> None:
    for page, pattern, value, off in counted():
        (told,) = re.findall(pattern, (ROOT / page).read_text(encoding="utf-8"))
        number = 11 if told == "Eleven" else float(told.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", ",")))
        assert abs(number - value) <= off, f"{page} says {told}, and it is {value} today"


def test_the_citation_has_the_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {tg.__version__}\n" in text
