"""Linear algebra: what numpy.linalg has."""
