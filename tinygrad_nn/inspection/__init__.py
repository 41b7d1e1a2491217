"""Seeing reverse mode: the graph as text, picture and page, and where a nan came from."""
