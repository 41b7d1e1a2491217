"""What a function of Tensors computes, as straight-line NumPy: traced, lowered, written, run."""
