"""Functions that declare your own operations: `primitive`, `elementwise` and `composite`."""

from .tensor.declaring import Differentiable, composite, elementwise, primitive

__all__ = ["Differentiable", "composite", "elementwise", "primitive"]
