"""The graph and the passes over it: nodes, rules, reverse and forward mode. Knows no operation."""
