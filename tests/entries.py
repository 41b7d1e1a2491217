"""The numbers that fill arrays whose shapes, axes and indices are drawn."""

import numpy as np


def numbers() -> np.random.Generator:
    """Return the generator of the entries; what Hypothesis draws are shapes, axes and indices."""
    return np.random.default_rng(7)
