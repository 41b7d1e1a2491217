"""`why_nan` beside PyTorch's anomaly mode, on the same planted faults; `pytest -s` prints the table."""

from __future__ import annotations

import importlib.util
import re
import warnings
from typing import Any

import pytest
from inspection.planted_nans import FAULTLESS, FAULTS, Fault
from optional import pytorch

import tinygrad_nn as tg

torch: Any = pytorch() if importlib.util.find_spec("torch") else None
# What PyTorch's functions have in the place of ours, and the names of its rules.
RULES = {"DivBackward0": "divide", "MulBackward0": "multiply", "PowBackward0": "power", "PowBackward1": "power"}


class Theirs:
    """PyTorch's functions by NumPy's names."""

    cbrt = staticmethod(lambda x: x.sign() * x.abs() ** (1 / 3))

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def by_pytorch(fault: Fault) -> str:
    """Return the operation that PyTorch's anomaly mode names, "" if it finds nothing."""
    inputs = [torch.tensor(x, requires_grad=True) for x in fault.inputs]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.autograd.detect_anomaly():
                fault.function(Theirs(), *inputs).sum().backward()
    except RuntimeError as error:
        name = str(error).split("'")[1]
        return RULES.get(name, re.sub(r"Backward\d*$", "", name).lower())
    return ""


@pytest.mark.slow
@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
def test_pytorchs_anomaly_mode_names_fewer_origins() -> None:
    cases = [case for case in [*FAULTS, *FAULTLESS] if case.theirs]
    rows, right = [], {"ours": 0, "theirs": 0}
    for case in cases:
        origin = tg.why_nan(lambda *inputs, case=case: case.function(tg, *inputs), *case.inputs)
        ours = "" if origin is None else origin.operation
        theirs = by_pytorch(case)
        right["ours"] += ours == case.origin
        right["theirs"] += theirs.removeprefix("a") == case.origin.removeprefix("arc")
        rows.append(f"{case.name:36}{case.origin or '-':12}{ours or '-':12}{theirs or '-'}")
    print("\n".join(["", f"{'case':36}{'origin':12}{'why_nan':12}PyTorch's anomaly mode", *rows]))
    print(f"right: why_nan {right['ours']} of {len(cases)}, PyTorch {right['theirs']} of {len(cases)}")
    assert right["ours"] == len(cases) > right["theirs"]
