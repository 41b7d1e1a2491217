"""NumPy's further operations, under its names; most of them are compositions."""
