"""Optimisers: each is a pure update of arrays and a class that applies it to parameters. Schedules, clipping."""

from typing import TYPE_CHECKING

from ..nn.habits import unknown
from . import lr_scheduler
from .adagrad import Adagrad, RMSprop
from .adam import Adam, Adamax, AdamW, NAdam
from .clipping import clip_grad_norm_, clip_grad_value_
from .groups import Hyperparameter, ParameterGroup
from .optimizer import Optimizer
from .sgd import SGD

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "Adamax", "Hyperparameter", "NAdam", "Optimizer", "ParameterGroup", "RMSprop",
    "clip_grad_norm_", "clip_grad_value_", "lr_scheduler",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = unknown("optim")
