r"""
11 Reading the engine
=====================

Five files are the whole idea: ``engine/node.py``, ``engine/reverse.py``, ``engine/rules.py``, ``engine/operation.py``
and the table in ``ops/elementwise.py``, some 590 lines. Open them beside this page. For each there are questions that a
reader may have, and code that answers them. The code looks inside the engine: it uses names that are not public, many
with a ``_`` in front. Read them, but do not use them in programs.
"""

import inspect
import pathlib

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.engine.node import history
from tinygrad_nn.engine.reverse import pullback

package = pathlib.Path(tg.__file__).parent
for name in ("engine/node", "engine/reverse", "engine/rules", "engine/operation", "ops/elementwise"):
    text = (package / f"{name}.py").read_text(encoding="utf-8")
    print(f"{name}.py: {text.count(chr(10))} lines. {text.splitlines()[0].strip(chr(34))}")

# %%
# node.py: what is recorded?
# --------------------------
#
# **What does a node keep of** ``relu(x @ W + b)`` **?** The product keeps x and W, because the rule of each reads the
# other. The sum keeps nothing. relu keeps its output. No node keeps the product or the sum.

rng = np.random.default_rng(0)
x, W, b = (tg.tensor(rng.normal(size=shape), requires_grad=True) for shape in ((4, 3), (3, 2), (2,)))
y = tg.relu(x @ W + b)
for node in history([y._node]):
    kept = [np.shape(array) for array in node.saved if array is not None]
    print(f"node {node.operation.name if node.operation else 'leaf':8} of shape {node.shape}: keeps arrays {kept}")

# %%
# **Why is "newest first" a valid order?** A node is made after all the nodes that it reads. So its number is larger
# than theirs. From large numbers to small, all nodes that read a node come before it, so its cotangent is complete.

for node in history([y._node]):
    assert all(parent.number < node.number for parent in node.parents if parent is not None)

# %%
# **Why does a chain of 300,000 operations not overflow the stack?** ``history`` is a loop over a list, not a recursion.

t = tg.tensor(1.0, requires_grad=True)
long = t
for _ in range(20_000):
    long = long + 1.0
long.backward()
print("gradient through 20,000 additions:", t.grad.item())

# %%
# reverse.py: one loop
# --------------------
#
# Read ``pullback`` with this in mind: a node *leaves* with its complete cotangent; what the rules make of it *arrives*
# at the parents. That is all. Count its lines:

source = inspect.getsource(pullback)
print(source.count("\n"), "lines, its description and comments among them")

# %%
# **When is memory freed?** On the way: ``node.parents = node.saved = None``. A second backward pass says so.

y.sum().backward()
try:
    y.sum().backward()
except tg.errors.FreedGraphError as error:
    print(error)

# %%
# **How does create_graph work?** The same loop, the same rules, but the cotangents are Tensors. So the rules record.

v = tg.tensor(2.0, requires_grad=True)
(first,) = tg.autograd.grad(v**3, [v], create_graph=True)
print("recorded:", first.requires_grad, " derivative of 3v² at 2:", tg.autograd.grad(first, [v])[0].item())

# %%
# rules.py: what a rule reads
# ---------------------------
#
# **How does the engine know what to keep?** It looks at the names of the rule's parameters. No declaration is written
# twice, so none can be forgotten.

for name in ("add", "multiply", "exp", "tanh", "divide"):
    operation = getattr(tg, name).operation
    print(f"{name:8} reads", {rule.argument: rule.reads for rule in operation.rules})

# %%
# operation.py: one record
# ------------------------
#
# **What else follows from a declaration?** The public function, the method, the operator and NumPy's function are one:

z = np.array([0.5, 1.0])
t = tg.tensor(z)
assert np.array_equal(tg.tanh(t).data, t.tanh().data)
assert np.array_equal(np.tanh(t).data, t.tanh().data)
assert tg.tanh.operation.forward is np.tanh

# %%
# **Where does forward mode come from?** No rule is written for it. In an operation on corresponding entries the
# Jacobian is diagonal, so a rule that pulls a cotangent pushes a tangent as well. A linear operation pushes tangents
# through itself. Anything else is the transpose of its pullback.

value, tangent = tg.jvp(tg.tanh, (z,), (np.ones(2),))
assert np.allclose(tangent.data, tg.grad(lambda z: tg.tanh(z).sum())(z).data)

# %%
# elementwise.py: the table
# -------------------------
#
# One row is an operation. **Where is the sum over what was broadcast?** In no row: ``arrive`` does it, see lesson 3.
# **Why does tanh read x, when 1 - y * y needs only y?** At 20, y is 1 to the last digit, and 1 - y * y is 0. The slope
# is 1.7e-17, which ``tanh_slope`` gets right. In the figure, 1 - y * y ends where its digits end:

print("1 - y*y:", 1 - np.tanh(20.0) ** 2, "  the rule:", tg.grad(tg.tanh)(20.0).item())
grid = np.linspace(0.0, 30.0, 200)
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.semilogy(grid, tg.grad(lambda z: tg.tanh(z).sum())(grid).data, label="slope of tanh, by the rule")
ax.semilogy(grid, 1 - np.tanh(grid) ** 2, "--", label="1 - y * y")
ax.legend()
plt.show()

# %%
# Where to go from here
# ---------------------
#
# ``engine/cotangents.py`` is where cotangents are added and brought to shape, ``engine/zero_safe.py`` is why a mask
# keeps nan out, ``tensor/calls.py`` is the only code written for speed, and the compiler is four folders in the order
# in which data flows: trace, lower, write, run. The page on architecture has a map of all rooms.
#
# Questions
# ---------
#
# 1. ``y = x * x``: how many entries has ``node.parents``, and how often does something arrive at x?
# 2. What would break if ``saved`` held Tensors in place of arrays? (Think of ``t += 1`` after the forward pass.)
# 3. ``maximum(x, 0)`` at 0 has the gradient 0, ``maximum(a, b)`` at a tie 1/2. Which name in its rules makes that so?
#
# **Answers**
#
# 1. Two, both the node of x. Twice, with x each time, so the gradient is 2x.
# 2. ``t += 1`` gives the handle another array. A Tensor in ``saved`` would then show the rule the new value.
# 3. ``wanted``, which says of each operand whether it requires grad. At a tie against a constant the share is 0.
