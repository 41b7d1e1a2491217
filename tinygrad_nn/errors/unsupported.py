"""Names of others: what of NumPy and SciPy is not recorded, and why; what PyTorch's are called here."""

from __future__ import annotations

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


def table(text: str) -> dict[str, str]:
    """Return what stands in a text of `names: what to write | ...`, by name."""
    entries = [entry.split(": ", 1) for entry in " ".join(text.split()).split(" | ")]
    return {name: here for names, here in entries for name in names.split()}


PYTORCH = table(_PYTORCH)


def of_pytorch(home: str, name: str) -> str | None:
    """Return what to write for a name of PyTorch's that is looked for in `tg` or in a Tensor, `t`; None for others."""
    return (here := PYTORCH.get(name)) and f"{home}.{name} is PyTorch's name; write {here}"


def reason(name: str) -> tuple[str, str] | None:
    """Return why the function of this name is not recorded, and the nearest that is; None where no table says so."""
    return next(((why, names[name]) for why, names in MISSING.items() if name in names), None)
