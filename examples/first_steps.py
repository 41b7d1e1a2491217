"""Record an expression of two tensors, and ask for its derivatives."""

import tinygrad_nn as tg

w = tg.tensor([2.0, -1.0], requires_grad=True)
x = tg.tensor([3.0, 4.0], requires_grad=True)
loss = (w @ x - 1) ** 2
loss.backward()
print(loss, w.grad, x.grad, sep="\n")
