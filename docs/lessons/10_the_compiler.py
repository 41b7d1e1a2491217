r"""
10 How the compiler turns a step into a program
===============================================

A training step does the same NumPy calls every time. ``tg.compile`` writes them down once, as a program without
Tensors and graphs, and runs that from then on. This lesson follows one step through it.
"""

import re

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# A function, first as it is
# --------------------------


def loss(w, X, y):
    return tg.mse_loss(tg.tanh(X @ w), y)


slope = tg.grad(loss)
rng = np.random.default_rng(0)
w, X, y = rng.normal(size=3), rng.normal(size=(50, 3)), rng.normal(size=50)
print(slope(w, X, y).numpy().round(4))

# %%
# Traced
# ------
#
# On the first call the arrays are replaced by *proxies*. A proxy computes like an array and notes every NumPy call. A
# rule is a NumPy expression too, so the backward pass is noted as well. The result is a list of lines.

compiled = tg.compile(slope)
assert np.array_equal(compiled(w, X, y).data, slope(w, X, y).data)
print(compiled.explain())

# %%
# Written for people, and for speed
# ---------------------------------
#
# ``explain()`` is for people. ``source`` is what runs: the same lines, each with a place in memory that is planned
# ahead. An array that is no longer read gives its memory to the next one, so a call allocates only what it returns.

print("\n".join(line for line in compiled.source.splitlines() if "out=" in line))
print("memory of a call:", re.search(r"memory (.*)", str(compiled.report()))[1])

# %%
# A whole step
# ------------
#
# Forward, backward and update are one program. Parameters are *live*: the program reads and writes them.

architecture = [
    {"input_dim": 2, "output_dim": 16, "activation": "relu"},
    {"input_dim": 16, "output_dim": 1, "activation": "sigmoid"},
]
network = tg.nn.DenseNetwork(architecture, seed=2)
optimizer = tg.optim.SGD(network.parameters(), lr=0.5)


@tg.compile
def step(X, y):
    loss = tg.binary_cross_entropy_with_logits(network.logits(X), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


X, y = tg.data.make_moons(200)
y = y.reshape(-1, 1).astype(float)
costs = [step(X, y).item() for _ in range(300)]
optimizer.lr = 0.05  # live: the next call uses it, and nothing is traced again
costs += [step(X, y).item() for _ in range(100)]
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.semilogy(costs)
ax.axvline(300, ls=":", color="grey")
ax.set(xlabel="call", ylabel="cost", title="The rate changes at call 300")

# %%
# What a program cannot do again
# ------------------------------
#
# A program repeats NumPy calls. Anything else that the function does would be lost, so it is refused, with the line:


@tg.compile
def stops(w):
    cost = (w * w).sum()
    return cost if cost < 1 else 2 * cost


try:
    stops(w)
except tg.errors.CompileError as error:
    print(re.sub(r"\S+/", "", str(error)))  # without the folders of this file

# %%
# The remedy is in the message: a choice between values is ``where``. Both sides are computed, one is taken.


@tg.compile
def chooses(w):
    cost = (w * w).sum()
    return tg.where(cost < 1, cost, 2 * cost)


large = 10 * w
assert np.isclose(chooses(w).item(), w @ w)
assert np.isclose(chooses(large).item(), 2 * large @ large)

# %%
# What is frozen
# --------------
#
# What a called function reads outside is read once, as in ``jax.jit``. ``constants`` shows it. With ``verify=True`` the
# function runs beside its program, and a difference is an error.

settings = {"scale": 2.0}


def scaled(w):
    return helper(w)


def helper(w):
    return settings["scale"] * w


program = tg.compile(scaled)
print(program(np.ones(2)).tolist(), "baked in:", program.constants)

# %%
# Questions
# ---------
#
# 1. Call ``compiled`` with 60 samples. How many programs are there then? See ``compiled.report()``.
# 2. Where in ``explain()`` is the rule of ``tanh``? Which line would be different for ``sigmoid``?
# 3. New weights go into new memory, and all are swapped at the end. Why not into the old weights' place at once?
#
# **Answers**
#
# 1. Two, one for each combination of shapes. The report lists both, and why the second was made: other arguments.
# 2. In the line of ``dvector_product1``. For ``sigmoid`` it would end in ``(0.5 / np.cosh(0.5 * ...)) ** 2``.
# 3. A guard may fail, or a line raise. Then the old values are still whole, and no half step is left.
