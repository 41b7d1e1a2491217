r"""
1 A derivative, by hand and by a graph
======================================

What is a derivative, and how can a program find one? You compute the same derivative three times: as a limit, by the
rules that you learnt at school, and by a graph of small steps. The third way is what this library does.
"""

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
figure, ax = plt.subplots(figsize=(6, 3.5))
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
# The product rule and the chain rule give :math:`f'(x) = \sin(3x) + 3x \cos(3x)`. It is exact, and it was work.

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
# Each step has a derivative that everybody knows. A ``Tensor`` records the steps. ``tg.watch()`` lets us see all of
# them: their values, and, after ``backward()``, one more column.

with tg.watch() as graph:
    x = tg.tensor(at, requires_grad=True, name="x")
    a = 3 * x
    b = tg.sin(a)
    y = x * b
    y.backward()
print(graph)

# %%
# The column *adjoint* holds, for each value, the derivative of the last one by it: how much y changes when that value
# changes. Read it from the bottom up. y changes by itself: 1. Then each step multiplies by its own derivative:
#
# - :math:`\bar b = \bar y \cdot x`, since :math:`y = x b` changes with b by x;
# - :math:`\bar a = \bar b \cdot \cos(a)`, since :math:`b = \sin(a)`;
# - x was used twice, so what comes back is added up: :math:`\bar x = \bar y \cdot b + \bar a \cdot 3`.
#
# We do exactly that with plain numbers:

y_bar = 1.0
b_bar = y_bar * x.item()
a_bar = b_bar * np.cos(a.item())
x_bar = y_bar * b.item() + a_bar * 3
print("by hand:", x_bar, " by the library:", x.grad.item())
assert np.isclose(x_bar, by_rules)
assert np.isclose(x.grad.item(), by_rules)

# %%
# The graph as a picture: values flow down, adjoints flow up.


class Shown:
    """A picture, in a page or a notebook."""

    def __init__(self, svg):
        self.svg = svg

    def _repr_html_(self):
        return f'<div style="max-width: 26em">{self.svg}</div>'


Shown(graph.to_svg())

# %%
# Two terms, one for each use of x: the library lists them as well.

print(x.grad_terms())

# %%
# Many inputs at once
# -------------------
#
# One walk over the graph gives the derivatives by *all* inputs. A limit would need a step for each of them. This is
# why networks with millions of weights are trained in this way: the walk costs about as much as two or three
# evaluations of the function, however many inputs there are.

weights = tg.tensor(np.linspace(-1, 1, 1000), requires_grad=True)
loss = (tg.sin(weights) ** 2).sum()
loss.backward()
print(weights.grad.shape, "derivatives from one walk")
assert np.allclose(weights.grad.data, 2 * np.sin(weights.data) * np.cos(weights.data))

# %%
# Questions
# ---------
#
# 1. Which numbers must the graph remember, so that the adjoints can be computed?
# 2. What would the adjoint of x be if the two terms were not added?
# 3. Add a step ``z = y * y`` and do the walk with plain numbers.
