"""Attention: the output at each position is a mean over all positions, weighted by how well they match."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.activation import gelu, relu
from ..ops.fused import linear, softmax
from ..ops.numpy.splitting import split
from ..ops.selection import where
from ..ops.settings import whole_number
from ..tensor.creation import as_tensor
from ..tensor.declaring import composite, sample
from ..tensor.handle import Tensor
from . import init
from .layers import Dropout, Linear, unset
from .losses import like
from .module import Module
from .normalization import LayerNorm


@composite(method=False)
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *, is_causal: bool = False
) -> Tensor:
    """Return softmax(query @ key.mT / √E + mask) @ value. Shapes: (..., L, E), (..., S, E), (..., S, V) -> (..., L, V).

    `attn_mask` is broadcast to (..., L, S): floats are added to the scores; in a boolean mask, False excludes a pair.
    With `is_causal`, position i attends to positions up to i. A position that may attend to none gets 0 and no
    gradient. Source: Vaswani et al., Attention is all you need (2017), equation 1.

    >>> import tinygrad_nn as tg
    >>> tg.scaled_dot_product_attention([[1.0], [1.0]], [[2.0], [2.0]], [[4.0], [8.0]], is_causal=True).tolist()
    [[4.0], [6.0]]
    """
    masks = [] if attn_mask is None else [_added(attn_mask, query, taken_out=False)]
    y: Tensor = _weights(query, key, masks, is_causal) @ value
    return y


# Samples for the tests: a tuple stands for drawn values of that shape.
scaled_dot_product_attention.samples = [
    sample((2, 3, 2), (2, 4, 2), (2, 4, 3)), sample((3, 2), (3, 2), (3, 1), is_causal=True),
    sample((2, 2), (3, 2), (3, 2), (2, 3)), sample((0, 2), (3, 2), (3, 2)),
    sample((2, 2), (2, 2), (2, 2), np.array([[True, False], [False, False]])),
]  # fmt: skip


def _added(mask: Any, query: Tensor, taken_out: bool) -> Any:
    """Return what a mask adds to the scores: its floats, or -inf where a boolean one equals `taken_out`."""
    mask = as_tensor(mask)
    if mask.dtype.kind == "f":
        return like(query, mask)
    if mask.dtype != bool:
        raise TypeError(f"a mask is boolean, or floats to add, got {mask.dtype}; write mask.astype(bool), or (float)")
    return where(mask == taken_out, query.dtype.type(-np.inf), query.dtype.type(0))


def _weights(query: Tensor, key: Tensor, masks: list[Tensor], is_causal: bool) -> Any:
    """Return each query's weights of the keys, which sum to 1. Shapes: (..., L, E), (..., S, E) -> (..., L, S)."""
    scores = (query * (1 / math.sqrt(query.shape[-1] or 1))) @ key.mT
    if is_causal:
        masks = [*masks, _added(np.tri(*scores.shape[-2:], dtype=bool), query, taken_out=False)]
    for mask in masks:
        scores = scores + mask
    return softmax(scores)


class MultiheadAttention(Module):
    """Attention in num_heads heads, each with its own projections; returns the outputs and the weights.

    Shapes: (L, N, E), (S, N, kdim), (S, N, vdim) -> (L, N, E), (N, L, S), E = embed_dim; with `batch_first` N comes
    first, and without a batch there is no N. Each head projects queries (query @ w_q.T + b_q), keys and values to E /
    num_heads features and applies `scaled_dot_product_attention`; the heads are joined and go through `out_proj`.
    Source: Vaswani et al., Attention is all you need (2017), section 3.2.2.

    in_proj_weight (3 E, E) stacks the weights of queries, keys and values; if kdim or vdim is not E, they are
    q_proj_weight, k_proj_weight (E, kdim) and v_proj_weight (E, vdim). They are initialised by `init.xavier_uniform`,
    the weight of out_proj as in Linear, all biases with 0.

    >>> import tinygrad_nn as tg
    >>> layer = tg.nn.MultiheadAttention(4, 2, batch_first=True, seed=0)
    >>> x = tg.ones((3, 5, 4))
    >>> y, weights = layer(x, x, x)
    >>> y.shape, weights.shape
    ((3, 5, 4), (3, 5, 5))
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, *, kdim: int | None = None,
        vdim: int | None = None, batch_first: bool = False, dtype: Any = np.float64, seed: Any = None,
    ) -> None:  # fmt: skip
        generator = np.random.default_rng(seed)
        self.embed_dim: int = whole_number("embed_dim", embed_dim)
        self.num_heads: int = whole_number("num_heads", num_heads)
        if embed_dim % num_heads:
            raise ValueError(f"num_heads={num_heads} must divide embed_dim={embed_dim}")
        self.batch_first: bool = batch_first
        kdim, vdim = (embed_dim if n is None else n for n in (kdim, vdim))
        if kdim == vdim == embed_dim:
            self.in_proj_weight: Tensor = unset(3 * embed_dim, embed_dim, dtype=dtype)
        else:
            self.q_proj_weight: Tensor = unset(embed_dim, embed_dim, dtype=dtype)
            self.k_proj_weight: Tensor = unset(embed_dim, kdim, dtype=dtype)
            self.v_proj_weight: Tensor = unset(embed_dim, vdim, dtype=dtype)
        self.in_proj_bias: Tensor | None = unset(3 * embed_dim, dtype=dtype) if bias else None
        self.out_proj: Linear = Linear(embed_dim, embed_dim, bias, dtype=dtype, seed=generator)
        self.dropout: Dropout = Dropout(dropout, seed=generator)
        self.reset_parameters(generator)

    def reset_parameters(self, seed: Any = None) -> None:
        """Draw the weights again."""
        generator = np.random.default_rng(seed)
        super().reset_parameters(generator)
        for name, p in vars(self).items():
            if name.endswith("proj_weight"):
                p.data = init.xavier_uniform(generator, p.shape)
        for p in (self.in_proj_bias, self.out_proj.bias):
            if p is not None:
                p.data = np.zeros(p.shape)

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
        attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Return the outputs, and the weights or None.

        `key_padding_mask` is (N, S), `attn_mask` (L, S) or (N · num_heads, L, S): floats are added to the scores; in a
        boolean mask **True excludes**, as in PyTorch. With `is_causal`, position i attends to positions up to i; no
        mask is needed. The weights are those after dropout, averaged over the heads or, if not averaged, (N, num_heads,
        L, S). A position that may attend to none has weights of 0, where PyTorch's are nan.
        """
        heads = self._heads(query, key, value)
        axis = 1 if self.batch_first and heads[0].ndim == 4 else 0  # where positions are
        q, k, v = (np.moveaxis(x, axis, -2) for x in heads)
        shapes = [x.shape[:-2] for x in (q, k, v)]
        if q.ndim not in (3, 4) or shapes != shapes[:1] * 3 or k.shape[-2] != v.shape[-2]:
            n = "N, L" if self.batch_first else "L, N"
            raise ValueError(f"{type(self).__name__} takes ({n}, E), keys and values of one length, in one batch")
        masks = self._masks((*q.shape[:-1], k.shape[-2]), key_padding_mask, attn_mask, q)
        weights = self.dropout(_weights(q, k, masks, is_causal))
        y = np.moveaxis(weights @ v, -2, axis)
        y = self.out_proj(y.reshape(*y.shape[:-2], self.embed_dim))
        if not need_weights:
            return y, None
        return y, weights.mean(axis=-3) if average_attn_weights else weights

    def _heads(self, query: Any, key: Any, value: Any) -> list[Any]:
        """Return queries, keys and values of the heads. Shapes: (..., k) -> (..., num_heads, E / num_heads)."""
        w, b = getattr(self, "in_proj_weight", None), self.in_proj_bias
        each = self.num_heads, self.embed_dim // self.num_heads
        if query is key is value and w is not None:  # one product instead of three
            y = linear(query, w, b)
            y = y.reshape(*y.shape[:-1], 3, *each)
            return [y[..., i, :, :] for i in range(3)]
        weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight] if w is None else split(w, 3)
        biases = [None] * 3 if b is None else split(b, 3)
        ys = map(linear, (query, key, value), weights, biases)
        return [y.reshape(*y.shape[:-1], *each) for y in ys]

    def _masks(self, shape: tuple[int, ...], key_padding_mask: Any, attn_mask: Any, query: Tensor) -> list[Tensor]:
        """Return what the masks add to the scores, (N, num_heads, L, S) or without N. Raises ValueError."""
        *batch, heads, length, keys = shape
        wanted = {
            "key_padding_mask": (key_padding_mask, {(*batch, keys): (*batch, 1, 1, keys)}),
            "attn_mask": (attn_mask, {shape[-2:]: shape[-2:], (math.prod(batch) * heads, length, keys): shape}),
        }
        masks = []
        for name, (mask, shapes) in wanted.items():
            if mask is not None:
                mask = _added(mask, query, taken_out=True)
                if mask.shape not in shapes:
                    raise ValueError(f"{name} has shape {mask.shape}, needs {' or '.join(map(str, shapes))}")
                masks.append(mask.reshape(shapes[mask.shape]))
        return masks


_ACTIVATIONS: dict[Any, Callable[..., Any]] = {"relu": relu, "gelu": gelu}


def _activation(name: str, x: Any) -> Any:
    if not callable(x) and x not in _ACTIVATIONS:
        raise ValueError(f"{name} is {x!r}; write 'relu', 'gelu' or a function")
    return x


class TransformerEncoderLayer(Module, settings={"activation": _activation}):
    """Self-attention, then a network of two linear layers at each position, each with a residual connection.

    Shapes: (L, N, d_model) -> the same; with `batch_first` N comes first, and without a batch there is no N.
    x <- norm1(x + attention(x)), x <- norm2(x + linear2(activation(linear1(x)))), or with `norm_first`
    x <- x + attention(norm1(x)), x <- x + linear2(activation(linear1(norm2(x)))). Dropout follows attention, activation
    and linear2, and is applied to the attention's weights. `activation` is "relu", "gelu" or a function. Source:
    Vaswani et al., Attention is all you need (2017), section 3.1; Xiong et al., On layer normalization in the
    transformer architecture (2020), for norm_first.

    >>> import tinygrad_nn as tg
    >>> layer = tg.nn.TransformerEncoderLayer(4, nhead=2, dim_feedforward=8, batch_first=True, seed=0)
    >>> layer(tg.ones((3, 5, 4))).shape
    (3, 5, 4)
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Any = "relu",
        layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False, bias: bool = True,
        *, dtype: Any = np.float64, seed: Any = None,
    ) -> None:  # fmt: skip
        generator = np.random.default_rng(seed)
        own: dict[str, Any] = {"dtype": dtype, "seed": generator}
        self.norm_first: bool = norm_first
        self.activation: Any = activation
        self.self_attn: MultiheadAttention = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **own
        )
        self.linear1: Linear = Linear(d_model, dim_feedforward, bias, **own)
        self.linear2: Linear = Linear(dim_feedforward, d_model, bias, **own)
        self.norm1: LayerNorm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2: LayerNorm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout: Dropout = Dropout(dropout, seed=generator)

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        """Return the outputs; masks are those of MultiheadAttention. Shapes: (L, N, d_model) -> (L, N, d_model)."""
        x = as_tensor(src)

        def attention(x: Any) -> Any:
            y, _ = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)
            return self.dropout(y)

        def feed_forward(x: Any) -> Any:
            activation = _ACTIVATIONS.get(self.activation, self.activation)
            return self.dropout(self.linear2(self.dropout(activation(self.linear1(x)))))

        for norm, block in ((self.norm1, attention), (self.norm2, feed_forward)):
            x = x + block(norm(x)) if self.norm_first else norm(x + block(x))
        return x
