r"""
2 The chain rule as a walk, and why the order matters
=====================================================

In lesson 1 we went backward through the steps. Here we look at the order of that walk. There is one mistake that is
easy to make: a value hands on its adjoint before all parts of it have arrived. One simple fact lets us avoid it.
"""

import itertools
import types

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# All ways from the input to the output
# -------------------------------------
#
# The chain rule for a graph: multiply the slopes along each way (or path) from x to y, and add up these products. That
# is the derivative of y with respect to x. The slopes of single steps are also called *partial* derivatives.

with tg.watch() as graph:
    x = tg.tensor(1.5, requires_grad=True, name="x")
    p = x * x
    q = tg.sin(p)
    r = p + q
    y = q * r
    y.backward()

types.SimpleNamespace(_repr_html_=lambda: f'<div style="max-width: 30em">{graph.to_svg()}</div>')  # shows the graph

# %%
# From p to y there are three ways: p → q → y, p → r → y, and p → q → r → y. From x to p there are two, since ``x * x``
# reads x twice. So there are 3 · 2 = 6 ways. We search them from y back to x, and multiply along each. ``edges`` lists
# the inputs of each value, each with its slope: since :math:`y = q r`, the slope for q is r, and the slope for r is q.

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
# Where two ways part and meet again, as p → r and p → q → r, we speak of a *diamond*, with or without values on them.
# With n diamonds in a row there are :math:`2^n` ways. The walk adds up where ways meet, so it uses each edge once.
#
# The order matters
# -----------------
#
# A value may pass its adjoint on only when the adjoint is *complete*: after everything that read the value has sent its
# part. ``q`` is read by ``r`` and by ``y``. If q goes before r, the part that comes through r is lost: y, q, r, p gives
# -3.372 in place of -4.839. We try every order of the steps, and look which ones give the right derivative.


def walked(order):
    adjoint = dict.fromkeys("xpqry", 0.0) | {"y": 1.0}
    for name in order:
        for other, slope in edges[name]:
            adjoint[other] += adjoint[name] * slope
    return adjoint["x"]


results = {"".join(order): walked(order) for order in itertools.permutations("yrqp")}
right = [order for order, slope in results.items() if np.isclose(slope, x.grad.item())]
print(len(right), "of", len(results), "orders are right:", right, " y, q, r, p gives", results["yqrp"])
assert np.allclose([x.grad.item(), results["yqrp"]], [-4.839, -3.372], rtol=0, atol=5e-4)

# %%
# Of 24 orders only y, r, q, p is right. Every value comes after everything that reads it: a *topological order*.
#
# Newest first
# ------------
#
# How do we find such an order? One could sort the graph. There is no need: a value is made **after** the values that it
# reads. So we number the steps as they are made. From the newest to the oldest, what reads a value comes before it.

print(numbers := {node.name: node.number for node in graph})
assert right == ["".join(sorted("pqry", key=numbers.get, reverse=True))]

# %%
# What does not work
# ------------------
#
# *Depth first*: whenever a part arrives at a value, the value at once hands on everything that it has so far. We try it
# on ``b = a + a`` and ``c = b + b``, where c is 4a and all slopes are 1. (``"bb"``: c reads b twice.)

reads, adjoint = {"c": "bb", "b": "aa", "a": ""}, {"c": 1, "b": 0, "a": 0}


def hand_on(name):
    for other in reads[name]:
        adjoint[other] += adjoint[name]
        hand_on(other)


hand_on("c")
print("depth first:", adjoint["a"], "instead of 4")

# %%
# It gives 6: b handed on its first 1 twice, once alone and once in the 2. (*Once each*, as a page of ``to_html`` shows,
# gives 2.) Handing on *only what is new* is right, but takes every way. In the first example, r visits p, and q, which
# visits p again. If p is the r of the next diamond, and so on, n diamonds take :math:`v_n=2+2v_{n-1}` visits: r, q, and
# twice the rest. With :math:`v_0=1` that is :math:`3\cdot2^n-2`. Newest first visits these :math:`2n+1` values once.

chain = np.arange(1, 21)
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.semilogy(chain, 3 * 2.0**chain - 2, "o-", label="every way")
ax.semilogy(chain, 2 * chain + 1, "s-", label="newest first")
ax.set(xlabel="diamonds in a row", ylabel="visits", xticks=range(0, 21, 5))
ax.legend()

# %%
# *Breadth first*: first the nodes one edge away from the output, then those two edges away. It fails where a value has
# two distances, as q above: y reads q directly, and through r. If q goes before r, the order is y, q, r, p: not right.
#
# The library does newest first. Many diamonds are no problem. Nor is a long graph: the walk is a loop, not a recursion.
# On its way it frees what the steps have kept. So a graph is walked only once, unless you pass ``retain_graph=True``.

value = t = tg.tensor(1.0, requires_grad=True)
for _ in range(1000):
    value = value * 0.5 + value * 0.5  # a diamond with a value on either way: 2 to the power of 1000 ways
value.backward()
print("derivative through 1,000 diamonds:", t.grad.item())
assert t.grad.item() == 1

# %%
# Questions
# ---------
#
# 1. Can a value be made before one that it reads? What does that say about circles in the graph?
# 2. *Forward mode* carries along, with each value, its derivative with respect to **one** input. Which order is that?
# 3. ``u = 2 * y`` and ``v = 3 * y`` share the steps before y. Why does ``v.backward()`` fail after ``u.backward()``?
#
# **Answers**
#
# 1. No. Every edge goes from an older value to a newer one, so no circle comes back to its beginning.
# 2. Oldest first, as the program computes anyway. It takes a pass for each input, where the walk takes one for all.
# 3. The first walk has freed the shared steps. The error message says so, and names ``retain_graph=True``.
