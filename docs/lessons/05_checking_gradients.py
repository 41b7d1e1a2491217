r"""
5 Checking gradients
====================

A derivative can be compared with a difference of two function values. How exact is that, and what can go wrong? After
this lesson you can read the verdicts of ``tg.gradcheck`` that you will meet most: OK, KINK, PRECISION and BUG.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_nn as tg

# %%
# The V curve
# -----------
#
# The central difference :math:`(f(x + h) - f(x - h)) / 2h` is :math:`f'(x) + h^2 f'''(x) / 6 + \ldots` by Taylor's
# formula: this error shrinks with h. But each function value is rounded to 16 digits, and dividing by h turns that into
# an error of about :math:`10^{-16} / h`, which grows. On logarithmic axes the two errors are lines that make a V. The
# best step is in its corner.


def f(x):
    return tg.exp(tg.sin(x))


x = 0.7
slope = np.exp(np.sin(x)) * np.cos(x)  # by the rules of school
steps = 10.0 ** np.arange(-15, 0, 0.5)
errors = [abs((f(x + h).item() - f(x - h).item()) / (2 * h) - slope) / abs(slope) for h in steps]
best = int(np.argmin(errors))
print(f"best step {steps[best]:.0e}: error {errors[best]:.0e}, not 1e-16")

# %%
# The complex step
# ----------------
#
# For a function that NumPy can compute for complex numbers, :math:`f'(x) \approx \operatorname{Im} f(x + ih) / h`, by
# :math:`f(x + ih) = f(x) + ih f'(x) - h^2 f''(x) / 2 - \ldots` It has an error of size :math:`h^2`, too, but subtracts
# nothing, so h can be as small as you like. For h below 1e-8 all digits are right, even for 1e-200.

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
# ``tg.gradcheck`` takes the complex step where it agrees with differences. Otherwise it combines differences with
# smaller and smaller steps; how well they agree says how far the result may be off. That is the tolerance, so you
# choose none. Each row is a number that was checked, the worst first: *analytic* is what is judged, *numeric* what it
# is compared with. The rows of *forward mode* compare forward with reverse mode, along random directions.

print(tg.gradcheck(f, x))

# %%
# Kinks are no bugs
# -----------------
#
# At 0, relu has the slope 0 on the left and 1 on the right. A central difference says 1/2. A checker that believes this
# calls a right gradient wrong. This one looks at both sides. At a kink each number from one slope to the other is
# accepted. Such a number is called a *subgradient*; the library chooses 0.

print(tg.gradcheck(lambda x: tg.relu(x).sum(), np.array([-1.0, 0.0, 2.0])))

# %%
# Lost digits are no bug
# ----------------------
#
# float32 has about 7 digits, and differences lose a third or half of them. So they are taken in float64, and a gradient
# in float32 is judged by the digits that it can have. :math:`(1 + x)^2 - (1 + 2x)` is :math:`x^2`, but here it is a
# difference of numbers near 1: four digits are left. That is the fault of the formula, not of a rule, so no row is a
# BUG. PRECISION says that digits are lost. As a truth value a report is True for OK, KINK and PRECISION.

report = tg.gradcheck(lambda x: ((1 + x) ** 2 - (1 + 2 * x)).sum(), np.array([1e-4, 2e-4], dtype=np.float32))
print(report)
assert report

# %%
# Planted mistakes
# ----------------
#
# Does a check find what is wrong? Plant a wrong rule and look. The report names the operation, your line, and the
# likely mistake. (Forward mode uses the same rule: it agrees with the wrong reverse mode.)

with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: -g * (1 - y * y)):
    report = tg.gradcheck(lambda x: (3 * tg.tanh(x)).sum(), np.array([0.5, -1.0]))
print(report)
assert not report

# %%
# By hand
# -------
#
# The same check judges derivatives that you derived yourself. The first one here forgets the factor 2.

A, target = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 1.0]]), np.array([1.0, 0.0, 1.0])


def loss(w):
    return ((A @ w - target) ** 2).sum()


for by_hand, right in ((lambda w: A.T @ (A @ w - target), False), (lambda w: 2 * A.T @ (A @ w - target), True)):
    report = tg.gradcheck(loss, np.array([0.5, -0.2]), gradient=by_hand)
    print(report, "\n")
    assert bool(report) == right

# %%
# Does the test have teeth?
# -------------------------
#
# A test of gradients that always passes is worth nothing. ``mutate_rules`` breaks each rule that a test uses in several
# ways, and runs the test each time. Those that *survived* gave other derivatives, and the test did not see it. Those
# that *changed no derivative* make no difference here: g is 1, so it may be dropped. This test looks at signs only:


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
#    :math:`10^{-8}`. For the central difference :math:`h^2 = 10^{-16} / h`, so h is about :math:`5 \cdot 10^{-6}`.
# 2. Of a complex number it is the length, which is real. The imaginary part is 0, and so is the "derivative".
# 3. Random points are never 0 or very large, and have no equal entries. There, or for other shapes, it may be wrong.
