"""Names of other libraries: each raises in both places where one would write it, and says what there is."""

import re
from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.errors.unsupported import ELSEWHERE

T: Any = tg.ones((2, 3))
EXISTS = {"tg": tg, "t": T, "np": np}


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in ELSEWHERE for name in ELSEWHERE[library]])
def test_a_name_of_another_library_says_what_it_is_here(library: str, name: str) -> None:
    if library == "PyTorch":
        torch = pytorch()
        assert any(hasattr(home, name) for home in (torch, torch.ones(1), torch.nn.functional, torch.utils.data))
    for where, home in (("tg", tg), ("t", T)):
        with pytest.raises(AttributeError, match=rf"{where}.{name} is {library}'s name; write ") as raised:
            getattr(home, name)
        remedy = str(raised.value).partition("write ")[2]
        for root, path in re.findall(r"\b(tg|t|np)((?:\.\w+)+)", remedy):
            found: Any = EXISTS[root]
            for part in path[1:].split("."):
                found = getattr(found, part)
        assert re.search(r"\b(tg|t|np)\b|a [@<] b|seed=|@primitive", remedy)


def test_other_names_get_an_error_of_their_own() -> None:
    with pytest.raises(AttributeError, match=r"t.mul_ is PyTorch's name; write t \+= x and the like"):
        T.mul_(2)
    with pytest.raises(AttributeError, match=r"a Tensor has no attribute 'flip'; write tg.flip\(t, ...\)"):
        T.flip(0)
    for name, words in {
        "pow": "tg.pow(t, ...)", "scatter_add": "tg.scatter_add(t, ...)", "nbytes": "t.data.nbytes",
    }.items():  # fmt: skip
        with pytest.raises(AttributeError, match=re.escape(f"a Tensor has no attribute {name!r}; write {words}")):
            getattr(T, name)
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'colour'"):
        T.colour
    for name, words in {
        "Linear": "tg.nn.Linear", "Adam": "tg.optim.Adam", "one_hot": "tg.data.one_hot", "svd": "tg.linalg.svd",
        "pi": "np.pi",
    }.items():  # fmt: skip
        with pytest.raises(AttributeError, match=f"^tg.{name} is not there; write {words}$"):
            getattr(tg, name)
    with pytest.raises(AttributeError, match="module 'tinygrad_nn' has no attribute 'colour'"):
        getattr(tg, "colour")  # noqa: B009
    assert not hasattr(T, "_repr_html_")


def test_a_name_that_is_not_there_is_not_listed_and_costs_no_other_attribute_anything() -> None:
    assert not {"flip", "unsqueeze", "mul_"} & {*dir(T)}
    assert not {name for name in dir(np.ndarray) if not hasattr(T, name)} & {*dir(T)}
    assert {"sum", "shape"} <= {*dir(T)}
    assert not hasattr(tg.Tensor, "__getattr__")  # with it each t.shape took half as long again


@pytest.mark.parametrize(
    "call",
    [
        lambda: T.sum(dim=1),
        lambda: T.mean(axis=1, keepdim=True),
        lambda: tg.stack([T, T], dim=1),  # type: ignore[call-arg]
        lambda: tg.softmax(T, dim=1),  # type: ignore[call-arg]
        lambda: T.squeeze(dim=0),
    ],
)
def test_dim_and_keepdim_are_called_axis_and_keepdims(call: Any) -> None:
    with pytest.raises(TypeError, match=r"'(dim|keepdim)'") as raised:
        call()
    assert "write NumPy's names, axis= and keepdims=" in raised.value.__notes__[0]
