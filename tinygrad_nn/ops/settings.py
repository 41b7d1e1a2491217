"""Settings of classes and functions: numbers are checked, and PyTorch's settings that are missing here explained."""

from __future__ import annotations

import difflib
import functools
import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import numpy as np

from ..errors import given
from ..errors.unsupported import elsewhere, table

Function = TypeVar("Function", bound=Callable[..., Any])
Check = Callable[[str, Any], Any]  # (name, value) -> the value as it is to be kept, or an error

# Settings of PyTorch and Keras, and what to write instead.
SETTINGS = {
    "PyTorch": table("""
    device: leave it out: arrays are NumPy's | inplace: leave it out: a tensor is a value | dim: write axis= |
    start_dim: write start_axis= | end_dim: write end_axis= | size_average reduce: write reduction= | padding_mode:
    leave it out: here padding is always zeros | return_indices: find them by tg.argmax | max_norm norm_type: scale
    layer.weight.data after each step | scale_grad_by_freq sparse: leave it out: gradients are dense | add_bias_kv
    add_zero_attn: concatenate such entries to key and value | proj_size: put a Linear layer after it | foreach fused
    capturable differentiable: leave it out: a step has one implementation | maximize: minimise -loss |
    decoupled_weight_decay: use AdamW | last_epoch: use load_state_dict of the schedule | sampler batch_sampler: pass
    a tg.data.Subset in its order | generator: write seed=, which takes a generator | num_workers pin_memory timeout
    worker_init_fn multiprocessing_context prefetch_factor persistent_workers: leave it out: batches are made where
    they are used | closure: call it before the step | prefix: put it before each name | recurse: take those whose name
    has no dot | map_location weights_only assign keep_vars destination: leave it out
"""),
    "Keras": table("""
    learning_rate: write lr= | beta_1 beta_2: write betas=(0.9, 0.999) | epsilon: write eps= | clipnorm global_clipnorm:
    pass clip_norm= to tg.train | units filters: write the sizes, (inputs, outputs) | strides: write stride= |
    activation: put nn.ReLU() or the like after it | kernel_initializer: set weight.data after it is made | use_bias:
    write bias= | input_shape input_dim: leave it out: the first size is that of the inputs | rate: write p= |
    return_sequences return_state: leave it out: all outputs and the last state are returned | validation_data: write
    validation= | validation_split: tg.data.train_test_split splits the rows before | callbacks: write on_epoch=,
    early_stopping=, scheduler= or checkpoint= | verbose: write progress=, or print schedule.get_last_lr() | shuffle:
    write shuffle_seed=
"""),
}
_NOTES = {
    "data type .* not understood|as a data type": "a dtype is one of NumPy's: write dtype=np.float32 or 'float32'",
    "SeedSequence|expected non-negative|Seed must|Cannot cast scalar": "a seed is a whole number, a generator of "
    "NumPy's, or None: write seed=0",
}
_CALLED = [
    *["__init__", "step", "named_parameters", "named_buffers", "named_modules", "parameters", "buffers", "astype"],
    *["reset_parameters", "state_dict", "load_state_dict"],
]


def is_number(x: Any) -> bool:
    """Return whether something is a real number, and not a boolean."""
    return isinstance(x, numbers.Real) and not isinstance(x, bool)


def whole_number(name: str, x: Any, least: float = 1) -> int:
    """Return a whole number as an int. Raises TypeError if it is not one, ValueError if it is below `least`."""
    is_whole = isinstance(x, (int, np.integer)) and not isinstance(x, bool)
    if not is_whole or x < least:
        low = "" if least == -np.inf else f", {least} or more"
        raise (ValueError if is_whole else TypeError)(f"{name} must be a whole number{low}, got {given(x)}")
    return int(x)


def number(name: str, x: Any, most: float = np.inf, least: float = 0, below: float = np.inf) -> float:
    """Return a finite number as a float. Raises TypeError if it is not a number, ValueError if it is out of bounds."""
    try:
        value = float(x) if is_number(x) else np.nan
    except OverflowError:  # of a large int
        value = np.inf
    if not least <= value <= most or not abs(value) < below:
        low = "" if least == -np.inf else f", {least} or more"
        above = f"from {least} to {most}" if most < np.inf else f"at least {least} and below {below}"
        bounds = f"a finite number{low}" if most == below == np.inf else above
        raise (ValueError if is_number(x) else TypeError)(f"{name} must be {bounds}, got {given(x)}")
    return value


count: Check = partial(whole_number, least=0)
integer: Check = partial(whole_number, least=-np.inf)
share: Check = partial(number, most=1)
finite: Check = partial(number, least=-np.inf)


def positive(name: str, x: Any, most: float = np.inf) -> float:
    """Return a finite number above 0, and up to `most`, as a float. Raises TypeError or ValueError for others."""
    if number(name, x, most) == 0:
        raise ValueError(f"{name} must be above 0, got {given(x)}")
    return float(x)


def one_of(*choices: str) -> Check:
    """Return a check that accepts these strings. It raises ValueError for anything else."""

    def check(name: str, x: Any) -> Any:
        if not isinstance(x, str) or x not in choices:
            raise ValueError(f"{name} must be {', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}, got {given(x)}")
        return x

    return check


def generator_of(_: str, seed: Any) -> np.random.Generator:
    """Return a random generator: the given one, or one of a whole number, or of fresh entropy for None."""
    return np.random.default_rng(seed)


def switch(name: str, x: Any) -> bool:
    """Return True or False. Raises TypeError for anything else."""
    if not isinstance(x, (bool, np.bool)):
        raise TypeError(f"{name} must be True or False, got {given(x)}")
    return bool(x)


def _annotated(function: Any, *kinds: Any) -> list[str]:
    """Return which parameters' annotations are of these kinds, if the function is this package's own."""
    ours = str(getattr(function, "__module__", "")).startswith(__name__.partition(".")[0] + ".")
    found = getattr(function, "__annotations__", {}) if ours else {}
    return [name for name, annotation in found.items() if annotation in kinds]


def optional(check: Check) -> Check:
    """Return a check that accepts None as well."""
    return lambda name, x: None if x is None else check(name, x)


_SWITCHES: dict[Any, Check] = {"bool": switch, bool: switch}
_SIZES: dict[Any, Check] = {"int": integer, "int | None": optional(integer)}


def explained(function: Function) -> Function:
    """Return the function; it checks its switches, a constructor also its whole numbers.

    If it lacks a setting of another library, it says what to write.
    """
    code, is_constructor = function.__code__, function.__name__ == "__init__"
    kinds = _SWITCHES | _SIZES if is_constructor else _SWITCHES
    checks = {name: check for kind, check in kinds.items() for name in _annotated(function, kind)}

    @functools.wraps(function)
    def call(*args: Any, **settings: Any) -> Any:
        passed = dict(zip(code.co_varnames[: code.co_argcount], args)) | settings if checks else {}
        for name in [name for name in checks if name in passed]:
            checks[name](name, passed[name])
        try:
            return function(*args, **settings)
        except (TypeError, ValueError) as error:
            found = re.search(r"unexpected keyword argument '(\w+)'|Optimizer\.step\(\) takes 1 positional", str(error))
            name = (found[1] or "closure") if found else ""
            what = type(args[0]).__name__ if is_constructor else function.__name__
            for library in [library for library, names in SETTINGS.items() if name in names]:
                raise TypeError(f"{what} has no {name}=, which is {library}'s; {SETTINGS[library][name]}") from None
            known = [name for name in signature(function).parameters if name != "self"]
            if name in settings.keys() - known:
                near = difflib.get_close_matches(name, known, 1) or known
                raise TypeError(f"{what} has no {name}=; write {', '.join(f'{name}=' for name in near)}") from None
            for advice in [advice for words, advice in _NOTES.items() if re.search(words, str(error))]:
                if advice not in getattr(error, "__notes__", ()):  # of a layer within
                    error.add_note(advice)
            raise

    return call  # type: ignore[return-value]


class Explained:
    """A class that checks its settings, and says why an attribute is missing, or a setting refused, and what to write.

    `settings` has a check for attributes of the class and its subclasses: it runs whenever one is set. The switches of
    its constructor are checked by themselves. What `fixed` names can't be set to another value later, nor can the
    constructor's whole numbers without a check. The settings of an optimiser are the entries of its state.
    """

    _elsewhere: ClassVar[dict[str, dict[str, str]]] = {}
    _settings: ClassVar[Mapping[str, Check]] = {}
    _fixed: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, settings: Mapping[str, Check] = {}, fixed: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        made = vars(cls).get("__init__")
        switches, sizes = _annotated(made, "bool"), _annotated(made, *_SIZES)
        cls._settings = {**dict.fromkeys(switches, switch), **cls._settings, **settings}
        cls._fixed = cls._fixed | {name for name in sizes if name not in cls._settings} | {*fixed}
        for name in [name for name in _CALLED if callable(vars(cls).get(name))]:
            type.__setattr__(cls, name, explained(vars(cls)[name]))

    def _kept(self, name: str, value: Any) -> Any:
        """Return the value to keep. Raises TypeError or ValueError, AttributeError if the setting stays as it was."""
        check, old = self._settings.get(name), vars(self).get(name)
        value = value if check is None else check(name, value)
        is_same = value is old or (type(value) is type(old) and isinstance(value, (int, str, tuple)) and value == old)
        if name in self._fixed and name in vars(self) and not is_same:
            kind = type(self).__name__
            raise AttributeError(f"{kind}.{name} stays {old!r:.99}, since more depends on it; write a new {kind}(...)")
        return value

    if not TYPE_CHECKING:  # so a type checker reports attributes that nothing sets

        def __setattr__(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, self._kept(name, value))

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self).__name__
            if hasattr(type(self), name):
                object.__getattribute__(self, name)  # a property has failed: it raises its own error again
            raise AttributeError(
                elsewhere(kind, name, self._elsewhere)
                or f"{kind} has no attribute {name!r}; set it in __init__, after super().__init__(...) if the class "
                "extends another",
                name=name,
                obj=self,  # from these Python suggests a name when it shows the error
            )
