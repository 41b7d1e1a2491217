r"""
4b The article, trained
=======================

The experiment: tell apart two moons, half circles of noisy points with the labels 0 and 1. The network learns from 900
points; the other 100, the *test set*, are kept for the end. The network is 2-25-50-50-25-1: it reads 2 numbers and has
layers of 25, 50, 50, 25 and 1 neurons. A layer of k neurons that reads n numbers has k · n weights and k biases. That
makes 75 + 1,300 + 2,550 + 1,275 + 26 = 5,226 parameters. It learns by *gradient descent*, the update of the last part.
An *epoch* goes through all 900 points once. Training has 10,000 epochs; in float32, whose numbers have 7 digits, they
take some ten seconds. This part draws the article's figures 7 and 8.
"""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import tinygrad_nn as tg

X, X_test, y, y_test = tg.data.train_test_split(*tg.data.make_moons())
X, X_test = X.astype(np.float32), X_test.astype(np.float32)
layers = [{"input_dim": n, "output_dim": k, "activation": "sigmoid" if k == 1 else "relu"}
          for n, k in [(2, 25), (25, 50), (50, 50), (50, 25), (25, 1)]]  # fmt: skip

# %%
# Figure 7: the data
# ------------------

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
tg.plots.plot_data(X, y, ax=ax)

# %%
# David and Goliath
# -----------------
#
# *David* is the article's own network: small weights (normal, with a standard deviation of 0.1), 10,000 epochs, and one
# update on all samples in each. *Goliath* is our copy of the network that the article builds with the library Keras.
# Its initial weights follow a formula of Xavier Glorot: for a layer of k neurons that reads n numbers, they are drawn
# uniformly between :math:`-\sqrt{6 / (n + k)}` and :math:`\sqrt{6 / (n + k)}`. It has 200 epochs, where the samples
# come in *batches* of 32, with one update for each batch. Both learn at a rate of 0.01. *Accuracy* is the share of
# samples whose output is on the right side of 1/2.

seen = {"David": [], "Goliath": []}
grid = np.stack(np.meshgrid(np.linspace(-1.5, 2.5, 60), np.linspace(-1, 2, 60)), axis=-1).reshape(-1, 2)


def watching(name, network, every):
    def note(epoch, history):
        if epoch % every == every - 1:
            seen[name].append(network.predict_proba(grid).reshape(60, 60))

    return note


david, goliath = (tg.nn.DenseNetwork(layers, seed=2, dtype="float32", init=i) for i in ("article", "xavier"))
assert sum(p.size for p in david.parameters()) == 5226
history = tg.train(
    david, X, y, epochs=10_000, learning_rate=0.01, progress=False, on_epoch=watching("David", david, 1000)
)
tg.train(
    goliath, X, y, epochs=200, learning_rate=0.01, batch_size=32,
    progress=False, on_epoch=watching("Goliath", goliath, 20),
)  # fmt: skip
for epoch in (0, 1000, 2000, 5000, 9999):
    print(f"David, epoch {epoch:5,}: cost {history.cost[epoch]:.6f}, accuracy {history.accuracy[epoch]:.3f}")
for name, network, expected in (("David", david, 0.98), ("Goliath", goliath, 1.0)):
    cost, accuracy = tg.evaluate(network, X_test, y_test)
    print(f"{name}: {accuracy:.0%} of the test set are right")
    assert abs(accuracy - expected) < 0.015

# %%
# Figure 8: both boundaries
# -------------------------

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, network, name in zip(axes, (david, goliath), seen, strict=True):
    tg.plots.plot_boundary(network.predict_proba, X_test, y_test, ax=ax, title=name)

# %%
# For a long time David learns nothing: after 1,000 epochs the cost is still 0.691. Who answers 1/2 for every point has
# 0.693, which is log 2. The reason is that small weights give small gradients: on the way back, the gradient of a layer
# is multiplied by the weights of all layers between it and the output. Here is the norm of the first gradient of W1,
# the root of the sum of its squares: 0.0048 for David, and 0.0591 for Goliath, twelve times as much.
#
# The cost is computed from the last Z, ``network.logits(X)``, as the next part explains. ``tg.grad`` takes a function;
# ``tg.autograd.grad(y, [x])`` returns the gradients of a y that is computed already, and leaves ``x.grad`` alone.

assert np.isclose(history.cost[1000], 0.691, rtol=0, atol=1e-3)
for name, init, expected in (("David", "article", 0.0048), ("Goliath", "xavier", 0.0591)):
    network = tg.nn.DenseNetwork(layers, seed=2, dtype="float32", init=init)
    cost = tg.binary_cross_entropy_with_logits(network.logits(X), y.reshape(-1, 1))
    (gradient,) = tg.autograd.grad(cost, [network.values["W1"]])
    norm = np.linalg.norm(gradient.data)
    print(f"{name}, before training: the gradient of W1 has the norm {norm:.4f}")
    assert np.isclose(norm, expected, rtol=0, atol=1e-4)

# %%
# Both as they learn, side by side. (The next lines only make the animation.)


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
# Is Goliath better? It has 100 % of the test set right, and David 98 %. Two points of 100 are too few to decide.
# Goliath gets there with less work: 900 samples make 29 batches, the last of 4 samples, so 200 epochs are 5,800
# updates, where David has 10,000, and 200 passes over the data in place of 10,000. Its gradients are no better: the
# same rules compute both. Batches give it more updates for each pass, and Glorot's weights let it start at once.
#
# Questions
# ---------
#
# 1. How many parameters does the network of the first part, 2-4-6-6-4-1, have?
# 2. An epoch of Goliath has 29 updates. How much does it cost, compared with an epoch of David?
#
# **Answers**
#
# 1. 12 + 30 + 42 + 28 + 5 = 117.
# 2. About as many multiplications, since each sample is seen once. But it makes 29 times as many calls of NumPy.
