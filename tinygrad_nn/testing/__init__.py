"""Tests for operations and programs of one's own: the tools that the library's own tests use.

    import tinygrad_nn as tg

`planted_rule` swaps a derivative rule for a wrong one.
"""

from .planting import planted_rule

__all__ = ["planted_rule"]
