"""From the calls to a program: simplified, spelled, laid out in memory."""
