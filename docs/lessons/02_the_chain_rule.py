r"""
2 The chain rule as a walk, and why the order matters
=====================================================

In lesson 1 we went backward through the steps. Here we look at the order of that walk. There is one mistake that is
easy to make: a value hands on its adjoint before all of it has arrived. One simple fact avoids it.
"""

import itertools
import types

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# All ways from the output to the input
# -------------------------------------
#
# The chain rule for a graph: the derivative of y with respect to x is the sum over all ways from x to y. Each way is
# the product of the slopes along it. Such a slope is also called a *partial* derivative: that of one step with respect
# to one of its inputs, while the others stay fixed. ``tg.watch()`` reads the names of the values from our code.

with tg.watch() as graph:
    x = tg.tensor(1.5, requires_grad=True, name="x")
    p = x * x
    q = tg.sin(p)
    r = p + q
    y = q * r
    y.backward()

types.SimpleNamespace(_repr_html_=lambda: f'<div style="max-width: 30em">{graph.to_svg()}</div>')

# %%
# From p to y there are three ways: p, q, y and p, r, y and p, q, r, y. From x to p there are two, since ``x * x`` reads
# x twice. So there are 3 · 2 = 6 ways. We list them by a search from y, and multiply along each. ``edges`` has, for
# each value, pairs of what it reads and the slope for that: :math:`y = q r` has the slope r for q, and q for r.

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
# Where ways part and meet again, as those from p to r, the picture shows a *diamond*. With n diamonds in a row there
# are :math:`2^n` ways, too many to list. The walk adds up where ways meet, so it uses each edge once.
#
# The order matters
# -----------------
#
# A value may pass its adjoint on only when the adjoint is *complete*: after everything that read the value has sent its
# part. ``q`` is read by ``r`` and by ``y``. If q goes before r, the part that comes through r is lost. We try every
# order of the steps, and look which ones give the right derivative.


def walked(order):
    """Return the derivative of y with respect to x if the steps are visited in this order."""
    adjoint = dict.fromkeys("xpqry", 0.0) | {"y": 1.0}
    for name in order:
        for other, slope in edges[name]:
            adjoint[other] += adjoint[name] * slope
    return adjoint["x"]


results = {"".join(order): walked(order) for order in itertools.permutations("yrqp")}
right = [order for order, slope in results.items() if np.isclose(slope, x.grad.item())]
print(len(right), "of", len(results), "orders are right:", right)

# %%
# An order is right if every value comes after all that read it. That is called a *topological order*.
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
# *Depth first*: hand on each part as soon as it arrives, by a recursion. Handing on all that was added up so far counts
# twice. We try it on ``b = a + a`` and ``c = b + b``, where c is 4a and all slopes are 1:

reads, adjoint = {"c": "bb", "b": "aa", "a": ""}, {"c": 1, "b": 0, "a": 0}


def hand_on(name):
    for other in reads[name]:
        adjoint[other] += adjoint[name]
        hand_on(other)


hand_on("c")
print("depth first:", adjoint["a"], "instead of 4")

# %%
# b handed on its first part twice. Handing on only what is new is right, but takes every way: r visits p, and q, which
# visits p again. So n diamonds like p, q, r take :math:`v_n = 2 + 2 v_{n-1}` visits, where :math:`v_0 = 1`: that is
# :math:`3 \cdot 2^n - 2`. Newest first visits each of the :math:`2n + 1` values once.

chain = np.arange(1, 21)
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.semilogy(chain, 3 * 2.0**chain - 2, "o-", label="every way")
ax.semilogy(chain, 2 * chain + 1, "s-", label="newest first")
ax.set(xlabel="diamonds in a row", ylabel="visits")
ax.legend()

# %%
# *Breadth first*: the nodes one step from the output first, then those two steps away. It fails where a value has two
# distances, as q here: y reads q directly, and through r. If q goes before r, the order is yqrp, which was not right.
#
# The library does newest first. Many diamonds are no problem. Nor is a long graph: the walk is a loop, not a recursion.

value = t = tg.tensor(1.0, requires_grad=True)
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
#
# **Answers**
#
# 1. No. Every edge goes from an older value to a newer one, so no circle comes back to its beginning.
# 2. Oldest first, the order in which the program computes anyway.
# 3. The first walk frees what each step kept as it passes. The message names ``retain_graph=True``, which keeps it.
