"""Names of other libraries: why a function of NumPy or SciPy is not recorded; what to write for PyTorch's and JAX's."""

from __future__ import annotations

from collections.abc import Mapping


def table(text: str) -> dict[str, str]:
    """Return a text of `names: what to say | ...` as a dictionary, with a key for each name."""
    entries = [entry.split(": ", 1) for entry in " ".join(text.split()).split(" | ")]
    return {name: here for names, here in entries for name in names.split()}


def elsewhere(home: str, name: str, libraries: Mapping[str, dict[str, str]]) -> str | None:
    """Return what to write for a name that `home` lacks, if a library has it, by the table of each library's names."""
    for library in [library for library, names in libraries.items() if name in names]:
        return f"{home}.{name} is {library}'s name; write {libraries[library][name]}"
    return None


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

# Names of functions and methods of other libraries, and what to write instead.
ELSEWHERE = {
    "PyTorch": table("""
    view view_as reshape_as unflatten: t.reshape | permute: t.transpose | swapdims: t.swapaxes | t: t.T | movedim:
    tg.moveaxis | unsqueeze: t[None] or tg.expand_dims | cat: tg.concatenate | unbind: tg.unstack | chunk tensor_split:
    tg.split | expand expand_as: tg.broadcast_to | repeat_interleave: tg.repeat | numel nelement: t.size | dim: t.ndim |
    clone: t.copy() | grad_fn: with tg.watch() as graph, then print(graph) | contiguous cpu cuda is_cuda device backends
    pin_memory: t as it is: its array is NumPy's | is_contiguous: t.data.flags | stride data_ptr storage:
    t.data.strides, or another attribute of the array | to type type_as: t.astype | clamp clamp_min clamp_max hardtanh
    relu6: tg.clip | mm bmm mv: a @ b | addmm addmv addbmm baddbmm: c + a @ b | norm: tg.linalg.norm | cdist:
    tg.linalg.norm(a[:, None] - b, axis=-1) | inverse: tg.linalg.inv | normalize: t / tg.linalg.norm(t, axis=-1,
    keepdims=True) | logdet: tg.linalg.slogdet | rsqrt: 1 / tg.sqrt(t) | mul: tg.multiply | sub: tg.subtract | div:
    tg.divide | neg: tg.negative | lgamma: tg.gammaln | lt le gt ge eq ne: a < b and the like | masked_fill: tg.where |
    masked_select: t[mask] | narrow: t[:, start:end] | index_select embedding: tg.take | gather take_along_dim:
    tg.take_along_axis | scatter index_add: tg.scatter_add | index_put: t[index] = x | unfold: tg.sliding_window_view |
    std_mean var_mean: tg.std and tg.mean | special: tg.erf, tg.gammaln and so on | softsign: t / (1 + tg.abs(t)) |
    dropout: tg.nn.Dropout | layer_norm batch_norm group_norm instance_norm: tg.nn.LayerNorm or another layer |
    is_tensor: isinstance(x, tg.Tensor) | FloatTensor DoubleTensor LongTensor: tg.tensor | utils: tg.data, tg.optim or
    tg.checkpoint | ConcatDataset IterableDataset Sampler: a class with __len__ and __getitem__, for tg.data.DataLoader
    | WeightedRandomSampler SubsetRandomSampler: tg.data.Subset(dataset, rng.choice(n, n, p=shares)) | set_num_threads:
    tg.train, with blas_threads= | from_numpy asarray: tg.as_tensor | new_zeros new_ones new_full new_tensor: tg.zeros
    and the like | allclose isclose: np.allclose(a, b) | count_nonzero: tg.sum(t != 0) | add_ sub_ mul_ div_ pow_ clamp_
    zero_ fill fill_ copy_ neg_ exp_ sqrt_ clip_ round_ masked_fill_ index_add_ scatter_ scatter_add_: t += x and the
    like, or t[...] = x, of a parameter under tg.no_grad() | requires_grad_: t.requires_grad = True | detach_:
    t.detach() | squeeze_ unsqueeze_ t_ transpose_: t = t.T and the like | inference_mode set_grad_enabled: tg.no_grad()
    or tg.enable_grad() | manual_seed seed: seed=0 where a layer is made, or np.random.default_rng(0) | Generator:
    np.random.default_rng(0) | randn rand randint normal randn_like rand_like randperm bernoulli multinomial normal_
    uniform_ random_: rng.normal, random, integers, permutation or choice, rng = np.random.default_rng(0) | func:
    tg.grad, tg.vjp, tg.jvp, tg.jacobian or tg.hessian | vmap: operations that broadcast, or tg.einsum; for the gradient
    of each sample, tg.jacobian of their losses | jit: tg.compile | export: save("model.onnx") of what tg.compile
    returned | set_default_dtype get_default_dtype autocast amp: dtype=np.float32, or module.astype(np.float32) | half
    float double int long bool float16 float32 float64 int32 int64: np.float32, t.astype(np.float32) and the like
"""),
    "JAX": table("""
    jacfwd jacrev: tg.jacobian | linearize: tg.jvp | make_jaxpr: tg.compile, and explain() of what it returns | array:
    tg.tensor | at: t[i] = v, of t.copy() | stop_gradient: t.detach() | pmap: tg.train, with workers= | custom_vjp
    custom_jvp: @primitive, of tinygrad_nn.primitive, with a rule | remat: tg.checkpoint | lax: loops and branches of
    Python, also under tg.compile | tree tree_map tree_util: a loop over the dictionary, or tg.unravel | devices
    device_get device_put block_until_ready: t as it is: its array is NumPy's
"""),
}
