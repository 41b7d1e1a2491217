r"""
4b The article, trained
=======================

The experiment: tell apart two moons, half circles of noisy points with the labels 0 and 1. The network learns from 900
points; the other 100, the *test set*, are kept for the end. It reads 2 numbers and has layers of 25, 50, 50, 25 and 1
neurons, in short 2-25-50-50-25-1: with n · m weights and m biases from n to m neurons that makes 75 + 1,300 + 2,550 +
1,275 + 26 = 5,226 parameters. It learns by *gradient descent*, the update of the last part. An *epoch* goes through all
900 points once. Training has 10,000 epochs; in float32, whose numbers have 7 digits, they take some ten seconds. This
part draws the article's figures 7 and 8.
"""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import tinygrad_nn as tg

X, X_test, y, y_test = tg.data.train_test_split(*tg.data.make_moons())
X, X_test = X.astype(np.float32), X_test.astype(np.float32)
layers = [{"input_dim": n, "output_dim": m, "activation": "sigmoid" if m == 1 else "relu"}
          for n, m in [(2, 25), (25, 50), (50, 50), (50, 25), (25, 1)]]  # fmt: skip

# %%
# Figure 7: the data
# ------------------

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
tg.plots.plot_data(X, y, ax=ax)

# %%
# David and Goliath
# -----------------
#
# *David* is the article's own network: small weights (normal, with a deviation of 0.1), 10,000 epochs, one update on
# all samples in each. *Goliath* stands for the one that the article builds with the library Keras: initial weights by
# the formula of Xavier Glorot, uniform up to :math:`\sqrt{6 / (n + m)}` from n to m neurons; 200 epochs, where the
# samples come in *batches* of 32, with one update for each batch. Both learn at a rate of 0.01. *Accuracy* is the share
# of samples whose output is on the right side of 1/2.

seen = {"David": [], "Goliath": []}
grid = np.stack(np.meshgrid(np.linspace(-1.5, 2.5, 60), np.linspace(-1, 2, 60)), axis=-1).reshape(-1, 2)


def watching(name, network, every):
    def note(epoch, history):
        if epoch % every == every - 1:
            seen[name].append(network.predict_proba(grid).reshape(60, 60))

    return note


david, goliath = (tg.nn.DenseNetwork(layers, seed=2, dtype="float32", init=i) for i in ("article", "xavier"))
history = tg.train(david, X, y, 10_000, 0.01, progress=False, on_epoch=watching("David", david, 1000))
tg.train(goliath, X, y, 200, 0.01, 32, progress=False, on_epoch=watching("Goliath", goliath, 20))
for epoch in (0, 1000, 2000, 5000, 9999):
    print(f"David, epoch {epoch:5,}: cost {history.cost[epoch]:.6f}, accuracy {history.accuracy[epoch]:.3f}")
for name, network in (("David", david), ("Goliath", goliath)):
    print(f"{name}: {tg.evaluate(network, X_test, y_test)[1]:.0%} of the test set are right")

# %%
# Figure 8: both boundaries
# -------------------------

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, network, name in zip(axes, (david, goliath), seen, strict=True):
    tg.plots.plot_boundary(network.predict_proba, X_test, y_test, ax=ax, title=name)

# %%
# For a long time David learns nothing, since small weights give small gradients: on the way back, the gradient of a
# layer is multiplied by the weights of all layers between it and the output. Here is the size of the first gradient of
# W1 for both. The cost is computed from the last Z, as the next part explains; ``tg.autograd.grad(y, [x])`` returns the
# gradients of a y that is computed already, and leaves ``x.grad`` alone.

for name, init in (("David", "article"), ("Goliath", "xavier")):
    network = tg.nn.DenseNetwork(layers, seed=2, dtype="float32", init=init)
    cost = tg.binary_cross_entropy_with_logits(network.logits(X), y.reshape(-1, 1))
    (gradient,) = tg.autograd.grad(cost, [network.values["W1"]])
    print(f"{name}, before training: the gradient of W1 has the length {np.linalg.norm(gradient.data):.4f}")

# %%
# Both as they learn, side by side.


class Animated:
    """Pictures one after the other, in a page or a notebook."""

    def __init__(self, figure, draw, count):
        images = []
        for number in range(count):
            draw(number)
            figure.savefig(file := io.BytesIO(), dpi=70)
            images.append(Image.open(file).convert("P"))
        images[0].save(file := io.BytesIO(), "GIF", save_all=True, append_images=images[1:], duration=500, loop=0)
        self.code = base64.b64encode(file.getvalue()).decode()

    def _repr_html_(self):
        return f'<img alt="Both boundaries as they are learnt" src="data:image/gif;base64,{self.code}">'


figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")


def draw(number):
    for ax, (name, boundaries) in zip(axes, seen.items(), strict=True):
        ax.clear()
        ax.contourf(boundaries[number], levels=np.linspace(0, 1, 11), cmap="RdBu", extent=(-1.5, 2.5, -1, 2))
        ax.scatter(*X_test.T, c=y_test, s=8, cmap="bwr")
        ax.set_title(f"{name}, {10 * (number + 1)} % of its training")


moving = Animated(figure, draw, 10)
plt.close(figure)
moving

# %%
# Is Goliath better? He has 100 % of the test set right and David 98 %, a difference of two points in 100: too few to
# say. He gets there sooner, but not by better gradients: the same rules compute both. Initial weights and batches
# differ. 900 samples make 29 batches, the last of 4 samples. So 200 epochs are 5,800 updates where David has 10,000,
# all at the same rate, and Glorot's weights let him start at once.
#
# Questions
# ---------
#
# 1. How many parameters has the network that is drawn in the first part, 2-4-6-6-4-1?
# 2. An epoch of Goliath's has 29 updates. How much does it cost, compared with an epoch of David's?
#
# **Answers**
#
# 1. 12 + 30 + 42 + 28 + 5 = 117.
# 2. About as many multiplications, since each sample is seen once. But 29 times as many calls of NumPy, and of updates.
