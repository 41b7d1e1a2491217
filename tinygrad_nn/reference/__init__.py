"""Generated pages: the subgradients, and which names of NumPy are recorded."""
