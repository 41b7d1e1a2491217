r"""
6 Second derivatives and what they are good for
===============================================

A rule is an ordinary expression. Fed with Tensors it records a graph, so the gradient can be differentiated again.
This lesson uses that for Newton's method, least squares, uncertainty, and gradients of single samples.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# A derivative of a derivative
# ----------------------------

third = tg.grad(tg.grad(tg.grad(tg.sin)))
print("third derivative of sin at 0.5:", third(0.5).item(), " -cos(0.5):", -np.cos(0.5))
x = tg.tensor([1.0, 2.0], requires_grad=True)
(slope,) = tg.autograd.grad((x**3).sum(), [x], create_graph=True)
(slope * slope).sum().backward()  # a loss that contains a gradient
print("gradient of the squared gradient:", x.grad.tolist())

# %%
# The Hessian, and its product with a vector
# ------------------------------------------
#
# The Hessian of n parameters has n × n entries. Its product with a vector costs about four gradients, whatever n is.


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


start = np.array([-1.2, 1.0])
H = tg.hessian(rosenbrock)(start).data
v = np.array([1.0, 2.0])
(product,) = tg.hvp(rosenbrock, (start,), (v,))
assert np.allclose(product.data, H @ v)
print(H)

# %%
# Newton's method
# ---------------
#
# Gradient descent follows the slope. Newton's method solves for the point where the quadratic model is flat. On this
# narrow valley the first is still on its way after 2,000 steps, the second arrives after a handful.

value_and_slope = tg.value_and_grad(rosenbrock)
newton, descent = [start], [start]
for _ in range(6):
    p = newton[-1]
    newton.append(p - np.linalg.solve(tg.hessian(rosenbrock)(p).data, tg.grad(rosenbrock)(p).data))
for _ in range(2000):
    descent.append(descent[-1] - 0.001 * value_and_slope(descent[-1])[1].data)
print("Newton after 6 steps:", newton[-1], " descent after 2,000:", descent[-1].round(3))
u, w = np.meshgrid(np.linspace(-2, 2, 200), np.linspace(-1.5, 2.5, 200))
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.contour(u, w, np.log1p((1 - u) ** 2 + 100 * (w - u**2) ** 2), levels=20, cmap="Greys")
ax.plot(*np.transpose(descent), label="gradient descent, 2,000 steps")
ax.plot(*np.transpose(newton), "o-", label="Newton, 6 steps")
ax.set(xlim=(-2, 2), ylim=(-1.5, 2.5))
ax.legend()
assert np.allclose(newton[-1], 1)

# %%
# Least squares with an exact Jacobian
# ------------------------------------
#
# Levenberg and Marquardt's method fits a curve: it solves :math:`(J^\top J + \lambda I)\, d = J^\top r` for a step d.
# J is the Jacobian of the residuals r. Here it is exact, from forward mode: two parameters, two passes.

t = np.linspace(0, 4, 30)
data = 2.0 * np.exp(-0.8 * t) + np.random.default_rng(0).normal(0, 0.03, t.size)


def residuals(p):
    return p[0] * tg.exp(-p[1] * t) - data


p, damping = np.array([1.0, 0.1]), 1.0
for _ in range(20):
    r, J = residuals(p).data, tg.jacobian(residuals)(p).data
    step = np.linalg.solve(J.T @ J + damping * np.eye(2), J.T @ r)
    better = np.sum(residuals(p - step).data ** 2) < np.sum(r**2)
    p, damping = (p - step, damping / 3) if better else (p, damping * 3)
print("amplitude and rate:", p.round(3))

# %%
# How sure is the fit? Laplace's approximation
# --------------------------------------------
#
# Near the best parameters the loss is a bowl. Its Hessian says how narrow; the inverse is the covariance. Four lines:

negative_log_likelihood = lambda p: (residuals(p) ** 2).sum() / (2 * 0.03**2)  # noqa: E731
covariance = np.linalg.inv(tg.hessian(negative_log_likelihood)(p).data)
draws = np.random.default_rng(1).multivariate_normal(p, covariance, size=200)
curves = draws[:, :1] * np.exp(-draws[:, 1:] * t)
print("standard deviations:", np.sqrt(np.diag(covariance)).round(4))
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(t, data, ".", label="data")
ax.fill_between(t, *np.quantile(curves, [0.025, 0.975], axis=0), alpha=0.4, label="95 % of the curves")
ax.legend()

# %%
# The gradient of each sample
# ---------------------------
#
# ``backward`` adds up over the samples. The losses of n samples are a vector, and its Jacobian has a row for each: the
# gradients of single samples. Their mean is the gradient of the mean.

rng = np.random.default_rng(2)
X, y, weights = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3)
losses = lambda w: (X @ w - y) ** 2  # noqa: E731
each = tg.jacobian(losses)(weights).data
assert np.allclose(each.mean(axis=0), tg.grad(lambda w: losses(w).mean())(weights).data)
print("norms of the samples' gradients:", np.linalg.norm(each, axis=1).round(2))

# %%
# Questions
# ---------
#
# 1. Newton's step is wrong where the Hessian has a negative eigenvalue. What does :math:`\lambda I` do about that?
# 2. Why does ``tg.jacobian`` choose forward mode for 2 parameters and 30 residuals?
# 3. A Hessian-vector product is a tangent of a gradient. Which mode is outside, which inside?
#
# **Answers**
#
# 1. It adds :math:`\lambda` to each eigenvalue. Once all are positive, the step leads downhill. It is shorter, too.
# 2. A forward pass gives a column of J, a reverse pass a row: 2 passes in place of 30.
# 3. Forward mode is outside: it carries a tangent through the program that computes the gradient in reverse mode.
