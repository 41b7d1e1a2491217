"""Gradients compared with numerical differences."""
