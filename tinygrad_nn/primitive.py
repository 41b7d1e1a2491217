"""The door to declaring operations of your own: `primitive`, `elementwise` and `composite`."""

from .tensor.declaring import Differentiable, composite, elementwise, primitive

__all__ = ["Differentiable", "composite", "elementwise", "primitive"]
