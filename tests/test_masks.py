"""An operation that can leave a nan of an input out of its output says so: zero-safety relies on it."""

from typing import Any

import numpy as np
import pytest

from tinygrad_nn.operation import OPERATIONS, Operation
from tinygrad_nn.tensors import Tensor


def drawn(x: Any, seed: int) -> Any:
    if isinstance(x, tuple):
        return np.random.default_rng(seed).uniform(0.3, 0.7, x)
    return [drawn(part, seed + i) for i, part in enumerate(x)] if isinstance(x, list) else x


def cases(operation: Operation) -> list[tuple[list[Any], dict[str, Any]]]:
    """Return inputs and parameters of an operation, also with one entry 0 or 1 or inf beside the nan."""
    if operation.samples:
        return [([drawn(x, i) for i, x in enumerate(inputs)], p) for inputs, p in operation.samples]
    special = (0.0, 1.0, np.inf, 0.5)
    if len(operation.arguments) == 1:
        return [([np.array([v])], {}) for v in special]
    return [([np.array([v]), np.array([w])], {}) for v in special for w in special]


def leaves_out_a_nan(operation: Operation) -> bool:
    """Return whether some entry of a differentiated input can be nan without a nan in the output."""
    for inputs, parameters in cases(operation):
        for place, x in enumerate(inputs):
            if not operation.variadic and operation.rules[place] is None:
                continue
            for values in x if operation.variadic and isinstance(x, list) else [x]:
                if not isinstance(values, np.ndarray):
                    continue
                for index in np.ndindex(values.shape):
                    kept, values[index] = values[index], np.nan
                    given = list(x) if operation.variadic else list(inputs)
                    with np.errstate(all="ignore"):
                        y = operation.run(given, {**operation.defaults, **parameters})
                    clean = np.size(y) > 0 and not np.isnan(y).any()
                    values[index] = kept
                    if clean:
                        return True
    return False


@pytest.mark.parametrize("name", sorted(n for n, op in OPERATIONS.items() if op.differentiable and n != "astype"))
def test_what_leaves_out_a_nan_says_that_it_masks(name: str) -> None:
    operation = OPERATIONS[name]
    if leaves_out_a_nan(operation):
        assert operation.masks, f"declare {name} with masks=True"


def test_the_look_finds_what_masks() -> None:
    found = {name for name in ("where", "getitem", "set_at", "power", "hypot") if leaves_out_a_nan(OPERATIONS[name])}
    assert found == {"where", "getitem", "set_at", "power", "hypot"}
    assert not leaves_out_a_nan(OPERATIONS["multiply"])


def test_a_nan_behind_every_kind_of_mask_stays_out_of_the_gradient() -> None:
    for mask in (lambda t: np.where([True, False], t, 0.0), lambda t: t[:1]):
        x = Tensor(np.array([2.0, -1.0]), requires_grad=True)
        with np.errstate(invalid="ignore"):
            y = np.sum(mask(x * np.log(x)))
        y.backward()
        assert x.grad is not None
        assert x.grad.data[1] == 0.0
