"""Optimisers: each a pure update of arrays, and a class that applies it to parameters."""

from .adam import Adam
from .optimizer import Hyperparameter, Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "Hyperparameter", "Optimizer"]
