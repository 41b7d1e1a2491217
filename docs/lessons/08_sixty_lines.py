r"""
8 An autograd in sixty lines
============================

Here you write reverse mode, the walk back from the output, from scratch: with NumPy, in sixty lines. Then the library
judges it. The library's other lines are for what is missing in yours.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# The whole of it
# ---------------
#
# A ``Value`` holds an array, the values that it was computed from, and a function ``pull`` that takes its cotangent
# back to them. Each gets a ``number`` as it is made, larger than those of the values that it reads. Of the values that
# wait we take the newest: all that read it have been visited, so its cotangent is complete. No sorting, no recursion.

count = itertools.count()


def fitted(g, shape):
    """Return the cotangent summed over what was broadcast."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # new axes in front; of none, axis=() leaves g as it is
    stretched = tuple(axis for axis, n in enumerate(shape) if n == 1 and g.shape[axis] != 1)
    return g.sum(axis=stretched, keepdims=True)


class Value:
    __array_ufunc__ = None  # for array * Value NumPy then calls our __rmul__

    def __init__(self, data, parents=(), pull=None):
        self.data, self.parents, self.pull = np.asarray(data, float), parents, pull
        self.number, self.grad = next(count), None

    def __add__(self, other):
        a, b = self, wrapped(other)
        return Value(a.data + b.data, (a, b), lambda g: (g, g))

    def __mul__(self, other):
        a, b = self, wrapped(other)
        return Value(a.data * b.data, (a, b), lambda g: (g * b.data, g * a.data))

    def __matmul__(self, other):
        a, b = self, wrapped(other)
        return Value(a.data @ b.data, (a, b), lambda g: (g @ b.data.T, a.data.T @ g))

    __radd__, __rmul__ = __add__, __mul__

    def relu(self):
        y = np.maximum(self.data, 0)
        return Value(y, (self,), lambda g: (g * (y > 0),))

    def exp(self):
        y = np.exp(self.data)
        return Value(y, (self,), lambda g: (g * y,))

    def sum(self):
        return Value(self.data.sum(), (self,), lambda g: (np.broadcast_to(g, self.data.shape),))

    def backward(self):
        cotangents, waiting = {self: np.ones_like(self.data)}, {self}
        while waiting:
            value = max(waiting, key=lambda v: v.number)  # the newest first
            waiting.remove(value)
            value.grad = g = cotangents.pop(value)
            for parent, c in zip(value.parents, value.pull(g) if value.pull else (), strict=True):
                c = fitted(c, parent.data.shape)
                cotangents[parent] = cotangents[parent] + c if parent in cotangents else c
                waiting.add(parent)


def wrapped(x):
    return x if isinstance(x, Value) else Value(x)


# %%
# Held against the library
# ------------------------
#
# We compute the same function, with the same numbers, in both: the gradients agree to 14 digits.

rng = np.random.default_rng(0)
arrays = {name: rng.normal(size=shape) for name, shape in {"X": (4, 3), "W": (3, 2), "b": (2,)}.items()}


def network(X, W, b):
    hidden = (X @ W + b).relu()
    return (hidden * hidden * 0.5 + hidden.exp()).sum()


ours = {name: Value(x) for name, x in arrays.items()}
network(**ours).backward()
theirs = {name: tg.tensor(x, requires_grad=True) for name, x in arrays.items()}
network(**theirs).backward()
for name in arrays:
    np.testing.assert_allclose(ours[name].grad, theirs[name].grad.data, rtol=1e-14)
    print(name, "agrees:", ours[name].grad.ravel()[:3].round(4))

# %%
# A value that is used twice gets the sum, which is the chain rule for several ways: ``cotangents[parent] + c``.
# So the slope of x² + x is 2x + 1, here at 13 points in one walk: each entry of x is in one entry of the sum.

x = Value(np.linspace(-3.0, 3.0, 13))
(x * x + x).sum().backward()
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(x.data, (x * x + x).data, label="x² + x")
ax.plot(x.data, 2 * x.data + 1, label="2x + 1")
ax.plot(x.data, x.grad, "o", label="slope by the sixty lines")
ax.legend()
plt.show()

# %%
# What is missing
# ---------------
#
# - **Second derivatives**: our rules compute with arrays, so nothing records them. The library's rules are expressions
#   that work on Tensors as well.
# - **Memory**: each value holds its parents, and so all arrays of a computation, whether a rule reads them or not. A
#   node of the library keeps only what its rules read, and frees it on the way back.
# - **Zero times infinity**: relu multiplies by a *mask* of zeros and ones, and 0 * inf is nan. The library says 0.
# - **Completeness**: another walk overwrites ``grad``; ``@`` is for matrices only; no minus, division or dtypes.
# - **Speed**: we search all waiting values for the newest, and here many wait: time this with 1,024, then with 4,096.

row = inputs = [Value(1.0) for _ in range(256)]
while len(row) > 1:
    row = [a + b for a, b in zip(row[::2], row[1::2], strict=True)]
row[0].backward()
assert all(x.grad == 1 for x in inputs)

# %%
# Questions
# ---------
#
# 1. What goes wrong if the oldest is first, ``min`` in place of ``max``? Draw ``y = x * x; z = y + x`` and try.
# 2. Why is ``fitted`` called in ``backward``, and not in the rules of ``__add__`` and ``__mul__``?
# 3. Add ``log`` and ``tanh``. Why is your rule of tanh inexact at 20? (See lesson 11.)
#
# **Answers**
#
# 1. For x = 3 it gives 6, not 7. x is older than y, so it leaves with the 1 from z. Then y hands on 6, and x leaves a
#    second time, with 6 alone.
# 2. So it is written once. In the rules, each operation that broadcasts would need it, and one could forget it.
# 3. Their rules are ``g / self.data`` and ``g * (1 - y * y)``. At 20, y is rounded to 1; the library reads x, too.
