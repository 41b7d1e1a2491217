"""Keywords of PyTorch's that a class of ours lacks: its TypeError says what to write instead."""

from __future__ import annotations

import functools
from inspect import signature
from typing import Any

from ..errors.unsupported import table

# Arguments of PyTorch's classes that there are not here: why, or what to write instead.
ARGUMENTS = table("""
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
""")


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
