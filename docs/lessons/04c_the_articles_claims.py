r"""
4 The article's claims, and its backward pass
=============================================

Three claims of the article are shown here by computing. Then its backward pass three times: derived by hand, held
against the library's, and printed by the compiler.
"""

import numpy as np

import tinygrad_nn as tg

X, X_test, y, y_test = tg.data.train_test_split(*tg.data.make_moons())
layers = [{"input_dim": n, "output_dim": m, "activation": "sigmoid" if m == 1 else "relu"}
          for n, m in [(2, 25), (25, 50), (50, 50), (50, 25), (25, 1)]]  # fmt: skip
david = tg.nn.DenseNetwork(layers, seed=2)

# %%
# Three claims
# ------------
#
# **Without activations the whole network is one affine map.** Its Jacobian is the product of the weights, everywhere.

affine = tg.nn.DenseNetwork([layer | {"activation": "identity"} for layer in layers], seed=2)
at_two_points = [tg.jacobian(affine)(point).data for point in (X[:1], X[1:2])]
W = [affine.values[f"W{n}"].data for n in range(1, 6)]
assert np.allclose(*at_two_points)
assert np.allclose(at_two_points[0].reshape(2), np.linalg.multi_dot(W[::-1]).reshape(2))

# %%
# **Equal weights never part.** All neurons of a layer compute the same, get the same gradient, and stay the same.

equal = tg.nn.DenseNetwork(layers)
for p in equal.parameters():
    p.data = np.full(p.shape, 0.1)
tg.train(equal, X, y, 200, 0.5, progress=False)
print("different rows of W2 after training:", len(np.unique(equal.values["W2"].data.round(12), axis=0)))

# %%
# **Saturation slows learning.** Weights 30 times as large put the sigmoid where it is flat. By the cost of
# probabilities, the article's, the gradient of a sample that is wrong is then lost; from the logits it is right.

for scale in (1, 30):
    logit = scale * 1.3
    slope = tg.grad(tg.sigmoid)(logit).item()
    by_probability = tg.grad(lambda z: tg.binary_cross_entropy(tg.sigmoid(z), 0.0))(logit).item()
    by_logit = tg.grad(lambda z: tg.binary_cross_entropy_with_logits(z, 0.0))(logit).item()
    print(f"logit {logit:4}: slope of the sigmoid {slope:.1e}, gradient {by_probability:.1e}, by logits {by_logit:.3f}")

# %%
# The backward pass, three times
# ------------------------------
#
# **By hand.** For the last layer the derivative of the cost collapses: with :math:`P = \sigma(Z_5)`,
#
# .. math:: \bar Z_5 = (P - Y) / m, \quad \bar W_5 = \bar Z_5^\top A_4, \quad \bar A_4 = \bar Z_5 W_5, \quad
#    \bar Z_4 = \bar A_4 \circ [Z_4 > 0], \quad \ldots
#
# **By the library.** ``diff_backprop`` holds every array of it against the recorded graph:

memory, values = david.memory(X), {name: p.data for name, p in david.values.items()}
Y = y.reshape(-1, 1)
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

# %%
# **Printed.** ``tg.compile`` writes the step as a program, and ``explain()`` prints that as one would have derived it.


@tg.compile
def gradients(X, Y):
    for p in david.parameters():
        p.grad = None
    tg.binary_cross_entropy_with_logits(david.logits(X), Y).backward()


gradients(X, Y.astype(float))
print("\n".join(line for line in gradients.explain().splitlines() if line.startswith("    d") or "dL/d" in line))
# %%
# Every line of the derivation by hand is there. Lesson 10 shows how it came about.
