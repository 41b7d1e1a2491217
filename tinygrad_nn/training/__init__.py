"""Training a network: the loop, its history, data and plots."""
