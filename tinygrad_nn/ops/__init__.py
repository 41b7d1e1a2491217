"""The operations: each is declared once, with its rules beside it."""
