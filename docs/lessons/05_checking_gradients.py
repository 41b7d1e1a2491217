r"""
5 Checking gradients
====================

A derivative can be compared with a difference of two function values. How exact is that, and what can go wrong? After
this lesson you can read every verdict of ``tg.gradcheck``.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# The V curve
# -----------
#
# The central difference :math:`(f(x + h) - f(x - h)) / 2h` has two errors. The formula leaves out terms of size
# :math:`h^2`: they shrink with h. And each function value is rounded, which gives an error of about
# :math:`10^{-16} / h`: it grows. Together they make a V, and the best step is in its corner.


def f(x):
    return tg.exp(tg.sin(x))


x = 0.7
slope = tg.grad(f)(x).item()
steps = 10.0 ** np.arange(-15, 0, 0.5)
errors = [abs((f(x + h).item() - f(x - h).item()) / (2 * h) - slope) / abs(slope) for h in steps]
best = int(np.argmin(errors))
print(f"best step {steps[best]:.0e}: error {errors[best]:.0e}, not 1e-16")

# %%
# The complex step
# ----------------
#
# For a function that NumPy can compute of complex numbers, :math:`f'(x) \approx \operatorname{Im} f(x + ih) / h`. It
# subtracts nothing, so nothing cancels, and h may be 1e-200. It is right to the last digit.

complex_errors = [abs(np.exp(np.sin(x + 1j * h)).imag / h - slope) / abs(slope) + 1e-17 for h in steps]
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.loglog(steps, errors, "o-", label="central difference")
ax.loglog(steps, complex_errors, "s-", label="complex step")
ax.set(xlabel="step h", ylabel="relative error", title="The V curve")
ax.legend()

# %%
# A verdict with a reason
# -----------------------
#
# ``tg.gradcheck`` uses the complex step where it can, and else a ladder of differences that estimates its own error:
# that estimate is the tolerance, so you choose none.

print(tg.gradcheck(f, x))

# %%
# Kinks are no bugs
# -----------------
#
# At 0, relu has the slope 0 on the left and 1 on the right. A central difference says 1/2. A checker that trusts it
# calls a right gradient wrong. This one looks at both sides and says KINK: the gradient lies between the two slopes.

print(tg.gradcheck(lambda x: tg.relu(x).sum(), np.array([-1.0, 0.0, 2.0])))

# %%
# Lost digits are no bug
# ----------------------
#
# float32 has about 7 digits, and a plain difference loses half of them. So differences are taken in float64, and a
# gradient in float32 is judged by the digits that float32 has. Where the function itself cancels, the verdict is
# PRECISION: right, as far as the digits go.

report = tg.gradcheck(lambda x: (x * tg.exp(-x)).sum(), np.linspace(0.1, 3, 4, dtype=np.float32))
print(report.verdict)
report = tg.gradcheck(lambda x: ((1 + x) ** 2 - (1 + 2 * x)).sum(), np.array([1e-4, 2e-4], dtype=np.float32))
print(report)
assert report

# %%
# Planted mistakes
# ----------------
#
# Does a check find what is wrong? Plant a wrong rule and look. The report names the operation, your line, and the
# likely mistake.

with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: -g * (1 - y * y)):
    report = tg.gradcheck(lambda x: (3 * tg.tanh(x)).sum(), np.array([0.5, -1.0]))
print(report)
assert not report

# %%
# By hand
# -------
#
# The same check judges derivatives that you derived yourself, of functions of plain arrays.

A, target = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 1.0]]), np.array([1.0, 0.0, 1.0])


def loss(w):
    return ((A @ w - target) ** 2).sum()


for by_hand in (lambda w: A.T @ (A @ w - target), lambda w: 2 * A.T @ (A @ w - target)):
    report = tg.gradcheck(loss, np.array([0.5, -0.2]), gradient=by_hand)
    print(report, "\n")
assert report

# %%
# Does the test have teeth?
# -------------------------
#
# A test of gradients that always passes is worth nothing. ``mutate_rules`` breaks each rule that a test uses in several
# ways, runs the test each time, and lists what it did not notice. This one looks at signs only:


def weak_test():
    slopes = tg.grad(lambda x: tg.tanh(x).sum())(np.array([0.5, -1.0]))
    assert (slopes.data > 0).all()


print(tg.testing.mutate_rules(weak_test, [tg.tanh]))

# %%
# Questions
# ---------
#
# 1. Why is the best step of a forward difference, :math:`(f(x + h) - f(x)) / h`, smaller than that of a central one?
# 2. The complex step of ``abs`` gives nonsense. Why?
# 3. A check says OK at random points. How can a rule still be wrong?
#
# **Answers**
#
# 1. It leaves out terms of size h, not :math:`h^2`. The corner is where h and :math:`10^{-16} / h` are equal: at
#    :math:`10^{-8}`, with an error of :math:`10^{-8}`. For the central difference, h is about :math:`10^{-5}`.
# 2. It is the length of a complex number, which is real. The imaginary part is 0, and so is the "derivative".
# 3. Random points are never at 0, at ties, or very large. A rule can be wrong there, or for another shape or ``axis``.
