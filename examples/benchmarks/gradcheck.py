"""Compare gradient checkers on functions whose verdict is known: how often each is right, and how fast.

    python examples/benchmarks/gradcheck.py
    python examples/benchmarks/gradcheck.py --only tinygrad_nn torch --all
    python examples/benchmarks/gradcheck.py --quick

The functions are those of `tests/gradcheck_corpus.py`. Each checker runs with its defaults; PyTorch's and JAX's run
where they are installed. A checker is right if it accepts right derivatives (at kinks, at conventions and with lost
digits too), and rejects derivatives that are wrong and functions that jump, are not finite, not connected or not the
same twice. An error that it raises counts as a rejection. Only tinygrad_nn also names the case, and the wrong rule.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import numpy as np
from gradcheck_corpus import CORPUS, RIGHT, Entry, Ours, Planted, function_for

import tinygrad_nn as tg

OURS = Ours()
Answer = tuple[bool, str]


def ours(entry: Entry) -> Answer:
    report = tg.gradcheck(function_for(entry, OURS), *entry.inputs, order=entry.order)
    return bool(report), str(report.verdict)


class Torch:
    """PyTorch, under the names that the corpus uses."""

    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.softplus, self.norm = torch.nn.functional.softplus, torch.linalg.norm
        self.sort = lambda x: torch.sort(x).values
        self.softmax, self.logsumexp = (lambda x: torch.softmax(x, -1)), (lambda x: torch.logsumexp(x, -1))
        self.detach = lambda x: x.detach()
        self.cast = lambda x, dtype: x.to(getattr(torch, dtype))
        self.eigvalsh, self.cholesky = torch.linalg.eigvalsh, torch.linalg.cholesky

    def __getattr__(self, name: str) -> Any:
        return getattr(self.torch, name)

    def own(self, planted: Planted, *inputs: Any) -> Any:
        """Return the planted operation's result."""
        xp = self

        class Function(self.torch.autograd.Function):  # type: ignore[misc, name-defined]
            @staticmethod
            def forward(context: Any, *xs: Any) -> Any:
                y = planted.forward(xp, *xs)
                context.save_for_backward(y, *xs)
                return y

            @staticmethod
            def backward(context: Any, g: Any) -> Any:
                y, *xs = context.saved_tensors
                return tuple([rule(xp, g, y, *xs) for rule in planted.rules])

        return Function.apply(*inputs)

    def answers(self, **options: Any) -> Callable[[Entry], Answer]:
        """Return `torch.autograd.gradcheck` with these options."""

        def check(entry: Entry) -> Answer:
            checker = self.torch.autograd.gradgradcheck if entry.order == 2 else self.torch.autograd.gradcheck
            inputs = [self.torch.tensor(x, requires_grad=True) for x in entry.inputs]
            return bool(checker(function_for(entry, self), inputs, **options)), "accepts"

        return check


class Jax:
    """JAX, under the names that the corpus uses."""

    def __init__(self) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax, self.norm, self.detach = jax, jax.numpy.linalg.norm, jax.lax.stop_gradient
        self.erf = jax.scipy.special.erf
        self.cast = lambda x, dtype: x.astype(dtype)
        self.eigvalsh, self.cholesky = jax.numpy.linalg.eigvalsh, jax.numpy.linalg.cholesky

    def __getattr__(self, name: str) -> Any:
        return getattr(self.jax.numpy, name, None) or getattr(self.jax.nn, name)

    def own(self, planted: Planted, *inputs: Any) -> Any:
        """Return the planted operation's result."""
        f = self.jax.custom_vjp(lambda *xs: planted.forward(self, *xs))

        def forward(*xs: Any) -> Any:
            y = planted.forward(self, *xs)
            return y, (y, *xs)

        f.defvjp(forward, lambda saved, g: tuple([rule(self, g, *saved) for rule in planted.rules]))
        return f(*inputs)

    def check(self, entry: Entry) -> Answer:
        """Return the answer of `jax.test_util.check_grads`."""
        from jax.test_util import check_grads

        inputs = [self.jax.numpy.asarray(x) for x in entry.inputs]
        check_grads(function_for(entry, self), inputs, order=entry.order, modes=["rev"])
        return True, "accepts"


def checkers(only: list[str]) -> dict[str, Callable[[Entry], Answer]]:
    """Return the checkers that are installed, by name."""
    found: dict[str, Callable[[Entry], Answer]] = {"tinygrad_nn": ours}
    if importlib.util.find_spec("torch"):
        xp = Torch()
        found |= {"torch": xp.answers(), "torch, fast": xp.answers(fast_mode=True)}
    if importlib.util.find_spec("jax"):
        found["jax"] = Jax().check
    return {name: check for name, check in found.items() if not only or name in only}


def answered(check: Callable[[Entry], Answer], entry: Entry) -> tuple[bool, str, float]:
    """Return whether a checker accepts an entry, what it says, and the seconds it took."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            accepted, said = check(entry)
    except Exception as error:  # any error that a checker raises is a rejection
        accepted, said = False, f"rejects: {type(error).__name__}"
    return accepted, said, time.perf_counter() - start


def main() -> None:
    """Print what the checkers say where they differ, then how often each is right, and its time."""
    parser = argparse.ArgumentParser(description="Gradient checkers on functions whose verdict is known.")
    parser.add_argument("--only", nargs="+", default=[], help="these checkers: tinygrad_nn torch 'torch, fast' jax")
    parser.add_argument("--all", action="store_true", help="print every function, not only where some are wrong")
    parser.add_argument("--quick", action="store_true", help="every eighth function")
    options = parser.parse_args()

    entries, checks = CORPUS[:: 8 if options.quick else 1], checkers(options.only)
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in checks}
    times: dict[str, list[float]] = {name: [] for name in checks}
    for check in checks.values():  # the first call of each checker is slower
        answered(check, CORPUS[0])
    print(f"{'function':<40}{'right is':<18}" + "".join(f"{name:<28}" for name in checks))
    for entry in entries:
        right, cells, wrong = entry.verdict in RIGHT, [], False
        for name, check in checks.items():
            accepted, said, seconds = answered(check, entry)
            kind = "right" if accepted == right else "false alarm" if right else "missed"
            outcomes[name][kind] += 1
            times[name].append(seconds)
            wrong = wrong or kind != "right"
            cells.append(f"{said if kind == 'right' else f'{kind}, {said}'[:26]:<28}")
        if wrong or options.all:
            print(f"{entry.name[:38]:<40}{entry.verdict:<18}{''.join(cells)}".rstrip())
    print(f"\n{len(entries)} functions    right  false alarms  missed  ms a check: median, longest")
    for name in checks:
        o, ms = outcomes[name], [1000 * t for t in times[name]]
        counts = f"{o['right']:>5}  {o['false alarm']:>12}  {o['missed']:>6}"
        print(f"  {name:<15}{counts}  {median(ms):.1f}, {max(ms):.0f}")


if __name__ == "__main__":
    main()
