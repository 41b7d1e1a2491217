"""Names of others: what of NumPy and SciPy is not recorded, and why; what PyTorch's are called here."""

from __future__ import annotations

MISSING = {
    "it needs a derivative of complex numbers": dict.fromkeys(
        ("fft", "fft2", "fftn", "hfft", "ifft", "ifft2", "ifftn", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2",
         "rfftn"), "convolve",
    ) | {"angle": "arctan2", "sort_complex": "sort", "eig": "linalg.eigh", "eigvals": "linalg.eigvalsh"},
    "its roots are complex": {"roots": "polyval"},
    "it needs a derivative by its weights": dict.fromkeys(("histogram", "histogram2d", "histogramdd"), "bincount"),
    "the shape of its result depends on values": dict.fromkeys(
        ("intersect1d", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse",
         "unique_values"), "getitem",
    ),
    "its derivative is a difference that rounding makes": {"nextafter": "positive"},
}  # fmt: skip
SCIPY_MISSING = {
    "it needs a derivative by its order": {"jv": "i0", "yv": "i0", "iv": "i0", "kv": "i0"},
    "it needs a derivative by its first parameter": dict.fromkeys(("gammainc", "gammaincc"), "gammaln"),
}

# What to write for names of PyTorch's, as functions and as methods.
PYTORCH = {
    name: here
    for here, names in {
        "t.reshape": "view view_as reshape_as", "t.transpose": "permute", "t.swapaxes": "swapdims", "t.T": "t",
        "tg.moveaxis": "movedim", "t[None] or tg.expand_dims": "unsqueeze", "tg.concatenate": "cat",
        "tg.unstack": "unbind", "tg.split": "chunk tensor_split", "tg.broadcast_to": "expand expand_as",
        "tg.repeat": "repeat_interleave", "t.size": "numel nelement", "t.ndim": "dim", "t.copy()": "clone",
        "t as it is, for it is NumPy's": "contiguous cpu cuda device", "t.astype": "to type type_as",
        "tg.clip": "clamp clamp_min clamp_max", "a @ b": "mm bmm mv", "tg.linalg.norm": "norm", "tg.outer": "ger",
        "tg.linalg.inv": "inverse", "tg.linalg.det": "det", "1 / tg.sqrt(t)": "rsqrt", "tg.multiply": "mul",
        "tg.subtract": "sub", "tg.divide": "div", "tg.negative": "neg", "a < b and the like": "lt le gt ge eq ne",
        "tg.where": "masked_fill", "t[mask]": "masked_select", "t[:, start:end]": "narrow", "tg.take": "index_select",
        "tg.take_along_axis": "gather", "tg.scatter_add": "scatter index_add", "tg.as_tensor": "from_numpy",
        "isinstance(x, tg.Tensor)": "is_tensor", "t.requires_grad = True": "requires_grad_", "t.detach()": "detach_",
        "tg.no_grad()": "inference_mode", "tg.nn.Dropout": "dropout",
        "seed=0 where a layer is made, or np.random.default_rng(0)": "manual_seed",
        "tg.tensor(np.random.default_rng(0).normal(size=shape))": "rand randn randint normal rand_like randn_like",
        "np.float16 or t.astype(np.float16)": "half float16", "np.float32 or t.astype(np.float32)": "float float32",
        "np.float64 or t.astype(np.float64)": "double float64", "np.int32 or t.astype(np.int32)": "int int32",
        "np.int64 or t.astype(np.int64)": "long int64", "np.bool or t.astype(np.bool)": "bool",
    }.items()
    for name in names.split()
}  # fmt: skip


def of_pytorch(place: str, name: str) -> str | None:
    """Return what to write for a name of PyTorch's that is looked for in a place, None for another name."""
    by_underscore = "t += x and the like, or t[...] = x, of a parameter under tg.no_grad()"
    here = PYTORCH.get(name, by_underscore if name.endswith("_") and not name.startswith("_") else None)
    return here and f"{place}.{name} is PyTorch's name; write {here}"


def reason(name: str) -> tuple[str, str] | None:
    """Return why the function of this name is not recorded, and the nearest that is; None where no table says so."""
    tables = MISSING | SCIPY_MISSING
    return next(((why, names[name]) for why, names in tables.items() if name in names), None)
