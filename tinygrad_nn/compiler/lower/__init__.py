"""From the calls to a program: simplified, its instructions selected, laid out in memory."""
