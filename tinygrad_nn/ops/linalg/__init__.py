"""Linear algebra, as in numpy.linalg."""
