r"""
4c The article's claims, and its backward pass
==============================================

This part tests three claims of the article by computing, and draws its figure 4. Then comes the backward pass of the
network, three times: derived by hand, compared with the library's, and printed by the *compiler*, which writes down
what a function computes.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

X, X_test, y, y_test = tg.data.train_test_split(*tg.data.make_moons())
layers = [{"input_dim": n, "output_dim": k, "activation": "sigmoid" if k == 1 else "relu"}
          for n, k in [(2, 25), (25, 50), (50, 50), (50, 25), (25, 1)]]  # fmt: skip
david = tg.nn.DenseNetwork(layers, seed=2)  # not trained here

# %%
# Three claims
# ------------
#
# **Without activations the whole network is one affine map**, a matrix times x plus a constant: a layer is then affine,
# and :math:`W_2 (W_1 x + b_1) + b_2 = (W_2 W_1) x + (W_2 b_1 + b_2)` is affine, too. So its Jacobian (lesson 3) is the
# same at all points: the product of the weights, :math:`W_5 W_4 W_3 W_2 W_1`.

affine = tg.nn.DenseNetwork([layer | {"activation": "identity"} for layer in layers], seed=2)
at_two_points = [tg.jacobian(affine)(point).data for point in (X[:1], X[1:2])]  # arrays of one row
W = [affine.values[f"W{n}"].data for n in range(1, 6)]
assert np.allclose(*at_two_points)
assert np.allclose(at_two_points[0].reshape(2), np.linalg.multi_dot(W[::-1]).reshape(2))  # no axes of length 1

# %%
# **Equal weights stay equal.** If all neurons of a layer have the same weights and bias, they compute the same. If each
# neuron of the next layer gives all of them the same weight, they get the same gradient, and stay equal: 50 neurons are
# worth one. Here all parameters begin at 0.1. After 200 updates, all rows of W2 are still equal, with weights of
# 0.0498.

equal = tg.nn.DenseNetwork(layers)
for p in equal.parameters():
    p.data = np.full(p.shape, 0.1)
tg.train(equal, X, y, 200, 0.5, progress=False)
W2 = equal.values["W2"].data
print(f"different rows of W2: {len(np.unique(W2.round(12), axis=0))}; its weights moved from 0.1 to {W2[0, 0]:.4f}")
assert np.allclose(W2, 0.0498, rtol=0, atol=1e-4)

# %%
# **Saturation slows learning.** Figure 4 shows both activations with their slopes, from ``tg.grad``: it returns the
# function that computes the derivative. The slope of the sigmoid is
#
# .. math:: \sigma'(z) = \frac{e^{-z}}{(1 + e^{-z})^2} = \sigma (1 - \sigma)
#    = \tfrac 1 4 - \left( \sigma - \tfrac 1 2 \right)^2
#
# It is at most 1/4, and close to 0 where z is far from 0: the sigmoid is *saturated* there. Large weights make such z.
# The gradients of all weights that z is computed from have this slope as a factor. An update is the rate times the
# gradient: so it is tiny as well. (We show this by slopes and gradients, not by a training.)

z = np.linspace(-8, 8, 401)
figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
for ax, activation in zip(axes, (tg.sigmoid, tg.relu), strict=True):
    slope = tg.grad(lambda x, f=activation: f(x).sum())(z)
    ax.plot(z, activation(z).data, label=activation.__name__)
    ax.plot(z, slope.data, "--", label="its slope")
    ax.set(xlabel="z", ylim=(-0.1, 1.5))
    ax.legend()

# %%
# The article's cost is the cross entropy of the labels y and the outputs :math:`p = \sigma(z)` of m samples:
#
# .. math:: C = -\frac 1 m \sum \left( y \log p + (1 - y) \log(1 - p) \right)
#
# For one sample, where the last step multiplies by the slope :math:`p (1 - p)` of the sigmoid, the derivatives are
#
# .. math:: \frac{\partial C}{\partial p} = \frac 1 m \left( \frac{1 - y}{1 - p} - \frac y p \right)
#    = \frac{p - y}{m \, p (1 - p)}, \qquad
#    \frac{\partial C}{\partial z} = \frac{\partial C}{\partial p} \, p (1 - p) = \frac{p - y}{m}
#
# The slope cancels: with this cost a last layer whose answer is wrong has a large gradient, even if it is saturated.
# With the cost :math:`(p - y)^2` the slope stays. But :math:`\partial C / \partial p` divides by :math:`1 - p`, which
# loses its digits: at z = 39, p is rounded to 1, and the library divides by 1e-12 in place of 0. From z, which is
# called the *logit*, the library computes :math:`p - y` directly. We take one sample with the label y = 0, so these p
# are wrong, and the gradient should be p, about 1. At z = 39 it is 1.2e-05 from p, and 1.000 from z.

for logit in (1.3, 39.0):
    slope = tg.grad(tg.sigmoid)(logit).item()
    squared = tg.grad(lambda z: tg.mse_loss(tg.sigmoid(z), 0.0))(logit).item()
    from_p = tg.grad(lambda z: tg.binary_cross_entropy(tg.sigmoid(z), 0.0))(logit).item()
    from_z = tg.grad(lambda z: tg.binary_cross_entropy_with_logits(z, 0.0))(logit).item()
    print(f"z {logit:4}: slope {slope:.1e}, gradients: square {squared:.1e}, from p {from_p:.1e}, from z {from_z:.3f}")
assert np.allclose([from_p, from_z], [1.2e-5, 1], rtol=0.05)

# %%
# The backward pass, three times
# ------------------------------
#
# **By hand.** The last layer gives what we just derived, for all samples: :math:`P = A_5 = \sigma(Z_5)` has one p per
# row. Then come the formulas of figure 6, layer by layer. The 1/m comes in once, here, and is a factor of everything
# that follows. (The article leaves it out of dZ and dA, and divides dW and db instead.) The slope of relu is
# :math:`[Z > 0]`: 1 where that is true, 0 elsewhere (at Z = 0, where relu has a kink, 0 is a choice).
#
# .. math:: \bar{Z_5} = (P - Y) / m, \quad \bar{W_5} = \bar{Z_5}^\top A_4, \quad \bar{b_5} = \sum_i \bar{Z_{5,i}},
#    \quad \bar{A_4} = \bar{Z_5} W_5, \quad \bar{Z_4} = \bar{A_4} \circ [Z_4 > 0], \quad \ldots
#
# **By the library.** ``diff_backprop`` compares each array with the graph's. *Error* is the largest difference,
# relative to the largest entry of the graph's array. It is below 1e-14: in float64, with 16 digits, that is rounding.

memory, values = david.memory(X), {name: p.data for name, p in david.values.items()}
Y = y.reshape(-1, 1).astype(float)  # the labels are integers
by_hand = {"dZ5": (memory["A5"].data - Y) / len(X)}
for n in range(5, 0, -1):
    dZ = by_hand[f"dZ{n}"]
    by_hand |= {f"dW{n}": dZ.T @ memory[f"A{n - 1}"].data, f"db{n}": dZ.sum(axis=0)}
    if n > 1:
        by_hand[f"dA{n - 1}"] = dZ @ values[f"W{n}"]
        by_hand[f"dZ{n - 1}"] = by_hand[f"dA{n - 1}"] * (memory[f"Z{n - 1}"].data > 0)
report = tg.diff_backprop(tg.binary_cross_entropy(memory["A5"], Y), by_hand, tensors=memory)
print(report)
assert report
assert max(row.error for row in report.table) < 1e-14

# %%
# **Printed.** ``tg.compile`` writes the function as a program, and ``explain()`` prints that as you would have derived
# it. There the cost is called L. ``backward()`` adds to ``p.grad``, so the function sets it to None first. ``A4 > 0``
# is the same as ``Z4 > 0``, and A4 is kept anyway.


@tg.compile
def gradients(X, Y):
    for p in david.parameters():
        p.grad = None
    tg.binary_cross_entropy_with_logits(david.logits(X), Y).backward()


gradients(X, Y)
print("\n".join(line for line in gradients.explain().splitlines() if line.startswith("    d") or "dL/d" in line))
# %%
# Every line of the derivation by hand is there. Lesson 10 shows how the compiler finds them.
#
# Questions
# ---------
#
# 1. Why does the derivation by hand not divide by m in :math:`\bar{W_4}`?
# 2. Where is the slope of relu 0? What happens to a neuron whose Z is below 0 for all samples?
#
# **Answers**
#
# 1. Because :math:`\bar{Z_5}` has the 1/m already, and everything else is computed from that.
# 2. Below 0, and at 0 by choice. The neuron's weights get no gradient from any sample, and never change: it is *dead*.
