"""Networks: modules that own parameters, and the article's dense network."""

from .dense import DenseNetwork
from .module import Module

__all__ = ["DenseNetwork", "Module"]
