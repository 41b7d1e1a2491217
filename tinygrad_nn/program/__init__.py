"""Programs: what a function of Tensors computes, as straight-line NumPy."""

from .compiled import compile

__all__ = ["compile"]
