"""Whose backprop is wrong: gradients by hand, held against the adjoints of the recorded graph."""
