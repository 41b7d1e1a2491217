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


def boxes(height, places, arrows):
    """Draw boxes of text, and arrows from one to another."""
    _, ax = plt.subplots(figsize=(7, height), layout="constrained")
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

stages = {(0, 1): ("data X", "#eeeeee"), (1.5, 1): ("forward", "#cfe3f7"), (3, 1): ("cost", "#cfe3f7")}
stages |= {(3, 0): ("backward", "#f7d9cf"), (1.5, 0): ("update", "#d8f0d0"), (0, 0): ("parameters W, b", "#eeeeee")}
order = [(0, 1), (1.5, 1), (3, 1), (3, 0), (1.5, 0), (0, 0), (1.5, 1)]
boxes(2.6, stages, [*itertools.pairwise(order), ((1.5, 1), (3, 0))])

# %%
# Figure 3: the shapes of one layer
# ---------------------------------
#
# The sums of a layer are called Z. Its activation turns them into A, which the next layer reads; A0 is X. A layer of k
# neurons that reads n numbers has a matrix W of k rows, one per neuron, and k biases. For one sample, z is the row
# :math:`a W^\top + b`. We draw layer 2: each number is a square, blue if negative and red if positive.

memory = network.memory(np.random.default_rng(0).normal(size=(5, 2)))  # all A and Z, for 5 samples


def shapes(**arrays):
    _, axes = plt.subplots(1, len(arrays), figsize=(7, 1.6), layout="constrained")
    for ax, (name, array) in zip(axes, arrays.items(), strict=True):
        most = abs(array.data).max()
        ax.imshow(np.atleast_2d(array.data), cmap="coolwarm", vmin=-most, vmax=most)
        ax.set_title(f"{name} {array.shape}", loc="left", fontsize=9)
        ax.set(xlim=(-0.5, 5.5), ylim=(5.5, -0.5))
        ax.axis("off")


W, b = network.values["W2"], network.values["b2"]
shapes(a=memory["A1"][0], W=W, b=b, z=memory["Z2"][0])

# %%
# Figure 5: the shapes of a step
# ------------------------------
#
# Samples are rows here, so m samples are m rows of A and of Z, and b is added to each::
#
#     here:         A (m, n) @ W.T (n, k) + b (k,)   = Z (m, k), where W is (k, n)
#     the article:  W (k, n) @ A   (n, m) + b (k, 1) = Z (k, m)

shapes(**{"A1": memory["A1"], "@ W2.T": W.T, "+ b2": b, "= Z2": memory["Z2"], "A2": memory["A2"]})
print({name: array.shape for name, array in memory.items()})

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
# :math:`W_{kj}`. Add up what they hand back: :math:`\bar{W_{kj}} = \sum_i \bar{Z_{ik}} A_{0,ij}`, and so on.
#
# These formulas read ``A0``, ``Z`` and ``W``, so the forward pass must keep them. (For relu A will do in place of Z: it
# is above 0 where Z is.) Code and pictures write ``dZ`` for :math:`\bar Z`; there ``*`` is the product entry by entry.

forward = {(0, 1): ("A0", "#eeeeee"), (1.5, 1): ("Z = A0 @ W.T + b", "#cfe3f7"), (3, 1): ("A = g(Z)", "#cfe3f7")}
backward = {(0, 0): ("dA0 = dZ @ W", "#f7d9cf"), (1.5, 0): ("dZ = dA * g'(Z)", "#f7d9cf")}
backward |= {(3, 0): ("dA, from\nthe next layer", "#eeeeee"), (1.5, -1): ("dW = dZ.T @ A0,  db = sum of dZ", "#d8f0d0")}
row, below = list(forward), list(backward)
boxes(2.6, forward | backward, [*itertools.pairwise([*row, *below[2::-1]]), (below[1], below[3])])

# %%
# The next part trains the larger network. The third holds these formulas against the gradients that the library finds.
#
# Questions
# ---------
#
# 1. A layer of 3 neurons reads 7 numbers. Which shapes have W, b and Z, for 100 samples?
# 2. Why is :math:`\bar b` a sum over samples, and :math:`\bar{A_0}` one over neurons?
#
# **Answers**
#
# 1. W is (3, 7), b is (3,), and Z is (100, 3).
# 2. One b is used for all samples. A number of A0 belongs to one sample, and all neurons read it.
