"""What tools are told is what is there: the stubs against the package, types and descriptions of all public names."""

from __future__ import annotations

import contextlib
import inspect
import json
import operator
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
from public import SPACES, names_of

import tinygrad_nn as tg
from tinygrad_nn.tensor.handle import Absent, Tensor

ROOT = pathlib.Path(__file__).parents[1]
# What stubtest finds in files that have no stub, where it holds their source against what they are when they have run.
# The generated stubs, which it is for, have no entry but for what a Tensor says it lacks, and a private name.
ALLOWED = {
    r"ops\.(activation|elementwise|rounding|special|recurrent\.cells)\.\w+": "a row of the table, declared by a call",
    r"\w+\.\w+\.\w*\.?_(constant|function|loss|operation)": "such an operation, held by a class or under a second name",
    r"ops\.(fused|reduction|selection)\.[a-z]\w+": "a second name, without an underscore, of an operation",
    r"ops\.linalg\.namespace\..+": "the names that NumPy's namespace has too are put there by a loop",
    r"compiler\.trace\.proxies\.\w+\.__\w+__": "a proxy's operators are attached by a loop",
    r"compiler\.trace\.arrays\.Traced\.\w+": "properties of functions without annotations",
    r"(compiler\.run\.rows\.Rows|engine\.outputs\.Whole|inspection\.(nodes\.Memory|terms\.Terms))": "has __slots__",
    r"(compiler\.(signature\._BY_IDENTITY|trace\.table\.LEAVES)|inspection\.sites\._HOLD_NOTHING)": "tuples of classes",
    r"compiler\.compiled\.compile": "None stands for no function in the form with settings, and is not to be written",
    r"nn\.module\.Module\.__repr__": "wrapped by reprlib",
    r"(interop\.(scipy|sklearn|torch)|testing\.(random_programs|strategies))\.(error|what)": "gone when it has run",
    r"interop\.sklearn\.\w+\.(__init__|set_\w+_request)": "written by scikit-learn's metaclass",
    r"interop\.sklearn\._(Estimator|ClassifierMixin|RegressorMixin)\b.*": "scikit-learn's, which have no types",
    r"interop\.torch\._Seam": "a function of PyTorch's, whose metaclass has no annotation",
    r"optim\.groups\.Declared\.__dataclass_transform__": "what typing's decorator leaves",
    r"optim\.groups\.Groups": "a tuple",
    r"ops\.numpy\.padding\.<callable subtype of str>": "a name that mypy makes up",
    r"(conventions|coverage)": "commands, which are at home in another folder",
    r"tensor\.handle\.new": "of the inside",
}


@pytest.mark.slow
def test_the_stubs_say_what_is_there(tmp_path: pathlib.Path) -> None:
    for package in ("mypy", "torch", "onnx", "mpi4py"):  # and those whose bridges it imports
        pytest.importorskip(package)
    sources = [path.read_text("utf-8") for path in (ROOT / "tinygrad_nn").rglob("*.py")]
    with_a_cache = [
        name for text in sources for name in re.findall(r"@(?:functools\.)?(?:lru_)?cache\b.*\n+def (\w+)", text)
    ]
    cached = rf"[\w.]+\.({'|'.join(with_a_cache)})"  # which, says mypy, take whatever can be hashed
    absent = [f"tensor\\.handle\\.Tensor\\.{name}" for name, held in vars(Tensor).items() if isinstance(held, Absent)]
    allowed = tmp_path / "allowed.txt"
    allowed.write_text("\n".join(f"tinygrad_nn\\.{line}" for line in [*absent, cached, *ALLOWED]))
    options = ["--mypy-config-file", "pyproject.toml", "--allowlist", str(allowed), "--concise"]
    found = _run("mypy.stubtest", "tinygrad_nn", *options)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow
def test_pyright_knows_the_types_of_all_exported_names() -> None:
    pytest.importorskip("pyright")
    found = _run("pyright", "--verifytypes", "tinygrad_nn", "--ignoreexternal", "--outputjson")
    exported = {s["name"]: s for s in json.loads(found.stdout)["typeCompleteness"]["symbols"] if s["isExported"]}
    public = {f"{x.__module__}.{x.__qualname__}" for x in _paths().values() if inspect.isclass(x)}
    assert {name for name in public if name.startswith("tinygrad_nn")} <= exported.keys()
    unknown = {name for name, s in exported.items() if not s["isTypeKnown"] or s["isTypeAmbiguous"]}
    assert unknown == set()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of sections that numpydoc does not know
def test_numpydoc_finds_nothing_but_what_is_left_out_with_a_reason() -> None:
    validation = pytest.importorskip("numpydoc.validate")
    left_out = {*tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]["checks"]} - {
        "all"
    }
    found: dict[str, set[str]] = {}
    for path, x in _paths().items():
        with contextlib.suppress(OSError):  # of strategies, whose source Hypothesis has written anew
            for code, _ in validation.validate(validation.get_doc_object(x))["errors"] if callable(x) else ():
                found.setdefault(code, set()).add(path)
    assert found.keys() == left_out, {code: paths for code, paths in found.items() if code not in left_out}


def _paths() -> dict[str, object]:
    held = {name: getattr(tg, name) for name in tg.__all__}
    for space in SPACES:
        module = operator.attrgetter(space)(tg)
        held |= {f"{space}.{name}": getattr(module, name) for name in names_of(module)}
    return held


def _run(module: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *options]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}  # pyright looks for packages where Python does, not in the folder
    return subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True, check=False)
