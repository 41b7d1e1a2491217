r"""
4a The article, in pictures
===========================

The article "Let's code a Neural Network in plain NumPy" (Piotr Skalski, 2018) builds a classifier from NumPy alone. A
*classifier* says to which of several classes a point belongs. This lesson has three parts, and draws all eight figures
of `the article <https://towardsdatascience.com/lets-code-a-neural-network-in-plain-numpy-ae7e74410795>`_. This part has
those that explain a network: 1, 2, 3, 5 and 6. The article draws a small network, 2-4-6-6-4-1: it reads 2 numbers, and
has layers of 4, 6, 6, 4 and 1 neurons. It trains a larger one, which comes in the next part.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg


def boxes(ax, places, arrows):
    """Draw boxes of text, and arrows from one to another."""
    drawn = {}
    for place, (text, colour) in places.items():
        style = {"boxstyle": "round", "fc": colour}
        drawn[place] = ax.text(*place, text, ha="center", va="center", bbox=style, fontsize=9).get_bbox_patch()
    for start, end in arrows:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "patchA": drawn[start], "patchB": drawn[end]})
    xs, ys = zip(*places, strict=True)
    ax.set(xlim=(min(xs) - 0.6, max(xs) + 0.6), ylim=(min(ys) - 0.6, max(ys) + 0.6))
    ax.axis("off")


# %%
# Figure 1: the architecture
# --------------------------
#
# A *network* is a function in *layers*; each reads the numbers of the layer before. A layer has *neurons*. Each
# computes one number: it multiplies each number that it reads by a *weight*, adds up the products and a *bias*, and
# applies an *activation*: :math:`\text{relu}(z) = \max(0, z)` or :math:`\text{sigmoid}(z) = 1 / (1 + e^{-z})`. The
# library takes a list of dictionaries, one per layer. Circles are neurons, in the first column inputs. Lines are
# weights (red if negative). Biases are not drawn.

architecture = [{"input_dim": n, "output_dim": k, "activation": "sigmoid" if k == 1 else "relu"}
                for n, k in [(2, 4), (4, 6), (6, 6), (6, 4), (4, 1)]]  # fmt: skip
network = tg.nn.DenseNetwork(architecture)
widths = [architecture[0]["input_dim"], *[layer["output_dim"] for layer in architecture]]
figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
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
# A *sample* is one point, with the output that we want for it. The *forward pass* computes the outputs of all samples
# from X and the parameters, weights W and biases b. The *cost* is one number that says how wrong they are; it is also
# called the loss. The *backward pass* is the walk of lesson 1: it reads what the forward pass has computed (the arrow
# across), and gives the gradients :math:`\bar W` and :math:`\bar b`. A gradient points in the direction in which the
# cost grows fastest, so the *update* steps the other way, with a *rate* that we choose. *Training* repeats all this.
#
# .. math:: W \leftarrow W - \text{rate} \cdot \bar W, \qquad b \leftarrow b - \text{rate} \cdot \bar b

figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
stages = {(0, 1): ("data X", "#eeeeee"), (1.5, 1): ("forward", "#cfe3f7"), (3, 1): ("cost", "#cfe3f7")}
stages |= {(3, 0): ("backward", "#f7d9cf"), (1.5, 0): ("update", "#d8f0d0"), (0, 0): ("parameters W, b", "#eeeeee")}
order = [(0, 1), (1.5, 1), (3, 1), (3, 0), (1.5, 0), (0, 0), (1.5, 1)]
boxes(ax, stages, [*itertools.pairwise(order), ((1.5, 1), (3, 0))])

# %%
# Figures 3 and 5: the shapes of a layer, and of a step
# -----------------------------------------------------
#
# The sums of a layer are called Z. Its activation turns them into A, which the next layer reads; A0 is X. Samples are
# rows here, and columns in the article. For m samples, a layer of k neurons that reads n numbers has these shapes::
#
#     here:         A (m, n) @ W.T (n, k) + b (k,)   = Z (m, k), where W is (k, n)
#     the article:  W (k, n) @ A   (n, m) + b (k, 1) = Z (k, m)
#
# The article's code keeps, in a dictionary ``memory``, the A that each layer reads and its Z, for the backward pass.
# Our ``memory`` has all A and Z. We print the shapes for 5 samples, and draw those of layer 2 to scale.

X = np.random.default_rng(0).normal(size=(5, 2))
memory = network.memory(X)
for number in range(1, len(widths)):
    W, b = network.values[f"W{number}"], network.values[f"b{number}"]
    A, Z = memory[f"A{number - 1}"], memory[f"Z{number}"]
    print(f"layer {number}:  A {A.shape} @ W.T {W.T.shape} + b {b.shape} = Z {Z.shape}")
figure, ax = plt.subplots(figsize=(7, 2.2), layout="constrained")
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
# Figure 6: forward and backward through one layer
# ------------------------------------------------
#
# These are the formulas for one layer that reads :math:`A_0` and has the activation g; samples are rows:
#
# .. math:: Z = A_0 W^\top + b, \qquad A = g(Z)
#
# .. math:: \bar Z = \bar A \circ g'(Z), \quad \bar W = \bar Z^\top A_0, \quad \bar b = \sum_i \bar{Z_i},
#    \quad \bar{A_0} = \bar Z W
#
# Each entry of A reads one of Z, so :math:`\bar Z` is a product entry by entry, :math:`\circ`. Sample i and neuron k
# have :math:`Z_{ik} = \sum_j A_{0,ij} W_{kj} + b_k`. So :math:`W_{kj}` is used for every sample, with the slope
# :math:`A_{0,ij}`, and so is :math:`b_k`, with the slope 1. :math:`A_{0,ij}` is used by every neuron, with the slope
# :math:`W_{kj}`. Add up what they hand back:
#
# .. math:: \bar{W_{kj}} = \sum_i \bar{Z_{ik}} A_{0,ij}, \quad \bar{b_k} = \sum_i \bar{Z_{ik}}, \quad
#    \bar{A_{0,ij}} = \sum_k \bar{Z_{ik}} W_{kj}
#
# These formulas read ``A0``, ``Z`` and ``W``, so the forward pass must keep them. (For relu A will do in place of Z: it
# is above 0 where Z is.) Code and pictures write ``dZ`` for :math:`\bar Z`; there ``*`` is the product entry by entry.

figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
forward = {(0, 1): ("A0", "#eeeeee"), (1.5, 1): ("Z = A0 @ W.T + b", "#cfe3f7"), (3, 1): ("A = g(Z)", "#cfe3f7")}
backward = {(0, 0): ("dA0 = dZ @ W", "#f7d9cf"), (1.5, 0): ("dZ = dA * g'(Z)", "#f7d9cf")}
backward |= {(3, 0): ("dA, from\nthe next layer", "#eeeeee"), (1.5, -1): ("dW = dZ.T @ A0,  db = sum of dZ", "#d8f0d0")}
row, below = list(forward), list(backward)
boxes(ax, forward | backward, [*itertools.pairwise([*row, *below[2::-1]]), (below[1], below[3])])

# %%
# The formulas are right: here they are, against the library, for layer 2, so A0 is the A1 of the network, and dA is
# made up. The slope of relu is 1 where Z is above 0.

A0, Z = memory["A1"].data, memory["Z2"].data
dA = np.random.default_rng(1).normal(size=Z.shape)
dZ = dA * (Z > 0)
t, W, b = (tg.tensor(x.data, requires_grad=True) for x in (memory["A1"], network.values["W2"], network.values["b2"]))
tg.relu(t @ W.T + b).backward(dA)
assert np.allclose(t.grad.data, dZ @ W.data)
assert np.allclose(W.grad.data, dZ.T @ A0)
assert np.allclose(b.grad.data, dZ.sum(axis=0))

# %%
# The next part trains the larger network, and lets the library derive all of this. Questions stand at its end.
