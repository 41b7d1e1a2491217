r"""
6 Second derivatives and what they are good for
===============================================

A rule is an ordinary expression. Given Tensors it records a graph, so the gradient can be differentiated again. This
lesson uses that for Newton's method, least squares, and uncertainty, and ends with gradients of single samples.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# A derivative of a derivative
# ----------------------------
#
# ``tg.grad`` can be nested. In a walk, ``create_graph=True`` gives Tensors to the rules, so that the gradient has a
# graph. Here the slope is :math:`3 x^2`, its square :math:`9 x^4`, and the derivative of the square :math:`36 x^3`.

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
# The *Hessian* H has all second derivatives: :math:`H_{ij}` is the derivative of the gradient's entry i with respect to
# parameter j. With n parameters it has n × n entries. :math:`H v` is the derivative of the gradient in the direction v.
# Forward mode finds it: through the program that computes the gradient, it carries with each value its derivative in
# one direction, the *tangent*. That costs a few gradients, whatever n is.


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
# Near p, :math:`f(p + d) \approx f(p) + g \cdot d + \tfrac 1 2 d \cdot H d`, with the gradient g. This is flat where
# :math:`H d = -g`: that d is Newton's step. In this narrow valley, whose lowest point is (1, 1), gradient descent is
# still on its way after 2,000 steps, and Newton's method has arrived after 6. Its second step goes far up the wall,
# where the model was poor, and the third comes back.

value_and_slope = tg.value_and_grad(rosenbrock)
newton, descent = [start], [start]
for _ in range(6):
    p = newton[-1]
    newton.append(p - np.linalg.solve(tg.hessian(rosenbrock)(p).data, tg.grad(rosenbrock)(p).data))
for _ in range(2000):
    descent.append(descent[-1] - 0.001 * value_and_slope(descent[-1])[1].data)
print("Newton after 6 steps:", newton[-1], " descent after 2,000:", descent[-1].round(3))
u, w = np.meshgrid(np.linspace(-2, 2, 200), np.linspace(-3.5, 2.5, 200))
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.contour(u, w, np.log1p((1 - u) ** 2 + 100 * (w - u**2) ** 2), levels=20, cmap="Greys")
ax.plot(*np.transpose(descent), label="gradient descent, 2,000 steps")
ax.plot(*np.transpose(newton), "o-", label="Newton, 6 steps")
ax.set(xlim=(-2, 2), ylim=(-3.5, 2.5), xlabel="p[0]", ylabel="p[1]")
ax.legend()
assert np.allclose(newton[-1], 1)

# %%
# Least squares with an exact Jacobian
# ------------------------------------
#
# To fit a curve is to make the sum of the squares of the *residuals* r small. With their Jacobian J,
# :math:`r(p - d) \approx r - J d`, whose squares are least where :math:`J^\top J \, d = J^\top r`. Levenberg and
# Marquardt add :math:`\lambda I` to the matrix, which shortens the step. If the squares got smaller, the step is taken,
# and the model trusted more, :math:`\lambda / 3`; if not, less. J is exact, by forward mode: one pass per parameter.

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
# If the noise is normal with the deviation s, here 0.03, the data have a probability in proportion to
# :math:`\exp(-\sum r^2 / 2 s^2)`. Minus its logarithm is a bowl near the best p. So p is nearly normal there, and its
# covariance is the inverse of the bowl's Hessian. The band shows where the curves are; the data have noise as well.


def negative_log_likelihood(p):
    return (residuals(p) ** 2).sum() / (2 * 0.03**2)


covariance = np.linalg.inv(tg.hessian(negative_log_likelihood)(p).data)
draws = np.random.default_rng(1).multivariate_normal(p, covariance, size=200)
curves = draws[:, :1] * np.exp(-draws[:, 1:] * t)
print("standard deviations:", np.sqrt(np.diag(covariance)).round(4))
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(t, data, ".", label="data")
ax.fill_between(t, *np.quantile(curves, [0.025, 0.975], axis=0), alpha=0.4, label="95 % of the curves at each t")
ax.legend()

# %%
# The gradient of each sample
# ---------------------------
#
# ``backward`` adds up over the samples. The losses of n samples are a vector, and its Jacobian has a row for each: the
# gradients of single samples. Their mean is the gradient of the mean. A sample with a long one is far from the model:
# perhaps its label is wrong. Here the second is ten times as long as the next.

rng = np.random.default_rng(2)
X, y, weights = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3)
each = tg.jacobian(lambda w: (X @ w - y) ** 2)(weights).data
assert np.allclose(each.mean(axis=0), tg.grad(lambda w: ((X @ w - y) ** 2).mean())(weights).data)
print("norms of the samples' gradients:", np.linalg.norm(each, axis=1).round(2))

# %%
# Questions
# ---------
#
# 1. Newton's step is wrong where H has a negative eigenvalue. What would :math:`\lambda I` do there, added to H?
# 2. Why does ``tg.jacobian`` choose forward mode for 2 parameters and 30 residuals?
# 3. A product with the Hessian uses both modes. Which is outside, which inside?
#
# **Answers**
#
# 1. It adds :math:`\lambda` to each eigenvalue. Once all are positive, the step leads downhill; a still larger
#    :math:`\lambda` makes it shorter.
# 2. A forward pass gives a column of J, a reverse pass a row: 2 passes in place of 30.
# 3. Forward mode is outside: it carries a tangent through the program that computes the gradient in reverse mode.
