"""The Tensor, how it is made, how operations are declared and called, and how NumPy finds them."""
