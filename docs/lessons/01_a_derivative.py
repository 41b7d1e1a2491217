r"""
1 A derivative, by hand and by a graph
======================================

What is a derivative, and how can a program find one? You compute the same derivative three times: as a limit, by the
rules that you learnt at school, and by a graph of small steps. The third way is what this library does.
"""

import base64
import pathlib
import tempfile
import types

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# As a limit
# ----------
#
# The derivative says how much the output changes for a small change of the input:
#
# .. math:: f'(x) = \lim_{h \to 0} \frac{f(x + h) - f(x)}{h}
#
# We take :math:`f(x) = x \sin(3x)` at 0.8, and let h get small. The lines through two points turn into the tangent.


def f(x):
    return x * np.sin(3 * x)


at = 0.8
grid = np.linspace(0, 1.6, 200)
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
# The product rule and the chain rule give :math:`f'(x) = \sin(3x) + 3x \cos(3x)`. This is exact, but it took work.

by_rules = np.sin(3 * at) + 3 * at * np.cos(3 * at)
print("by the rules:", by_rules)

# %%
# By a graph
# ----------
#
# A program never computes :math:`x \sin(3x)` at once. It computes small steps, one after the other:
#
# .. math:: a = 3x, \qquad b = \sin(a), \qquad y = x \, b
#
# Each step has a derivative that everybody knows. A ``Tensor`` is a NumPy array that remembers the step which made it,
# and ``requires_grad=True`` says that we want the derivative with respect to x. The values are the *nodes* of a
# *graph*, which is recorded while the program computes. An *edge* joins a value to each value that it is computed from.
# ``y.backward()`` goes through all steps once, from the last to the first: this is *the walk*. It leaves the derivative
# with respect to x in ``x.grad``. The graph is there in any case; ``tg.watch()`` lets us see its nodes.

with tg.watch() as graph:
    x = tg.tensor(at, requires_grad=True, name="x")
    a = 3 * x
    b = tg.sin(a)
    y = x * b
    y.backward()
print(graph)

# %%
# The columns *reads* and *read by* are the edges. The column *adjoint* holds, for each value, the derivative of y with
# respect to it: how much y changes when that value changes. The adjoint of a is written :math:`\bar a`, "a bar".
#
# A step has a *slope* for each input: its derivative with respect to that input, while the others stay fixed. The step
# :math:`y = x b` has two: b for x, and x for b. Now read the adjoints from the bottom up. The adjoint of y itself is 1.
# Then each step multiplies the adjoint of its result by its slope for an input, and hands the product to that input.
# With :math:`x = 0.8`, :math:`a = 2.4` and :math:`b = \sin(2.4) = 0.6755` that is:
#
# - :math:`\bar b = \bar y \cdot x = 1 \cdot 0.8`, since x is the slope of :math:`x b` for b;
# - :math:`\bar a = \bar b \cdot \cos(a) = 0.8 \cdot (-0.7374) = -0.5899`, since :math:`\cos(a)` is the slope of
#   :math:`\sin(a)`;
# - x is read by two steps, so what they hand back is added up:
#   :math:`\bar x = \bar y \cdot b + \bar a \cdot 3 = 0.6755 - 1.770 = -1.094`.
#
# Why added? A small change of x moves y in two ways: directly, and through a. Both movements add up. You know these two
# terms from the product rule: :math:`\sin(3x)` and :math:`3x \cos(3x)`. We walk with plain numbers:

y_bar = 1.0
b_bar = y_bar * x.item()
a_bar = b_bar * np.cos(a.item())
x_bar = y_bar * b.item() + a_bar * 3
print("by hand:", x_bar, " by the library:", x.grad.item())
assert np.isclose(x_bar, by_rules)
assert np.isclose(x.grad.item(), by_rules)

# %%
# The graph as a page that steps through it: values flow down, adjoints flow up.

graph.to_html(page := pathlib.Path(tempfile.mkdtemp(), "page.html"))
frame = '<iframe title="The walk by steps" style="width: 100%; height: 42em" src="data:text/html;base64,{}"></iframe>'
types.SimpleNamespace(_repr_html_=lambda: frame.format(base64.b64encode(page.read_bytes()).decode()))

# %%
# The library lists these two terms as well, one for each use of x. *Path* says through which values x moves y.
# *Argument* is the library's name for an operand of the step that reads x: a for the first, b for the second, whatever
# our values are called. So it is a in ``x * b``, and b in ``3 * x``. *Cancellation* is the sum of the terms' sizes over
# the size of their sum, :math:`(0.6755 + 1.770) / 1.094 = 2.2`. Where it is large, the first digits of large terms
# cancel, and few exact ones are left.

print(x.grad_terms())

# %%
# Many inputs at once
# -------------------
#
# One walk gives the derivatives with respect to *all* inputs, since it gives every value its adjoint. As limits, 1,000
# derivatives take 1,001 evaluations of the function: one at the point, and one with each input moved. The walk visits
# each step once, and for each input of a step it does about the work of that step. So it costs as much as a few
# evaluations, however many inputs there are: that is how networks with millions of inputs to adjust learn.
#
# The walk starts at one number, which is why the next function ends with ``.sum()``. ``tg.graph(loss)`` lists what was
# recorded, without ``tg.watch()``.

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
# 1. x for :math:`\bar b`, a for :math:`\cos(a)`, b and the number 3 for :math:`\bar x`. Not y: no slope reads it.
# 2. Only the term that arrives last, 0.68 or -1.77: it would replace the other. The derivative is neither.
# 3. z reads y twice, with slope y each time: :math:`\bar y = y + y = 1.081`. x gets 1.081 · (-1.094) = -1.183.
