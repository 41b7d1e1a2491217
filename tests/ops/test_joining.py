"""What joins refuse."""

import pytest

import tinygrad_nn as tg


@pytest.mark.parametrize("join", ["stack", "concatenate", "hstack", "vstack", "dstack", "column_stack"])
def test_nothing_can_t_be_joined(join: str) -> None:
    with pytest.raises(ValueError, match=rf"^{join} needs at least one tensor.*write tg\.zeros\(\(0, n\)\)"):
        getattr(tg, join)([])
