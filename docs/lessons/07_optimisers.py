r"""
7 Optimisers, drawn on a surface
================================

All optimisers get the same gradients. They differ in what they remember. This lesson draws their ways on one surface.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# The surface
# -----------
#
# A narrow valley that bends: across it is steep, along it is flat. A rate that is good along it is too large across.


def height(p):
    return 0.05 * p[0] ** 2 + (p[1] - 0.5 * tg.sin(p[0])) ** 2 * 2


START, STEPS = [-4.0, 1.5], 80
u, v = np.meshgrid(np.linspace(-5, 5, 200), np.linspace(-2.5, 2.5, 150))
surface = height((u, v)).data


def walk(make):
    """Return the points that an optimiser visits."""
    p = tg.tensor(START, requires_grad=True)
    optimizer, points = make([p]), [np.array(START)]
    for _ in range(STEPS):
        optimizer.zero_grad()
        height(p).backward()
        optimizer.step()
        points.append(p.data.copy())
    return np.array(points)


def draw(walks, title):
    """Draw the ways on the surface, and the heights below."""
    _, (above, below) = plt.subplots(2, 1, figsize=(7, 6), height_ratios=(3, 2), layout="constrained")
    above.contour(u, v, surface, levels=np.geomspace(0.01, 20, 15), cmap="Greys")
    for name, points in walks.items():
        (line,) = above.plot(*points.T, ".-", ms=3, lw=1, label=name)
        below.semilogy([height(p).item() for p in points], color=line.get_color())
    above.set(title=title, xlim=(-5, 5), ylim=(-2.5, 2.5))
    above.legend(loc="lower right", fontsize=8)
    below.set(xlabel="step", ylabel="height")


# %%
# Gradient descent, and a memory of the direction
# -----------------------------------------------
#
# Plain descent: :math:`p \leftarrow p - \eta g`. It zigzags across the valley, or creeps along it. Momentum keeps a
# velocity, :math:`v \leftarrow \mu v + g`, and moves by that: what changes sign cancels, what stays adds up.

SGD = tg.optim.SGD
first = {
    "rate 0.05": walk(lambda ps: SGD(ps, lr=0.05)),
    "rate 0.4": walk(lambda ps: SGD(ps, lr=0.4)),
    "rate 0.05, momentum 0.9": walk(lambda ps: SGD(ps, lr=0.05, momentum=0.9)),
    "the same, Nesterov": walk(lambda ps: SGD(ps, lr=0.05, momentum=0.9, nesterov=True)),
}
draw(first, "SGD")

# %%
# A memory of the size
# --------------------
#
# RMSprop and Adam divide by the size that gradients had, entry by entry: steep and flat directions get steps of the
# same length. Adam keeps a velocity as well. Adagrad never forgets, so its steps shrink.

second = {
    "Adagrad, 0.5": walk(lambda ps: tg.optim.Adagrad(ps, lr=0.5)),
    "RMSprop, 0.1": walk(lambda ps: tg.optim.RMSprop(ps, lr=0.1)),
    "Adam, 0.2": walk(lambda ps: tg.optim.Adam(ps, lr=0.2)),
}
draw(second, "Methods that adapt")
for name, points in (first | second).items():
    print(f"{name:24} height after {STEPS} steps: {height(points[-1]).item():.1e}")

# %%
# A rate that changes
# -------------------
#
# A schedule multiplies the rate. Here the cosine goes from the first rate to 0. The momentum's overshoot fades away.


def scheduled(ps):
    optimizer = SGD(ps, lr=0.1, momentum=0.9)
    scheduler = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    step = optimizer.step

    def both():
        step()
        scheduler.step()

    optimizer.step = both
    return optimizer


draw({"rate 0.1": walk(lambda ps: SGD(ps, lr=0.1, momentum=0.9)), "cosine": walk(scheduled)}, "A schedule")

# %%
# One of your own
# ---------------
#
# An optimiser is a pure ``update``: from a parameter, its gradient and a state, the new parameter and state. This one
# looks at signs only, as Rprop does: it goes 1.2 times as far where the sign stays, and half as far where it changes.


class SignOnly(tg.optim.Optimizer):
    lr = tg.optim.Hyperparameter()

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)

    def initial_state(self, w):
        return {"length": np.full(w.shape, self.lr), "before": np.zeros(w.shape)}

    def update(self, w, g, state):
        length = np.clip(state["length"] * np.where(np.sign(g) == state["before"], 1.2, 0.5), 1e-6, 1.0)
        return w - length * np.sign(g), {"length": length, "before": np.sign(g)}


draw({"signs only": walk(SignOnly), "Adam": second["Adam, 0.2"]}, "An optimiser in five lines")

# %%
# Questions
# ---------
#
# 1. What is the largest rate at which plain descent on :math:`2 p^2` does not diverge? Try it.
# 2. Why do Adam's first steps all have the length of the rate?
# 3. Which of these optimisers takes the same way if the height is multiplied by 10?
#
# **Answers**
#
# 1. 1/2. The gradient is 4p, so a step gives :math:`(1 - 4 \eta)\, p`. At 1/2 this is -p: it jumps to and fro for ever.
# 2. Velocity and size come from the same gradient at first: :math:`g / \sqrt{g^2}` is 1 or -1, whatever its length.
# 3. Adagrad, RMSprop and Adam, which divide by the size (all but for ``eps``), and the one that looks at signs only.
