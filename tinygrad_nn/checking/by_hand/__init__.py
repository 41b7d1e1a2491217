"""Backprop written by hand, compared with the adjoints of the recorded graph."""
