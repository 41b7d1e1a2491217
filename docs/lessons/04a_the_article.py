r"""
4 The article, in pictures
==========================

The article "Let's code a Neural Network in plain NumPy" (Piotr Skalski, 2018) builds a classifier from NumPy alone.
This lesson draws its figures 1 to 6 from the library's own objects: every number in a picture is read from a network,
and none is typed in. The second half of the lesson trains the network, which gives the figures 7 and 8.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg


def boxes(ax, places, arrows):
    """Draw boxes of text, and arrows from one to another."""
    for place, (text, colour) in places.items():
        ax.text(*place, text, ha="center", va="center", bbox={"boxstyle": "round", "fc": colour}, fontsize=9)
    for start, end in arrows:
        shrink = {"arrowstyle": "->", "shrinkA": 22, "shrinkB": 22}
        ax.annotate("", end, start, arrowprops=shrink)
    xs, ys = zip(*places, strict=True)
    ax.set(xlim=(min(xs) - 0.6, max(xs) + 0.6), ylim=(min(ys) - 0.6, max(ys) + 0.6))
    ax.axis("off")


# %%
# Figure 1: the architecture
# --------------------------
#
# A network is a list of dictionaries, one a layer. Circles are neurons, lines are weights: red ones are negative.

architecture = [
    {"input_dim": n, "output_dim": m, "activation": "sigmoid" if m == 1 else "relu"}
    for n, m in [(2, 4), (4, 6), (6, 6), (6, 4), (4, 1)]
]
network = tg.nn.DenseNetwork(architecture)
widths = [architecture[0]["input_dim"], *[layer["output_dim"] for layer in architecture]]
figure, ax = plt.subplots(figsize=(7, 3.5))
heights = [np.arange(width) - (width - 1) / 2 for width in widths]
for number in range(1, len(widths)):
    for (to, at), weight in np.ndenumerate(network.values[f"W{number}"].data):
        ends = [heights[number - 1][at], heights[number][to]]
        ax.plot([number - 1, number], ends, color="C3" if weight < 0 else "C0", alpha=0.5, lw=8 * abs(weight), zorder=1)
for number, ys in enumerate(heights):
    ax.scatter(np.full(len(ys), number), ys, s=220, color="white", edgecolors="black", zorder=2)
    ax.text(number, 3.2, "input" if number == 0 else architecture[number - 1]["activation"], ha="center")
ax.axis("off")

# %%
# Figure 2: one iteration of training
# -----------------------------------
#
# The forward pass reads the parameters, the backward pass reads what the forward pass kept, the update reads the
# gradients and writes the parameters. Then it starts again.

figure, ax = plt.subplots(figsize=(7, 2.6))
stages = {(0, 1): ("data X", "#eeeeee"), (1.5, 1): ("forward", "#cfe3f7"), (3, 1): ("cost", "#cfe3f7")}
stages |= {(3, 0): ("backward", "#f7d9cf"), (1.5, 0): ("update", "#d8f0d0"), (0, 0): ("parameters W, b", "#eeeeee")}
order = [(0, 1), (1.5, 1), (3, 1), (3, 0), (1.5, 0), (0, 0), (1.5, 1)]
boxes(ax, stages, [*itertools.pairwise(order), ((1.5, 1), (3, 0))])

# %%
# Figures 3 and 5: the shapes of a layer, and of a step
# -----------------------------------------------------
#
# Samples are rows here, and columns in the article, so each matrix is the transpose of the article's. ``memory`` has
# all that the forward pass computes; we print the shapes for 5 samples, and draw those of layer 2 to scale.

X = np.random.default_rng(0).normal(size=(5, 2))
memory = network.memory(X)
for number in range(1, len(widths)):
    W, b = network.values[f"W{number}"], network.values[f"b{number}"]
    A, Z = memory[f"A{number - 1}"], memory[f"Z{number}"]
    print(f"layer {number}:  A {A.shape} @ W.T {W.T.shape} + b {b.shape} = Z {Z.shape}")
figure, ax = plt.subplots(figsize=(7, 2.2))
left = 0.0
W, b = network.values["W2"], network.values["b2"]
for name, t in (("A1", memory["A1"]), ("@ W2.T", W.T), ("+ b2", b), ("= Z2", memory["Z2"])):
    rows, columns = t.shape if t.ndim == 2 else (1, t.size)
    ax.imshow(t.data.reshape(rows, columns), extent=(left, left + columns, -rows / 2, rows / 2), cmap="coolwarm")
    ax.text(left + columns / 2, rows / 2 + 0.4, f"{name}\n{t.shape}", ha="center", fontsize=9)
    left += columns + 2
ax.set(xlim=(-1, left), ylim=(-4, 5.5))
ax.axis("off")

# %%
# Figure 4: sigmoid and relu, with their slopes
# ---------------------------------------------
#
# The slopes come from ``tg.grad``. Far from 0 the sigmoid is flat: its slope is next to nothing, and a weight in front
# of it learns slowly. That is called *saturation*. At most, the slope is 1/4.

z = np.linspace(-8, 8, 401)
figure, axes = plt.subplots(1, 2, figsize=(7, 2.6))
for ax, activation in zip(axes, (tg.sigmoid, tg.relu), strict=True):
    slope = tg.grad(lambda x, f=activation: f(x).sum())(z)
    ax.plot(z, activation(z).data, label=activation.__name__)
    ax.plot(z, slope.data, "--", label="its slope")
    ax.set(xlabel="z", ylim=(-0.1, 1.5))
    ax.legend()
figure.tight_layout()
for at in (0.0, 4.0, 8.0, 16.0):
    print(f"slope of the sigmoid at {at:4}: {tg.grad(tg.sigmoid)(at).item():.1e}")

# %%
# Figure 6: forward and backward through one layer
# ------------------------------------------------
#
# In formulas, for one layer with samples as rows:
#
# .. math:: Z = A_0 W^\top + b, \qquad A = g(Z)
#
# .. math:: \bar Z = \bar A \circ g'(Z), \quad \bar W = \bar Z^\top A_0, \quad \bar b = \sum_i \bar Z_i,
#    \quad \bar A_0 = \bar Z W
#
# The backward pass goes through the same boxes the other way. It needs ``A0`` and ``Z``, which the forward pass kept.

figure, ax = plt.subplots(figsize=(7, 2.6))
forward = {(0, 1): ("A0", "#eeeeee"), (1.5, 1): ("Z = A0 W.T + b", "#cfe3f7"), (3, 1): ("A = g(Z)", "#cfe3f7")}
backward = {(0, 0): ("dA0 = dZ W", "#f7d9cf"), (1.5, 0): ("dZ = dA g'(Z)", "#f7d9cf"), (3, 0): ("dA", "#eeeeee")}
backward |= {(1.5, -1): ("dW = dZ.T A0,  db = sum of dZ", "#d8f0d0")}
row, below = list(forward), list(backward)
boxes(ax, forward | backward, [*itertools.pairwise([*row, *below[2::-1]]), (below[1], below[3])])

# %%
# The formulas are right: here they are, against the library, for layer 2.

A0, Z = memory["A1"].data, memory["Z2"].data
A = tg.nn.ReLU()(tg.tensor(Z))
dA = np.random.default_rng(1).normal(size=A.shape)
dZ = dA * (Z > 0)
t, W, b = (tg.tensor(x.data, requires_grad=True) for x in (memory["A1"], network.values["W2"], network.values["b2"]))
tg.relu(t @ W.T + b).backward(dA)
assert all(np.allclose(p.grad.data, right) for p, right in ((t, dZ @ W.data), (W, dZ.T @ A0), (b, dZ.sum(axis=0))))
# %%
# The next part trains the network, and lets the library derive all of this by itself.
