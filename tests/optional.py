"""What only some environments have: PyTorch and ONNX, which tests compare with, and what starts the ranks of MPI."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import Any

import pytest


def pytorch() -> Any:
    """Return PyTorch; without it the test that asks, or the module, is skipped, in one line for all of them."""
    try:
        import torch
    except ImportError:
        pytest.skip("needs PyTorch: python -m pip install torch", allow_module_level=True)
    return torch


def mpiexec() -> str:
    """Return the program that starts ranks, of this environment or the system; without it the test is skipped."""
    folders = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    found = shutil.which("mpiexec", path=folders)
    if found is None or importlib.util.find_spec("mpi4py") is None:
        pytest.skip("needs MPI: python -m pip install mpi4py mpich")
    return found


def onnx_and_its_judges() -> Any:
    """Return ONNX, its reference evaluator and onnxruntime; without them the test is skipped, in one line for all."""
    try:
        import onnx
        import onnxruntime
        from onnx import reference
    except ImportError:
        pytest.skip("needs ONNX and its runtime: python -m pip install onnx onnxruntime")
    onnxruntime.set_default_logger_severity(4)
    return onnx, reference, onnxruntime
