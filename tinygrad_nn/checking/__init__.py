"""Gradients held against numerical differences."""
