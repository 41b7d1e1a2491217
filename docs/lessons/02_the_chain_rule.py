r"""
2 The chain rule as a walk, and why the order matters
=====================================================

In lesson 1 we went backward through the steps. Here we look at the order of that walk. There is one mistake that almost
everybody makes who writes this for the first time, and one simple fact that avoids it.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# All ways from the output to the input
# -------------------------------------
#
# The chain rule for a graph: the derivative of y by x is the sum over all ways from x to y, and each way is the product
# of the derivatives along it. Here are two ways that meet again, twice:

with tg.watch() as graph:
    x = tg.tensor(1.5, requires_grad=True, name="x")
    p = x * x
    q = tg.sin(p)
    r = p + q
    y = q * r
    y.backward()


class Shown:
    """A picture, in a page or a notebook."""

    def __init__(self, svg):
        self.svg = svg

    def _repr_html_(self):
        return f'<div style="max-width: 30em">{self.svg}</div>'


Shown(graph.to_svg())

# %%
# We list the ways by a search, and multiply along each. With n such diamonds in a row there are :math:`2^n` ways, too
# many to list. The backward walk adds up where ways meet, so each edge is used once.

edges = {"y": [("q", r.item()), ("r", q.item())], "r": [("p", 1.0), ("q", 1.0)]}
edges |= {"q": [("p", np.cos(p.item()))], "p": [("x", x.item()), ("x", x.item())]}


def ways(name, product):
    if name == "x":
        yield product
    for other, slope in edges.get(name, ()):
        yield from ways(other, product * slope)


found = list(ways("y", 1.0))
print(len(found), "ways, sum", sum(found), " backward:", x.grad.item())
assert np.isclose(sum(found), x.grad.item())

# %%
# The order matters
# -----------------
#
# A value may pass its adjoint on only when the adjoint is *complete*: after everything that read the value has sent its
# part. ``q`` is read by ``r`` and by ``y``. If q goes before r, the part that comes through r is lost. We try every
# order of the steps, and look which ones give the right derivative.


def walked(order):
    """Return the derivative of y by x if the steps are visited in this order."""
    adjoint = dict.fromkeys("xpqry", 0.0) | {"y": 1.0}
    for name in order:
        for other, slope in edges[name]:
            adjoint[other] += adjoint[name] * slope
    return adjoint["x"]


results = {"".join(order): walked(order) for order in itertools.permutations("yrqp")}
right = [order for order, slope in results.items() if np.isclose(slope, x.grad.item())]
print(len(right), "of", len(results), "orders are right:", right)

# %%
# In this graph it is one order of 24. In general an order is right if every value comes after all that read it. That
# is called a *topological order*.
#
# Newest first
# ------------
#
# How do we find such an order? One could sort the graph. There is no need: a value is made **after** the values that it
# reads. So we number the steps as they are made. From the newest to the oldest, whoever reads a value comes before it.

numbers = {node.name: node.number for node in graph}
print(numbers)
assert right == ["".join(sorted("pqry", key=numbers.get, reverse=True))]

# %%
# What does not work
# ------------------
#
# *As soon as a part arrives, pass it on.* A recursion that calls the parents at once visits every way: right if the
# parts are passed on one by one, but :math:`2^n` visits. If it passes on what was added up so far, it counts twice.
# Here are the visits for diamonds like p, q and r in a row, against one visit a node:

chain = np.arange(1, 21)
figure, ax = plt.subplots(figsize=(6, 3))
ax.semilogy(chain, 3 * 2.0**chain - 2, "o-", label="every way")
ax.semilogy(chain, 2 * chain + 1, "s-", label="newest first")
ax.set(xlabel="diamonds in a row", ylabel="visits")
ax.legend()

# %%
# *Breadth first*, from the output: nodes near to the output first. It can fail when a value is read at several
# distances, as q here: q and r are both one step from y, but r reads q, so q must wait for r.
#
# The library does newest first. A graph with many diamonds is no problem, and neither is a long one.

t = tg.tensor(1.0, requires_grad=True)
value = t
for _ in range(1000):
    value = value * 0.5 + value * 0.5  # a diamond: 2 to the power of 1000 ways
value.backward()
print("derivative through 1,000 diamonds:", t.grad.item())
assert t.grad.item() == 1

# %%
# Questions
# ---------
#
# 1. Can a value be made before one that it reads? What does that say about circles in the graph?
# 2. Forward mode carries derivatives along with the values. Which order does it need?
# 3. ``y`` is used by two losses. Why may the second ``backward()`` fail, and what does the message say?
