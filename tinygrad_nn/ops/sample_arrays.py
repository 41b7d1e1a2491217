"""Arrays in the samples of more than one file."""

import numpy as np

MASK = np.array([[True, False, True], [False, False, True]])
TIES = np.array([[2.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
REGULAR = np.array([[2.0, -0.7, 0.4], [0.3, 1.6, -0.5], [-0.6, 0.2, 1.3]])
TALL = np.array([[1.0, -0.4], [0.3, 0.9], [-0.7, 0.5]])
TWO_TALL = np.stack([TALL, TALL[::-1]])
