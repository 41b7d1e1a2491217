"""Attention against PyTorch's: outputs, weights and gradients over drawn settings, states both ways, all masks."""

from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg

torch = pytorch()
nn = tg.nn


def close(a: Any, b: Any) -> None:
    b = np.asarray(b.detach())
    assert a.shape == b.shape
    assert np.abs(a.data - b).max(initial=0) <= 1e-10 * max(1.0, np.abs(b).max(initial=0))


def both(module: Any, theirs: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return the two with the same drawn numbers, which went from ours to PyTorch's."""
    state = {name: rng.normal(size=t.shape) for name, t in module.state_dict().items()}
    assert list(state) == list(theirs.state_dict())
    module.load_state_dict(state)
    theirs.double().load_state_dict({name: torch.tensor(t) for name, t in state.items()})
    return module, theirs


def mask(rng: np.random.Generator, shape: tuple[int, ...], kind: str | None) -> Any:
    """Return a boolean mask, numbers with some -inf, or None; each query may read its first key."""
    if kind is None:
        return None
    out = rng.random(shape) < 0.4
    out[..., 0] = False
    return out if kind == "bool" else np.where(out, -np.inf, rng.normal(size=shape))


def same_gradients(ours: list[Any], theirs: list[Any], y: Any, z: Any, rng: np.random.Generator) -> None:
    close(y, z)
    g = rng.normal(size=y.shape)
    (y * g).sum().backward()
    (z * torch.tensor(g)).sum().backward()
    for p, q in zip(ours, theirs, strict=True):
        assert p.grad is not None
        close(p.grad, q.grad)


@pytest.mark.filterwarnings("ignore:Support for mismatched")  # PyTorch would have both masks alike
@pytest.mark.parametrize("draw", range(24))
def test_multihead_attention_is_pytorchs(draw: int) -> None:
    rng = np.random.default_rng(draw)
    n, length, keys, heads = (int(k) for k in rng.integers(1, 5, 4))
    e, kdim, vdim = heads * int(rng.integers(1, 4)), int(rng.integers(1, 6)), int(rng.integers(1, 6))
    batched, first, bias, alone, average, need = (bool(b) for b in rng.integers(0, 2, 6))
    alone = alone or draw % 3 == 0
    widths: dict[str, Any] = {} if alone or rng.random() < 0.5 else {"kdim": kdim, "vdim": vdim}
    setting: dict[str, Any] = {"bias": bias, "batch_first": first, **widths}
    ours, theirs = both(
        nn.MultiheadAttention(e, heads, **setting), torch.nn.MultiheadAttention(e, heads, **setting), rng
    )
    keys = length if alone else keys
    sizes = [(length, e), *[(keys, widths.get(name, e)) for name in ("kdim", "vdim")]]
    shapes = [(k, w) if not batched else (n, k, w) if first else (k, n, w) for k, w in sizes]
    arrays = [rng.normal(size=shape) for shape in shapes][: 1 if alone else 3]
    a = [tg.tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    kinds = [(None, "bool", "float")[k] for k in rng.integers(0, 3, 2)]
    batch = (n,) if batched else ()
    padding = mask(rng, (*batch, keys), kinds[0])
    pairs = mask(rng, (length, keys) if rng.random() < 0.5 else (heads * (n if batched else 1), length, keys), kinds[1])
    masks = [{"key_padding_mask": padding, "attn_mask": pairs, "need_weights": need, "average_attn_weights": average}]
    masks += [{key: torch.tensor(x) if isinstance(x, np.ndarray) else x for key, x in masks[0].items()}]
    y, weights = ours(*(a * 3 if alone else a), **masks[0])
    z, expected = theirs(*(b * 3 if alone else b), **masks[1])
    assert (weights is None) == (expected is None) == (not need)
    if need:
        close(weights, expected)
    same_gradients([*ours.parameters(), *a], [*theirs.parameters(), *b], y, z, rng)
    ours.load_state_dict(theirs.state_dict())


@pytest.mark.filterwarnings("ignore:Support for mismatched")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("draw", range(10))
def test_an_encoder_layer_is_pytorchs(draw: int, training: bool) -> None:
    rng = np.random.default_rng(draw)
    n, length, heads, width = (int(k) for k in rng.integers(2, 5, 4))
    setting: dict[str, Any] = {
        "dim_feedforward": width, "dropout": 0.0, "activation": ["relu", "gelu"][draw % 2], "layer_norm_eps": 1e-3,
        "batch_first": draw % 3 == 0, "norm_first": draw % 4 > 1, "bias": draw != 5,
    }  # fmt: skip
    e = 2 * heads
    ours, theirs = both(
        nn.TransformerEncoderLayer(e, heads, **setting), torch.nn.TransformerEncoderLayer(e, heads, **setting), rng
    )
    ours.train(training)
    theirs.train(training)
    x = rng.normal(size=(n, length, e) if draw % 3 == 0 else (length, n, e))
    a, b = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    padding, causal = mask(rng, (n, length), [None, "bool", "float"][draw % 3]), bool(rng.integers(0, 2))
    pairs = np.triu(np.ones((length, length), bool), 1)
    y = ours(a, None, padding, is_causal=True) if causal else ours(a, src_key_padding_mask=padding)
    theirs_masks = [None if m is None else torch.tensor(m) for m in (pairs if causal else None, padding)]
    z = theirs(b, *theirs_masks)
    same_gradients([*ours.parameters(), a], [*theirs.parameters(), b], y, z, rng)
    ours.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("kind", [None, "bool", "float", "causal"])
def test_the_function_is_pytorchs(kind: str | None) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in [(2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2)]]
    a = [tg.tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    m = mask(rng, (4, 6), None if kind == "causal" else kind)
    m = ~m if kind == "bool" else m
    y = tg.scaled_dot_product_attention(a[0], a[1], a[2], m, is_causal=kind == "causal")
    z = torch.nn.functional.scaled_dot_product_attention(
        *b, None if m is None else torch.tensor(m), is_causal=kind == "causal"
    )
    same_gradients(a, b, y, z, rng)


@pytest.mark.parametrize("numbers", [False, True])
def test_a_position_that_may_read_nothing_gets_nothing(numbers: bool) -> None:
    """PyTorch's outputs agree where no weights are asked for, and are nan where they are."""
    rng = np.random.default_rng(0)
    ours, theirs = both(
        nn.MultiheadAttention(4, 2, batch_first=True), torch.nn.MultiheadAttention(4, 2, batch_first=True), rng
    )
    x = rng.normal(size=(2, 3, 4))
    padding = np.array([[False, True, False], [True, True, True]])
    padding = np.where(padding, -np.inf, 0.0) if numbers else padding
    a, b = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, weights = ours(a, a, a, key_padding_mask=padding)
    assert (weights.data[1] == 0).all()
    assert np.allclose(y.data[1], ours.out_proj.bias.data)
    z, _ = theirs(b, b, b, key_padding_mask=torch.tensor(padding), need_weights=False)
    same_gradients([*ours.parameters(), a], [*theirs.parameters(), b], y, z, rng)
    assert a.grad is not None
    assert (a.grad.data[1] == 0).all()


@pytest.mark.parametrize("widths", [{}, {"kdim": 30, "vdim": 50}])
def test_attention_begins_as_pytorchs(widths: dict[str, Any]) -> None:
    torch.manual_seed(0)
    ours, theirs = (space.MultiheadAttention(60, 3, **widths) for space in (nn, torch.nn))
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        found, expected = p.data, q.detach().numpy()
        assert found.std() == pytest.approx(expected.std(), rel=0.05), name
        assert np.abs(found).max() == pytest.approx(np.abs(expected).max(), rel=0.02), name


def test_dropout_thins_the_weights_and_only_while_training() -> None:
    layer = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True, seed=0)
    x = np.random.default_rng(0).normal(size=(8, 9, 4))
    zeros = [(layer(x, x, x, average_attn_weights=False)[1].data == 0).mean() for _ in range(2)]
    assert zeros == pytest.approx([0.5, 0.5], abs=0.05)
    assert zeros[0] != zeros[1]
    weights = layer.eval()(x, x, x)[1]
    assert np.allclose(weights.data.sum(axis=-1), 1)


def test_attention_keeps_float32() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, dtype=np.float32, seed=0)
    x = tg.tensor(np.ones((3, 2, 4), np.float32), requires_grad=True)
    y = layer(x, is_causal=True, src_key_padding_mask=np.array([[False, True, False], [False, False, True]]))
    y.sum().backward()
    assert {t.dtype for t in [y, x.grad, *(p.grad for p in layer.parameters())]} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_in_another_dtype_does_not_widen_the_scores(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    layer = nn.MultiheadAttention(4, 2, dtype=np.float32, seed=0)
    x = rng.normal(size=(3, 1, 4)).astype(np.float32)
    square, padding = np.triu(np.full((3, 3), -np.inf), 1), np.zeros((1, 3))
    masks = {"attn_mask": square.astype(dtype), "key_padding_mask": padding.astype(dtype)}
    outputs = *layer(x, x, x, **masks), tg.scaled_dot_product_attention(x, x, x, masks["attn_mask"][:1, :1])
    assert {y.dtype for y in outputs} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [int, np.uint8])
def test_a_mask_of_whole_numbers_is_refused_for_it_may_mean_either(dtype: Any) -> None:
    layer, x = nn.MultiheadAttention(4, 2), np.ones((3, 5, 4))
    for mask in ({"attn_mask": np.eye(3, dtype=dtype)}, {"key_padding_mask": np.zeros((5, 3), dtype)}):
        with pytest.raises(TypeError, match=r"or floats to add, got u?int.*; write mask\.astype\(bool\), or \(float\)"):
            layer(x, x, x, **mask)
    with pytest.raises(TypeError, match="a mask is boolean, or floats to add"):
        tg.scaled_dot_product_attention(x, x, x, np.eye(5, dtype=dtype))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.MultiheadAttention(5, 2), "num_heads=2 must divide embed_dim=5"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), "write 'relu', 'gelu' or a function"),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[np.ones((3, 5, 4))] * 3, key_padding_mask=np.zeros((3, 5), bool)),
            r"key_padding_mask has shape \(3, 5\), needs \(5, 3\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[np.ones((3, 5, 4))] * 3, attn_mask=np.zeros((5, 3, 3))),
            r"attn_mask has shape \(5, 3, 3\), needs \(3, 3\) or \(10, 3, 3\)",
        ),
        (lambda: nn.MultiheadAttention(4, 2)(*[np.ones(4)] * 3), r"takes \(L, N, E\), keys and values of one length"),
        (
            lambda: nn.MultiheadAttention(4, 2, batch_first=True)(np.ones((2, 3, 4)), *[np.ones((3, 3, 4))] * 2),
            r"takes \(N, L, E\), keys and values of one length, in one batch",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(np.ones((2, 3, 4)), np.ones((2, 3, 4)), np.ones((5, 3, 4))),
            "keys and values of one length",
        ),
    ],
)
def test_a_mistake_is_told_with_its_remedy(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
