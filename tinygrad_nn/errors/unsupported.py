"""Names of others: what of NumPy and SciPy is not recorded, and why; what PyTorch's are called here."""

from __future__ import annotations

import functools
from inspect import signature
from typing import Any

# Why functions are not recorded, and the nearest that is.
MISSING = {
    "it needs a derivative of complex numbers": dict.fromkeys(
        ("fft", "fft2", "fftn", "hfft", "ifft", "ifft2", "ifftn", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2",
         "rfftn"), "tg.convolve",
    ) | {"angle": "tg.arctan2", "sort_complex": "tg.sort", "eig": "tg.linalg.eigh", "eigvals": "tg.linalg.eigvalsh"},
    "its roots are complex": {"roots": "tg.polyval"},
    "it needs a derivative by its weights": dict.fromkeys(("histogram", "histogram2d", "histogramdd"), "tg.bincount"),
    "the shape of its result depends on values": dict.fromkeys(
        ("intersect1d", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse",
         "unique_values"), "t[indices], of np.unique(t.data, return_index=True)",
    ),
    "its derivative is a difference that rounding makes": {"nextafter": "tg.positive"},
    "it needs a derivative by its order": dict.fromkeys(("jv", "yv", "iv", "kv"), "tg.i0"),
    "it needs a derivative by its first parameter": dict.fromkeys(("gammainc", "gammaincc"), "tg.gammaln"),
}  # fmt: skip

# Names of PyTorch's, as functions and as methods, and what to write for them.
_PYTORCH = """
    view view_as reshape_as: t.reshape | permute: t.transpose | swapdims: t.swapaxes | t: t.T | movedim: tg.moveaxis |
    unsqueeze: t[None] or tg.expand_dims | cat: tg.concatenate | unbind: tg.unstack | chunk tensor_split: tg.split |
    expand expand_as: tg.broadcast_to | repeat_interleave: tg.repeat | numel nelement: t.size | dim: t.ndim |
    clone: t.copy() | contiguous cpu cuda device: t as it is, for it is NumPy's | to type type_as: t.astype |
    clamp clamp_min clamp_max: tg.clip | mm bmm mv: a @ b | norm: tg.linalg.norm | ger: tg.outer |
    inverse: tg.linalg.inv | det: tg.linalg.det | rsqrt: 1 / tg.sqrt(t) | mul: tg.multiply | sub: tg.subtract |
    div: tg.divide | neg: tg.negative | lt le gt ge eq ne: a < b and the like | masked_fill: tg.where |
    masked_select: t[mask] | narrow: t[:, start:end] | index_select: tg.take | gather: tg.take_along_axis |
    scatter index_add: tg.scatter_add | from_numpy: tg.as_tensor | is_tensor: isinstance(x, tg.Tensor) |
    add_ sub_ mul_ div_ pow_ clamp_ zero_ fill_ copy_: t += x and the like, or t[...] = x, of a parameter under
    tg.no_grad() | requires_grad_: t.requires_grad = True | detach_: t.detach() | inference_mode: tg.no_grad() |
    dropout: tg.nn.Dropout | manual_seed: seed=0 where a layer is made, or np.random.default_rng(0) |
    rand randn randint normal rand_like randn_like: tg.tensor(np.random.default_rng(0).normal(size=shape)) |
    half float16: np.float16 or t.astype(np.float16) | float float32: np.float32 or t.astype(np.float32) |
    double float64: np.float64 or t.astype(np.float64) | int int32: np.int32 or t.astype(np.int32) |
    long int64: np.int64 or t.astype(np.int64) | bool: np.bool or t.astype(np.bool)
"""
# Arguments of PyTorch's classes that there are not here: why, or what to write instead.
_ARGUMENTS = """
    device pin_memory pin_memory_device: arrays are NumPy's, in main memory | inplace: a value is never overwritten |
    foreach fused capturable differentiable: it chooses how PyTorch computes, not what | params: pass them first |
    maximize: minimise the negative instead, as in (-gain).backward() | decoupled_weight_decay: take tg.optim.AdamW |
    last_epoch: call schedule.load_state_dict(saved) to go on from an epoch | size_average reduce: write reduction= |
    padding_mode: pad before it, as in tg.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect"), "edge" or "wrap" |
    return_indices: gradients go to the largest entries without them | proj_size: put nn.Linear behind the layer |
    max_norm norm_type: after a step scale the rows under tg.no_grad() | scale_grad_by_freq: divide the loss instead |
    sparse: gradients are whole arrays | _weight _freeze: set layer.weight.data, and layer.requires_grad_(False) |
    add_bias_kv add_zero_attn: join what all may read to key and value by tg.concatenate |
    num_workers prefetch_factor persistent_workers worker_init_fn multiprocessing_context timeout in_order: batches are
    made where the loop runs | generator: write seed=, which takes a generator too |
    sampler batch_sampler: take tg.data.Subset(dataset, indices), whose order is that of the indices
"""


def _table(text: str) -> dict[str, str]:
    entries = [entry.split(": ", 1) for entry in " ".join(text.split()).split(" | ")]
    return {name: here for names, here in entries for name in names.split()}


PYTORCH, ARGUMENTS = _table(_PYTORCH), _table(_ARGUMENTS)


def guard_keywords(cls: Any) -> None:
    """Let the `__init__` of a class of ours say what to write for a keyword that it lacks, as PyTorch's dim=."""
    init = vars(cls).get("__init__")
    if init is None or cls.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return
    names = [*signature(init).parameters][1:]

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **settings: Any) -> None:
        for name in [name for name in settings if name not in names]:
            kind, ours = type(self).__name__, name.replace("dim", "axis")
            if ours != name and ours in names:
                raise TypeError(f"{kind}: {name} is PyTorch's name; write {ours}={settings[name]!r}")
            if name in ARGUMENTS:
                raise TypeError(f"{kind}: leave out {name}=, which is PyTorch's; {ARGUMENTS[name]}")
            raise TypeError(f"{kind} has no {name}=; it takes {', '.join(names) or 'nothing'}")
        init(self, *args, **settings)

    cls.__init__ = checked


def of_pytorch(home: str, name: str) -> str | None:
    """Return what to write for a name of PyTorch's that is looked for in `tg` or in a Tensor, `t`; None for others."""
    here = PYTORCH.get(name)
    return here and f"{home}.{name} is PyTorch's name; write {here}"


def reason(name: str) -> tuple[str, str] | None:
    """Return why the function of this name is not recorded, and the nearest that is; None where no table says so."""
    return next(((why, names[name]) for why, names in MISSING.items() if name in names), None)
