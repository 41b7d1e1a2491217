r"""
3 Broadcasting and its transpose
================================

You add a vector to every row of a matrix. NumPy repeats the vector for you: it *broadcasts*. What is the gradient of
the vector then? This lesson answers that, and shows why the answer is written once in the library, and in no rule.
"""

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
# sum of both. We give ``Y`` a cotangent :math:`\bar Y` (how much the loss changes with each entry of ``Y``), and look.

cotangent = np.array([[1.0, 2.0, 3.0], [100.0, 200.0, 300.0]])
Y.backward(cotangent)
print("gradient of X:", X.grad.tolist())
print("gradient of b:", b.grad.tolist())
assert np.array_equal(b.grad.data, cotangent.sum(axis=0))

# %%
# So: **forward repeats, backward sums** over the axes that were repeated. With :math:`Y_{ij} = X_{ij} + b_j`,
#
# .. math:: \bar b_j = \sum_i \bar Y_{ij} \frac{\partial Y_{ij}}{\partial b_j} = \sum_i \bar Y_{ij}.
#
# Broadcasting is a linear map
# ----------------------------
#
# Repeating a vector of 3 numbers into 6 is multiplication by a matrix :math:`R` of ones and zeros, 6 × 3. The reverse
# pass multiplies by its transpose :math:`R^\top`, 3 × 6, which sums. Here are both.

R = tg.jacobian(lambda v: tg.broadcast_to(v, (2, 3)).reshape(6))(np.zeros(3)).data
print(R.astype(int))
v, u = np.array([1.0, 2.0, 3.0]), cotangent.reshape(6)
assert np.array_equal(R @ v, np.broadcast_to(v, (2, 3)).reshape(6))
assert np.array_equal(R.T @ u, cotangent.sum(axis=0))

# %%
# A picture: the matrix that repeats, and its transpose, which sums.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(6, 3))
for ax, matrix, title in zip(axes, (R, R.T), ("R repeats: 3 numbers to 6", "its transpose sums: 6 to 3"), strict=True):
    ax.imshow(matrix, cmap="Blues", vmin=0, vmax=1.4)
    ax.set_title(title, fontsize=10)
    ax.set_xticks(range(matrix.shape[1]))
    ax.set_yticks(range(matrix.shape[0]))
    for (i, j), entry in np.ndenumerate(matrix):
        ax.text(j, i, f"{entry:.0f}", ha="center", va="center")
figure.tight_layout()

# %%
# Every way to repeat has its sum
# -------------------------------
#
# A new axis in front, an axis of length 1, a number: the gradient always has the shape of the operand. The next loop
# makes tensors of many shapes that fit to (2, 3), and compares the gradient with a sum that we write by hand.

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
# Look at the rule of multiplication: ``lambda g, b: g * b``. It says nothing about shapes. After each rule the engine
# brings the cotangent to the shape and dtype of its operand (``project`` in ``engine/cotangents.py``). It is one place
# for some 200 operations, so no rule can forget it. Here are the rules of three operations, as they are used:

for name in ("add", "multiply", "divide"):
    operation = getattr(tg, name).operation
    print(name, [rule.reads for rule in operation.rules])

# %%
# A rule lists what it reads, and the node keeps only that: ``add`` keeps nothing at all.
#
# The mistake that broadcasting hides
# -----------------------------------
#
# Predictions of shape (n, 1) and targets of shape (n,) broadcast to (n, n). The loss is a number, training runs, and
# what it learns is wrong. So the losses of this library refuse:

predictions, targets = tg.ones((4, 1)), np.zeros(4)
print("without a loss function:", ((predictions - targets) ** 2).shape)
try:
    tg.mse_loss(predictions, targets)
except ValueError as error:
    print(error)

# %%
# Questions
# ---------
#
# 1. ``Y = X * c`` with a number ``c`` that requires grad: over how many entries does its gradient sum?
# 2. The transpose of "repeat" is "sum". What is the transpose of "sum over an axis"?
# 3. Why does ``add`` keep no array for its backward pass, and ``multiply`` two?
