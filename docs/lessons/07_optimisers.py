r"""
7 Optimisers, drawn on a surface
================================

All optimisers ask for the gradient where they stand. They differ in what they remember, and in how they use it.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# The surface
# -----------
#
# A narrow valley that bends, with its lowest point at (0, 0): steep if you go across it, nearly flat if you follow it.
# A rate that is large enough to follow it is too large to go across.


def height(p):
    return 0.05 * p[0] ** 2 + (p[1] - 0.5 * tg.sin(p[0])) ** 2 * 2


START, STEPS = [-4.0, 1.5], 80
u, v = np.meshgrid(np.linspace(-5, 5, 200), np.linspace(-2.5, 2.5, 150))
surface = height((u, v)).data


def walk(make, schedule=lambda optimizer: None):
    """Return the points that an optimiser visits."""
    p = tg.tensor(START, requires_grad=True)
    optimizer, points = make([p]), [np.array(START)]
    scheduler = schedule(optimizer)
    for _ in range(STEPS):
        optimizer.zero_grad()
        height(p).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        points.append(p.data.copy())
    return np.array(points)


def draw(walks, title):
    """Draw the ways on the surface, and the heights."""
    _, (above, below) = plt.subplots(2, 1, figsize=(7, 6), height_ratios=(3, 2), layout="constrained")
    above.contour(u, v, surface, levels=np.geomspace(0.01, 20, 15), cmap="Greys_r", alpha=0.5)
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
# Plain descent, ``SGD``, is :math:`p \leftarrow p - \eta g`, with the rate :math:`\eta` and the gradient g. At 0.4 it
# zigzags from wall to wall, at 0.05 it creeps. *Momentum* keeps a velocity: :math:`v \leftarrow \mu v + g`, then
# :math:`p \leftarrow p - \eta v`. Parts of g that change their sign cancel; parts that stay add up, to ten times their
# size for :math:`\mu = 0.9`. *Nesterov's* variant steps along :math:`g + \mu v`, which looks one step ahead.

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
# These divide each entry of g by the root of what they remember of its square. Adagrad adds up,
# :math:`s \leftarrow s + g^2`: its steps shrink. RMSprop forgets, :math:`s \leftarrow 0.99 s + 0.01 g^2`, and starts
# with s = 0, so its first step is ten times the rate. Adam (0.999) corrects for that start, and has a velocity in place
# of g: entries of its steps are about the rate, however steep it is. Judge by the curves, not by the last heights.

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
# A schedule changes the rate: ``walk`` calls its step after the optimiser's. The cosine goes to 0: the swinging ends.


def swinging(ps):
    return SGD(ps, lr=0.1, momentum=0.9)


def cosine(optimizer):
    return tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)


third = {"rate 0.1": walk(swinging), "cosine": walk(swinging, cosine)}
draw(third, "A schedule, with momentum 0.9")
print({name: f"{height(points[-1]).item():.1e}" for name, points in third.items()})

# %%
# One of your own
# ---------------
#
# An optimiser is an ``update`` that changes nothing: from a parameter, its gradient and a state (what it remembers) it
# returns the new parameter and state. This one looks at signs only: it goes 1.2 times as far where the sign stays, and
# half as far where it changes, or is new. It is a simple form of the method *Rprop*.


class SignOnly(tg.optim.Optimizer):
    lr: float = tg.optim.Hyperparameter(0.1)

    def initial_state(self, w):
        return {"length": np.full(w.shape, self.lr), "before": np.zeros(w.shape)}

    def update(self, w, g, state):
        length = np.clip(state["length"] * np.where(np.sign(g) == state["before"], 1.2, 0.5), 1e-6, 1.0)
        return w - length * np.sign(g), {"length": length, "before": np.sign(g)}


draw({"signs only": walk(SignOnly), "Adam": second["Adam, 0.2"]}, "An optimiser of your own")

# %%
# Questions
# ---------
#
# 1. What is the largest rate at which plain descent on :math:`2 p^2` does not diverge? Try it.
# 2. Why has every entry of Adam's first step the size of the rate?
# 3. Which of these optimisers takes the same way if the height is multiplied by 10?
#
# **Answers**
#
# 1. 1/2. The gradient is 4p, so a step gives :math:`(1 - 4 \eta)\, p`. At 1/2 this is -p: it jumps to and fro for ever.
# 2. Corrected for the start, velocity and square are g and :math:`g^2` there: :math:`g / \sqrt{g^2}` is 1 or -1.
# 3. Those that divide by the size (but for ``eps``, which is added to it), and the one that looks at signs only.
