"""Names of other libraries: why a function of NumPy or SciPy is not recorded; what to write for PyTorch's names."""

from __future__ import annotations


def table(text: str) -> dict[str, str]:
    """Return a text of `names: what to say | ...` as a dictionary, with a key for each name."""
    entries = [entry.split(": ", 1) for entry in " ".join(text.split()).split(" | ")]
    return {name: here for names, here in entries for name in names.split()}


# Why functions of NumPy and SciPy are not recorded, and the nearest that is.
NOT_RECORDED = table("""
    fft fft2 fftn hfft ifft ifft2 ifftn ihfft irfft irfft2 irfftn rfft rfft2 rfftn: it needs a derivative of complex
    numbers; the nearest is tg.convolve | angle: it needs a derivative of complex numbers; the nearest is tg.arctan2 |
    sort_complex: it needs a derivative of complex numbers; the nearest is tg.sort |
    eig: it needs a derivative of complex numbers; the nearest is tg.linalg.eigh |
    eigvals: it needs a derivative of complex numbers; the nearest is tg.linalg.eigvalsh |
    roots: its roots are complex; the nearest is tg.polyval |
    histogram histogram2d histogramdd: it needs a derivative with respect to its weights; the nearest is tg.bincount |
    intersect1d setdiff1d setxor1d union1d unique unique_all unique_counts unique_inverse unique_values:
    the shape of its result depends on values; the nearest is t[indices], of np.unique(t.data, return_index=True) |
    nextafter: its derivative is a difference that rounding makes; the nearest is tg.positive |
    jv yv iv kv: it needs a derivative with respect to its order; the nearest is tg.i0 |
    gammainc gammaincc: it needs a derivative with respect to its first parameter; the nearest is tg.gammaln
""")

# PyTorch's names of functions and methods, and what to write instead.
PYTORCH = table("""
    view view_as reshape_as: t.reshape | permute: t.transpose | swapdims: t.swapaxes | t: t.T | movedim: tg.moveaxis |
    unsqueeze: t[None] or tg.expand_dims | cat: tg.concatenate | unbind: tg.unstack | chunk tensor_split: tg.split |
    expand expand_as: tg.broadcast_to | repeat_interleave: tg.repeat | numel nelement: t.size | dim: t.ndim |
    clone: t.copy() | contiguous cpu cuda device: t as it is: its array is NumPy's | to type type_as: t.astype |
    clamp clamp_min clamp_max: tg.clip | mm bmm mv: a @ b | norm: tg.linalg.norm | ger: tg.outer |
    inverse: tg.linalg.inv | det: tg.linalg.det | rsqrt: 1 / tg.sqrt(t) | mul: tg.multiply | sub: tg.subtract |
    div: tg.divide | neg: tg.negative | lt le gt ge eq ne: a < b and the like | masked_fill: tg.where |
    masked_select: t[mask] | narrow: t[:, start:end] | index_select: tg.take | gather: tg.take_along_axis |
    scatter index_add: tg.scatter_add | from_numpy: tg.as_tensor | is_tensor: isinstance(x, tg.Tensor) |
    add_ sub_ mul_ div_ pow_ clamp_ zero_ fill_ copy_: t += x and the like, or t[...] = x, of a parameter under
    tg.no_grad() | requires_grad_: t.requires_grad = True | detach_: t.detach() | inference_mode: tg.no_grad() |
    dropout: tg.nn.Dropout | manual_seed: seed=0 where a layer is made, or np.random.default_rng(0) |
    randn rand randint normal randn_like rand_like: rng.normal, random or integers, rng = np.random.default_rng(0) |
    half float double int long bool float16 float32 float64 int32 int64:
    np.float32 or t.astype(np.float32), or another NumPy dtype
""")


def of_pytorch(home: str, name: str) -> str | None:
    """Return what to write for a PyTorch name that was looked up in `tg` or in a Tensor `t`; None for other names."""
    return (here := PYTORCH.get(name)) and f"{home}.{name} is PyTorch's name; write {here}"
