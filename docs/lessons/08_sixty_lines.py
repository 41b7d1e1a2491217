r"""
8 An autograd in sixty lines
============================

Here you write reverse mode from nothing: NumPy, and sixty lines. Then the library judges it. What is missing in it is
what the library's other lines are for.
"""

import itertools

import numpy as np

import tinygrad_nn as tg

# %%
# The whole of it
# ---------------
#
# A ``Value`` holds an array, the values that it was computed from, and a function that takes its cotangent back to
# them. ``number`` counts: a value is made after all that it reads, so the newest first is an order in which a
# cotangent is complete before it is passed on. No sorting, no recursion.

count = itertools.count()


def fitted(g, shape):
    """Return the cotangent summed over what was broadcast."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(axis for axis, n in enumerate(shape) if n == 1 and g.shape[axis] != 1)
    return g.sum(axis=stretched, keepdims=True)


class Value:
    __array_ufunc__ = None  # so that array * Value asks us

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

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -wrapped(other)

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
# The same function, with the same numbers, in both: the gradients agree to the last digit.

rng = np.random.default_rng(0)
arrays = {name: rng.normal(size=shape) for name, shape in {"X": (4, 3), "W": (3, 2), "b": (2,)}.items()}


def network(X, W, b):
    hidden = (X @ W + b).relu()
    return (hidden * hidden * 0.5 - hidden.exp()).sum()


ours = {name: Value(x) for name, x in arrays.items()}
network(**ours).backward()
theirs = {name: tg.tensor(x, requires_grad=True) for name, x in arrays.items()}
network(**theirs).backward()
for name in arrays:
    np.testing.assert_allclose(ours[name].grad, theirs[name].grad.data, rtol=1e-14)
    print(name, "agrees:", ours[name].grad.ravel()[:3].round(4))

# %%
# A value that is used twice gets the sum. That is the chain rule for several ways, and it is the line with ``+``.

x = Value(3.0)
(x * x + x).backward()
print("derivative of x² + x at 3:", x.grad)

# %%
# What is missing
# ---------------
#
# - **Second derivatives**: our rules compute with arrays, so nothing records them. The library's rules are expressions
#   that work on Tensors as well.
# - **Memory**: our functions keep everything they see. A node of the library keeps only what its rules read, and frees
#   it on the way back.
# - **Masks**: with ``0 * inf`` we get nan. And integers, dtypes, in-place assignment, hooks, errors with a remedy.
# - **Speed**: a search for the newest in a set is slow. Time a chain of 1,000 additions, and then the library's.

y = Value(1.0)
for _ in range(1000):
    y = y + 1.0
y.backward()
assert y.grad == 1

# %%
# Questions
# ---------
#
# 1. What goes wrong if ``backward`` takes the oldest first? Draw ``y = x * x; z = y + x`` and try.
# 2. Why is ``fitted`` called in ``backward``, and not in the rules of ``__add__`` and ``__mul__``?
# 3. Add ``log`` and ``tanh``. How many lines does an operation take, and how many in ``ops/elementwise.py``?
#
# **Answers**
#
# 1. For x = 3 it gives 6, not 7. x is older than y, so it leaves with the 1 from z. Then y hands on 6, and x leaves a
#    second time, with 6 alone.
# 2. It is written once. Each operation that broadcasts would need it in its rule, and the next one could forget it.
# 3. Three lines here, and one row there. The rule of tanh is ``g * (1 - y * y)``, that of log is ``g / self.data``.
