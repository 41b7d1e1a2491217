r"""
9 Your own operation
====================

An operation is a function of arrays with a rule for each input. You write both, and get second derivatives and forward
mode from them. Like any other operation, yours can be compiled and drawn. Then the library's own tests judge it.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.primitive import primitive

# %%
# Do you need one?
# ----------------
#
# A function of Tensors is differentiable already. You need a rule of your own where it is better than a composition of
# operations: more exact, faster, or with fewer arrays to keep. Here is such a case. The *log-cosh* is a smooth absolute
# value, :math:`\log \cosh x`. As a composition it overflows, since cosh(1000) is more than any float64:

with np.errstate(over="ignore"):
    print(tg.log(tg.cosh(tg.tensor([1.0, 20.0, 1000.0]))).tolist())

# %%
# The forward: from :math:`\cosh x = e^{|x|} (1 + e^{-2|x|}) / 2`,
#
# .. math:: \log\cosh x = |x| + \log(1 + e^{-2|x|}) - \log 2.
#
# Its derivative is :math:`\tanh x`. So :math:`\bar x = \bar y \tanh x`, and with a scale,
# :math:`y = \log \cosh(s x) / s`, it is :math:`\tanh(s x)`. Parameters before ``/`` are inputs; those after it are
# settings, which get no derivative. A rule, also called *VJP* (vector-Jacobian product), names what it reads: ``g``,
# the cotangent, an input, the output ``y``, a setting. With ``method=False`` there is no ``x.log_cosh()``.


@primitive(method=False)
def log_cosh(x, /, scale=1.0):
    """Return log(cosh(scale * x)) / scale, without overflow. Shapes: (...) -> (...)."""
    a = np.abs(scale * x)
    return (a + np.log1p(np.exp(-2 * a)) - math.log(2)) / scale


@log_cosh.vjp
def rule(g, x, scale):
    return g * np.tanh(scale * x)


print(log_cosh(np.array([1.0, 20.0, 1000.0])).tolist())
# (math.log gives a number of Python's. np.log(2) is float64, and turns float32 into float64; check_op finds that.)

# %%
# What follows from it
# --------------------
#
# The rule is a NumPy expression, so Tensors go through it. That gives derivatives of any order, and forward mode.

x = np.array([-2.0, 0.5, 3.0])
slope = tg.grad(lambda x: log_cosh(x).sum())(x)
curvature = tg.grad(lambda x: tg.grad(lambda x: log_cosh(x).sum())(x).sum())(x)
assert np.allclose(slope.data, np.tanh(x))
assert np.allclose(curvature.data, 1 / np.cosh(x) ** 2)
value, tangent = tg.jvp(log_cosh, (x,), (np.ones(3),))
assert np.allclose(tangent.data, slope.data)
grid = np.linspace(-4, 4, 200)
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(grid, log_cosh(grid).data, label="log cosh")
ax.plot(grid, tg.grad(lambda x: log_cosh(x).sum())(grid).data, label="its slope")
ax.plot(grid, np.abs(grid), ":", label="|x|")
ax.legend()

# %%
# The tests that the library's own operations pass
# ------------------------------------------------
#
# ``check_op`` checks values against your reference, gradients against differences, and against the complex step where
# the forward gives complex numbers (here abs does not), second order, forward mode, float32 and float16, strided and
# read-only arrays, size 0, that nothing is written into ("purity"), and more. Each of ``inputs`` is one test: the
# shapes of the inputs, or a ``sample`` of shapes and settings.

tg.testing.check_op(
    log_cosh,
    lambda x, scale=1.0: np.log(np.cosh(scale * x)) / scale,
    inputs=[((2, 3),), tg.testing.sample((3,), scale=2.0)],
)
print("all properties hold")

# %%
# A mistake, and what is said of it
# ---------------------------------
#
# Forget the division by the scale. Without a reference the check sees only that value and rule do not fit.


@primitive(method=False)
def wrong(x, /, scale=1.0):
    """Return log(cosh(scale * x)): the division is missing."""
    return np.log(np.cosh(scale * x))


@wrong.vjp
def wrong_rule(g, x, scale):
    return g * np.tanh(scale * x)


try:
    tg.testing.check_op(wrong, inputs=[tg.testing.sample((3,), scale=2.0)])
except AssertionError as error:
    print(error)

# %%
# A rule that leaves the graph
# ----------------------------
#
# A rule that takes the array out of a Tensor records nothing, and a second derivative would be 0. It raises instead.


@primitive(method=False)
def cube(x, /):
    """Return x**3."""
    return x * x * x


@cube.vjp
def raw_rule(g, x):
    return g * 3 * (x.data if isinstance(x, tg.Tensor) else x) ** 2


print("first order:", tg.grad(cube)(2.0).item())
try:
    tg.grad(tg.grad(cube))(2.0)
except tg.errors.DetachedError as error:
    print(error)

# %%
# Questions
# ---------
#
# 1. Could the rule of ``log_cosh``, with scale 1, read ``y`` and not ``x``?
# 2. A rule may not write into ``g``. Which check of ``check_op`` finds a rule that does?
# 3. What does a node of ``log_cosh`` keep? Look at ``log_cosh.operation.rules[0].reads``.
#
# **Answers**
#
# 1. No: y is the same at x and -x, the slope is not. Its size, :math:`\sqrt{1 - e^{-2y}}`, would lose digits near 0.
# 2. "purity"; the message names the first that fails, "gradient", since what was overwritten is read again.
# 3. x and the scale. Not the result, and not ``a``: no rule reads them.
