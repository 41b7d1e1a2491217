r"""
1 A derivative, by hand and by a graph
======================================

What is a derivative, and how can a program find one? You compute the same derivative three times: approximately, from
two values; by the rules that you learnt at school; and by a graph of small steps, which is what this library does.
"""

import base64
import pathlib
import tempfile
import types

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# By a difference quotient
# ------------------------
#
# The derivative says how much the output changes for a small change of the input:
#
# .. math:: f'(x) = \lim_{h \to 0} \frac{f(x + h) - f(x)}{h}
#
# We take :math:`f(x) = x \sin(3x)` at 0.8. A program cannot take the limit, only the fraction for some small h: the
# *difference quotient*. It is the slope of a line through two points. As h gets small, the line turns into the tangent.


def f(x):
    return x * np.sin(3 * x)


at, grid = 0.8, np.linspace(0, 1.6, 200)
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(grid, f(grid), "k", label="f")
for h in (0.6, 0.3, 0.01):
    slope = (f(at + h) - f(at)) / h
    ax.plot(grid, f(at) + slope * (grid - at), lw=1, label=f"h = {h}: slope {slope:.3f}")
ax.plot(at, f(at), "ko")
ax.set(ylim=(-1.6, 1.2), xlabel="x")
ax.legend(fontsize=8)

# %%
# By the rules
# ------------
#
# The product rule and the chain rule give :math:`f'(x) = \sin(3x) + 3x \cos(3x)`. It took work, but it is exact up to
# rounding: -1.0943 at 0.8. The difference quotient with h = 0.01, which is -1.141, is only near.

by_rules = np.sin(3 * at) + 3 * at * np.cos(3 * at)
print("by the rules:", by_rules, " by the quotient:", slope)
assert np.allclose([by_rules, slope], [-1.0943, -1.141], rtol=0, atol=5e-4)

# %%
# By a graph
# ----------
#
# A program computes :math:`x \sin(3x)` in small steps, one after the other: :math:`u = 3x`, then :math:`v = \sin(u)`,
# then :math:`y = x v`. Each step has a derivative that everybody knows.
#
# A ``Tensor`` holds a NumPy array, ``t.data``, and remembers the step that made it; ``t.item()`` is the number, if
# there is only one. ``requires_grad=True`` says that we want derivatives with respect to x: what is computed from x is
# recorded, and without it ``backward()`` refuses. The record is a *graph*. A *node* is a value, with the step that made
# it. An *edge* leads from a value to each one computed from it. ``y.backward()`` goes through the nodes once, from the
# last to the first: this is *the walk*, also called the *backward pass*, and the method *reverse mode*. It leaves the
# derivative in ``x.grad``. Only a *leaf* gets one: a tensor that no step made. ``tg.watch()`` only shows the nodes.

with tg.watch() as graph:
    x = tg.tensor(at, requires_grad=True, name="x")
    u = 3 * x
    v = tg.sin(u)
    y = x * v
    y.backward()
print(graph)

# %%
# The columns *reads* and *read by* are the edges. The column *adjoint* holds, for each value, the derivative of y with
# respect to it: how much y changes when that value changes. The adjoint of u is written :math:`\bar u`, "u bar".
#
# A step has a *slope* for each input: its derivative with respect to that input, while the others stay fixed. The slope
# of :math:`y = x v` with respect to x is v, and with respect to v it is x. Now read the adjoints from the bottom up:
# that of y itself is 1. Then each step multiplies the adjoint of its result by its slope for an input, and hands the
# product to that input. With :math:`x = 0.8`, :math:`u = 2.4` and :math:`v = \sin(2.4) = 0.6755` that is:
#
# - :math:`\bar v = \bar y \cdot x = 1 \cdot 0.8`, since x is the slope of :math:`x v` for v;
# - :math:`\bar u = \bar v \cdot \cos(u) = 0.8 \cdot (-0.7374) = -0.5899`, since cos is the slope of sin;
# - two steps read x, so both parts add up: :math:`\bar x = \bar y \cdot v + \bar u \cdot 3 = 0.6755 - 1.770 = -1.094`.
#
# Why added? A small change of x moves y in two ways: directly, and through u. Both movements add up. You know these two
# terms from the product rule: :math:`\sin(3x)` and :math:`3x \cos(3x)`. So it is exact, too. With plain numbers:

y_bar = 1.0
v_bar = y_bar * x.item()
u_bar = v_bar * np.cos(u.item())
x_bar = y_bar * v.item() + u_bar * 3
print("by hand:", x_bar, " by the library:", x.grad.item())
assert np.allclose([v.item(), u_bar, u_bar * 3, x_bar], [0.6755, -0.5899, -1.770, -1.094], rtol=0, atol=5e-4)
assert np.allclose([x_bar, x.grad.item()], by_rules)

# %%
# Here is the graph as a page that steps through it: values flow down, adjoints flow up. (The code only shows the page.)

graph.to_html(page := pathlib.Path(tempfile.mkdtemp(), "page.html"))
frame = '<iframe title="The walk by steps" style="width: 100%; height: 42em" src="data:text/html;base64,{}"></iframe>'
types.SimpleNamespace(_repr_html_=lambda: frame.format(base64.b64encode(page.read_bytes()).decode()))

# %%
# ``x.grad_terms()`` lists the two terms of :math:`\bar x`, one for each use of x. *Argument* says which input of its
# step x is, and has the library's names for them: a is the first, b the second. So x is a in ``x * v``, and b in
# ``3 * x``. *Path* says through which values the term reaches y. *Cancellation* is the sum of the terms' sizes over the
# size of their sum, :math:`(0.6755 + 1.770) / 1.094 = 2.2`. Where it is large, the terms' first digits cancel, and few
# correct digits are left.

print(x.grad_terms())

# %%
# Many inputs at once
# -------------------
#
# One walk gives the derivatives with respect to *all* inputs, since it gives every value its adjoint. By difference
# quotients, 1,000 derivatives take 1,001 evaluations of the function: one at the point, and one with each input moved.
# The walk visits each step once, and each of its inputs costs about as much as computing the step. So it costs as much
# as a few evaluations, however many inputs there are. That is how networks with millions of adjustable numbers learn.
#
# The walk starts at one number, so the next function ends with ``.sum()``. ``tg.graph(loss)`` lists what is recorded
# behind one result, until a walk frees it (lesson 2). ``tg.watch()`` keeps what it shows, and the adjoints as well.

weights = tg.tensor(np.linspace(-1, 1, 1000), requires_grad=True)
loss = (tg.sin(weights) ** 2).sum()
steps = sum(len(node.inputs) > 0 for node in tg.graph(loss))
loss.backward()
print(weights.grad.size, "derivatives from one walk over", steps, "steps")
assert np.allclose(weights.grad.data, 2 * np.sin(weights.data) * np.cos(weights.data))

# %%
# Questions
# ---------
#
# 1. Which numbers must the graph remember, so that the adjoints can be computed?
# 2. What would the adjoint of x be if the two terms were not added?
# 3. Add a step ``z = y * y`` and do the walk with plain numbers.
#
# **Answers**
#
# 1. x for :math:`\bar v`, u for :math:`\cos(u)`, v and the number 3 for :math:`\bar x`. Not y: no slope reads it.
# 2. Only the term that arrives last, 0.68 or -1.77: it would replace the other. The derivative is neither.
# 3. z reads y twice, with slope y each time: :math:`\bar y = y + y = 1.081`. x gets 1.081 · (-1.094) = -1.183.
