"""The Tensor, how it is created, how operations are declared and called, and how NumPy finds them."""
