"""From a function to the NumPy calls that it makes."""
