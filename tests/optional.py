"""PyTorch, where it is installed: what the tests that compare with it begin with."""

from __future__ import annotations

from typing import Any

import pytest


def pytorch() -> Any:
    """Return PyTorch; without it the test that asks, or the module, is skipped, in one line for all of them."""
    try:
        import torch
    except ImportError:
        pytest.skip("needs PyTorch: python -m pip install torch", allow_module_level=True)
    return torch
