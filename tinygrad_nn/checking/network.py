"""Every parameter's gradient against a central difference: the check that backprop is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.grad_mode import no_grad
from ..nn.dense import DenseNetwork
from ..nn.losses import binary_cross_entropy_with_logits
from ..tensor.handle import Tensor

STEPS = (1e-6, 3e-7, 1e-7)


@dataclass(frozen=True)
class NetworkCheck:
    """The outcome: the largest error |a - n| / max(|a|, |n|, 1e-6), where it is, and what straddled.

    A difference straddles a kink where a relu switches between its two points; such coordinates are
    measured again with smaller steps. `unresolved` are those that straddle at every step; they
    do not enter `worst`.
    """

    parameters: int
    straddling: int
    unresolved: int
    worst: float
    where: str

    def __bool__(self) -> bool:
        """Return whether every error is below 1e-6, at most 1 % straddled, and all of those were resolved."""
        return self.worst < 1e-6 and self.straddling <= 0.01 * self.parameters and self.unresolved == 0

    def __str__(self) -> str:
        again = f"; measured again for straddling a kink: {self.straddling}, in vain: {self.unresolved}"
        return (
            f"gradient check {'right' if self else 'WRONG'}: {self.parameters:,} parameters against central "
            f"differences, worst error {self.worst:.1e} at {self.where}{again if self.straddling else ''}"
        )


def check_network(
    network: DenseNetwork, X: Any, y: Any, counted: Callable[[Iterator[Any], int], Iterable[Any]] | None = None
) -> NetworkCheck:
    """Return how the gradients of the binary cross entropy agree with central differences.

    `X` is (m, inputs), `y` (m, 1) of 0s and 1s. Takes two forward passes a parameter; `counted(results, total)` shows
    how far it has come, and yields the results.
    """
    network.zero_grad()
    binary_cross_entropy_with_logits(network.logits(X), y).backward()
    named = [(name, p) for name, p in network.named_parameters() if p.grad is not None]  # but for frozen ones
    found = (result for name, p in named for result in _coordinates(network, X, y, name, p))
    results = list(found if counted is None else counted(found, sum(p.size for _, p in named)))
    network.zero_grad()
    straddling, unresolved = (sum(result[position] for result in results) for position in (2, 3))
    resolved = [(error, where) for error, where, _, left in results if not left]
    worst, where = max(resolved, default=(float("nan"), "no coordinate"))
    return NetworkCheck(len(results), straddling, unresolved, worst, where)


def _coordinates(
    network: DenseNetwork, X: Any, y: Any, name: str, p: Tensor
) -> Iterator[tuple[float, str, bool, bool]]:
    """Yield, for each entry, its error, its name, whether it straddled a kink, and whether it still does."""
    assert p.grad is not None
    gradient, original, last = p.grad.data, p.data, len(network.architecture)
    p.data = moved = original.copy()

    def logits(index: tuple[int, ...], by: float) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return each sample's last logits, and which hidden units are active for which sample."""
        moved[index] = original[index] + by
        with no_grad():
            memory = network.memory(X)
        moved[index] = original[index]
        return memory[f"Z{last}"].data, [memory[f"Z{layer}"].data > 0 for layer in range(1, last)]

    try:
        for index in np.ndindex(p.shape):
            for step in STEPS:
                (above, active_above), (below, active_below) = logits(index, step), logits(index, -step)
                left = any((a != b).any() for a, b in zip(active_above, active_below, strict=True))
                if not left:
                    break
            # Two losses of about 1 would leave no more than ten digits of a difference of 1e-6. With d the difference
            # of the logits, log(1 + e^a) - log(1 + e^b) is log(1 + sigmoid(b) (e^d - 1)).
            d = above - below
            losses = np.log1p(np.expm1(d) / (1 + np.exp(-below))) - y * d
            numeric = float(losses.mean() / (2 * step))
            analytic = float(gradient[index])
            error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), 1e-6)
            yield error, f"{name}[{', '.join(map(str, index))}]", left or step != STEPS[0], left
    finally:
        p.data = original
