"""Generated pages: the subgradients, and what of NumPy is recorded."""
