"""NumPy's breadth: operations, most of them compositions, under its names."""
