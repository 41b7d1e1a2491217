r"""
3 Broadcasting and its transpose
================================

You add a vector to every row of a matrix. NumPy repeats the vector for you: it *broadcasts*. The *loss* is the number
at which a computation ends, and the *gradient* of the vector holds the derivatives of the loss with respect to the
vector's entries. What is that gradient here? This lesson shows it, and why the library says it in one place only.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

X = tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
b = tg.tensor([10.0, 20.0, 30.0], requires_grad=True)
Y = X + b
print(Y.shape)

# %%
# One entry of ``b`` is used twice
# --------------------------------
#
# ``b[0]`` goes into ``Y[0, 0]`` and into ``Y[1, 0]``. A small change of ``b[0]`` moves both, so its derivative is the
# sum of both. ``Y`` is not one number, so we must tell the walk the derivative of some loss with respect to each entry
# of ``Y``: :math:`\bar Y`, the adjoint of lesson 1. For arrays an adjoint is usually called *cotangent*, and that of a
# leaf, which arrives in ``.grad``, is its gradient. We make a cotangent up.

cotangent = np.array([[1.0, 2.0, 3.0], [100.0, 200.0, 300.0]])
Y.backward(cotangent)
print("gradient of X:", X.grad.tolist())
print("gradient of b:", b.grad.tolist())
assert np.array_equal(b.grad.data, cotangent.sum(axis=0))

# %%
# So: **forward repeats, backward sums** over the axes that were repeated. With :math:`Y_{ij} = X_{ij} + b_j`,
#
# .. math:: \bar{b_j} = \sum_i \bar{Y_{ij}} \frac{\partial Y_{ij}}{\partial b_j} = \sum_i \bar{Y_{ij}}.
#
# Broadcasting is a linear map
# ----------------------------
#
# Repeating a vector of 3 numbers gives the 6 numbers of a 2 × 3 array. Read row by row, they are the product of the
# vector with a 6 × 3 matrix :math:`R` of ones and zeros: :math:`y_i = \sum_j R_{ij} v_j`. If :math:`g = \bar y`, a
# small change :math:`\delta v` changes the loss by
#
# .. math:: \sum_i g_i \sum_j R_{ij} \, \delta v_j = \sum_j \left( \sum_i R_{ij} \, g_i \right) \delta v_j,
#    \qquad \text{so} \quad \bar v = R^\top g.
#
# The walk multiplies by the transpose :math:`R^\top`, 3 × 6, which sums: it is *the transpose of repeating*. The matrix
# of all partial derivatives :math:`\partial y_i / \partial v_j` is called the *Jacobian*, here R. ``tg.jacobian(f)``
# returns the function that computes it at a point. A linear map has the same Jacobian everywhere.

R = tg.jacobian(lambda v: tg.broadcast_to(v, (2, 3)).reshape(6))(np.zeros(3)).data
print(R.astype(int))
v, u = np.array([1.0, 2.0, 3.0]), cotangent.reshape(6)
assert np.array_equal(R @ v, np.broadcast_to(v, (2, 3)).reshape(6))
assert np.array_equal(R.T @ u, cotangent.sum(axis=0))

# %%
# A picture: the matrix that repeats, and its transpose, which sums.

figure, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
for ax, matrix, title in zip(axes, (R, R.T), ("R repeats: 3 numbers to 6", "its transpose sums: 6 to 3"), strict=True):
    ax.imshow(matrix, cmap="Blues", vmin=0, vmax=1.4)
    ax.set(title=title, xticks=range(matrix.shape[1]), yticks=range(matrix.shape[0]))
    for (i, j), entry in np.ndenumerate(matrix):
        ax.text(j, i, f"{entry:.0f}", ha="center", va="center")

# %%
# Every way to repeat has its sum
# -------------------------------
#
# NumPy repeats an input of a step, or *operand*, along a new axis in front, along an axis of length 1, or, if it is a
# number, along all axes. Its gradient is summed over these axes, so it always has the shape of the operand. If shapes
# (3, 1) and (1, 4) give (3, 4), the first gradient is summed over axis 1, the second over axis 0. The next loop makes
# tensors t of shapes that broadcast to that of X. The loss is the sum of ``X * t``. A sum has slope 1 for each term,
# and the product has slope X for t: so X arrives at t. We sum X by hand, and compare. ``backward()`` **adds** to
# ``.grad``, so t is new each time. (``X.grad`` adds up; ``X.grad = None`` would reset it.)

for shape in [(2, 3), (3,), (1, 3), (2, 1), (1, 1), (1,), ()]:
    t = tg.tensor(np.full(shape, 2.0), requires_grad=True)
    (X * t).sum().backward()
    by_hand = X.data.copy()
    while by_hand.ndim > len(shape):  # axes that are new
        by_hand = by_hand.sum(axis=0)
    for axis, length in enumerate(shape):  # axes of length 1
        if length == 1:
            by_hand = by_hand.sum(axis=axis, keepdims=True)
    assert t.grad.shape == shape
    assert np.array_equal(t.grad.data, by_hand)
    print(f"{shape!s:8} gradient {t.grad.tolist()}")

# %%
# Where this is written
# ---------------------
#
# A *rule* is how the library writes a slope: a function of g, the cotangent of a step's output, that returns the
# cotangent of one input. In a rule, a and b are the inputs, and y is the output. For :math:`y = a b`, the rule for a is
# ``lambda g, b: g * b``, in ``ops/elementwise.py``. It says nothing about shapes. After each rule the *engine*, which
# does the walk, sums over the repeated axes, and brings the cotangent to the shape and dtype of its operand
# (``project`` in ``engine/cotangents.py``): one place for some 200 operations, so no rule can forget it. Besides g, the
# rules for a and b read:

for name in ("add", "multiply", "divide"):
    print(name, [rule.reads for rule in getattr(tg, name).operation.rules])
assert [rule.reads for rule in tg.divide.operation.rules] == [("b",), ("b", "y")]

# %%
# A node keeps only the arrays that its rules read, and the shapes and dtypes that ``project`` needs: ``add`` keeps no
# array, ``multiply`` keeps both. ``divide`` has the slopes :math:`1 / b` and :math:`-a / b^2 = -y / b`, so it keeps b
# and y, which later steps may keep anyway. In ``relu(x @ W + b)`` (lesson 4 has ``W.T``) the product keeps x and W, the
# sum nothing, and relu, which is max(0, z), its output: the slope is 1 where the output is above 0.
#
# The mistake that broadcasting hides
# -----------------------------------
#
# A network computes *predictions*, and *targets* are what they should be. Predictions of shape (n, 1) and targets of
# shape (n,) broadcast to (n, n): each prediction is compared with *all* targets. The mean of the squared differences is
# still a number, but it is least where every prediction is the mean of the targets, here 1.5. Now every prediction is
# right. But the gradient, which ``tg.grad`` computes, is half of each distance from 1.5 in place of 0.

targets = np.array([0.0, 1.0, 2.0, 3.0])
predictions = targets.reshape(4, 1)
gradient = tg.grad(lambda p: ((p - targets) ** 2).mean())(predictions).data
print("gradient:", gradient.tolist())
assert np.array_equal(gradient, (predictions - 1.5) / 2)

# %%
# ``tg.mse_loss``, :math:`\frac 1 n \sum_i (p_i - y_i)^2`, refuses these shapes, as do all losses that compare entries.

try:
    tg.mse_loss(predictions, targets)
except ValueError as error:
    print(error)

# %%
# Questions
# ---------
#
# 1. X has shape (2, 3), and c is a number that requires grad. Of how many entries is c's gradient in ``X * c`` a sum?
# 2. The transpose of "repeat" is "sum". What is the transpose of "sum over an axis"?
# 3. Why can ``add`` do without any array, where ``multiply`` keeps two?
#
# **Answers**
#
# 1. All 6.
# 2. Repeating: the matrix of summing is :math:`R^\top`, and its transpose is R again.
# 3. The slopes of a + b are 1, whatever a and b are. The slopes of a · b are b and a.
