"""The record of one operation: its forward, its rules, and what its nodes save."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from .node import Lift, Node
from .outputs import item
from .rules import Rule, RuleForEach
from .zero_safe import FLAG_TELLS, product_of_entries

Normalise = Callable[[Any, Any], Any]  # (value of a parameter, inputs) -> its normal form, such as an axis >= 0
OPERATIONS: dict[str, Operation] = {}  # every operation, by its name


class Operation:
    """One operation: its forward on arrays, a rule per input, and everything derived from them.

    In a user's call, `bind` matches the arguments with inputs and parameters, and `run` normalises the parameters and
    calls `forward` on arrays; calls of one or two operands alone skip both. A rule that needs an operation calls its
    `kernel`, set by the declaration: `forward` on arrays, a recorded call on Tensors.

    Its nodes save what is read by the rules of those inputs that require grad. A `variadic` operation takes a list of
    any number of inputs and has one rule for all. With `multiple_outputs` there is one node for all outputs.
    `constant_inputs` have no rule, because the derivative is zero or does not exist. An operation `masks` if its output
    can hide a nan of an input, as 1**nan = 1 does: 0 * nan in an older node's rule raises no flag.

    Forward mode pushes tangents, derivatives with respect to one number, from the inputs to the output. It needs no
    rules of its own. A `pointwise` operation computes each entry from the corresponding ones: its Jacobian is diagonal,
    so the same rule pulls a cotangent and pushes a tangent. An operation that is `linear` in all inputs with rules
    together is `applied` to the tangents; its nodes save its parameters for that. Others may have tangent rules.
    Without them, forward mode transposes their rule, a product with the transposed Jacobian.

    `domain` and `kinks` are for the tests: the range to draw inputs from, and the subgradients chosen at kinks.
    """

    kinks: Mapping[Any, Any] = {}
    domain: tuple[float, float] = (-2.0, 2.0)
    rules: Any = ()
    tangent_rules: tuple[Rule | None, ...] = ()
    constant_inputs: tuple[int, ...] = ()

    def __init__(
        self, name: str, forward: Callable[..., Any], arguments: tuple[str, ...], defaults: Mapping[str, Any], *,
        optional: int = 0, variadic: bool = False, multiple_outputs: bool = False, linear: bool = False,
        pointwise: bool = False, masks: bool = False, normalise: Mapping[str, Normalise] | None = None,
    ) -> None:  # fmt: skip
        self.arguments: tuple[str, ...] = arguments  # the inputs' names, of which the last `optional` may be left out
        self.names: tuple[str, ...] = tuple(defaults)  # the parameters' names; all have an entry in `defaults`
        self.defaults: dict[str, Any] = dict(defaults)
        self.required_inputs: int = len(arguments) - optional
        self.required_parameters: list[str] = [n for n, default in defaults.items() if default is Parameter.empty]
        self.signature: Signature = _signature(arguments, self.required_inputs, self.defaults)
        self.normalise: dict[str, Normalise] = dict(normalise or {})
        if unknown := self.normalise.keys() - self.defaults:
            raise TypeError(f"{sorted(unknown)} are keywords of neither `primitive` nor the function; leave them out")
        if not (pointwise or FLAG_TELLS):  # some BLAS libraries raise NumPy's invalid flag on valid numbers
            forward = np.errstate(invalid="ignore")(forward)
        self.name: str = name
        self.forward: Callable[..., Any] = forward
        self.kernel: Callable[..., Any] = forward  # until the declaration sets one that takes Tensors, too
        self.variadic: bool = variadic
        self.multiple_outputs: bool = multiple_outputs
        self.linear: bool = linear
        self.pointwise: bool = pointwise
        self.masks: bool = masks
        shapes = (f"{arguments[0]}_shapes",) if variadic else tuple(f"{a}_shape" for a in arguments)
        self.slots: tuple[str, ...] = (*arguments, "y", *shapes, "wanted", *self.defaults)
        self._saves: dict[Any, tuple[tuple[bool, ...], bool]] = {}  # what `saves` has found, by its argument
        self.home: list[Any] = [getattr(forward, key, forward) for key in ("__module__", "__qualname__")]
        if name in OPERATIONS and OPERATIONS[name].home != self.home:  # equal if a notebook runs a cell twice
            raise ValueError(f"an operation named {name!r} is declared already; choose another name")
        OPERATIONS[name] = self

    @property
    def differentiable(self) -> bool:
        """True if any input has a rule."""
        return any(rule is not None for rule in itertools.islice(self.rules, len(self.arguments)))

    def bind(self, args: tuple[Any, ...], parameters: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the inputs of a call, and all parameters by name. Raises TypeError as Python does.

        A call is regular if inputs are positional and no parameter is missing, unknown or given twice. Other calls are
        bound by the signature, which takes some ten times as long.
        """
        n, names, given = len(self.arguments), self.names, len(args)
        inputs: Sequence[Any] = args if given == n else [*args[:n], *[None] * (n - given)]
        values = self.defaults | parameters
        regular = self.required_inputs <= given <= n + len(names) and len(values) == len(names)
        if given > n:
            values.update(zip(names, args[n:], strict=False))
            regular = regular and parameters.keys().isdisjoint(names[: given - n])
        for name in self.required_parameters:
            regular = regular and values[name] is not Parameter.empty
        if not regular:
            bound = self.signature.bind(*args, **parameters)
            bound.apply_defaults()
            everything = list(bound.arguments.values())
            inputs, values = everything[:n], dict(zip(names, everything[n:], strict=True))
        return list(inputs[0]) if self.variadic else inputs, values

    def run(self, arrays: list[Any], values: dict[str, Any]) -> Any:
        """Return the forward's result; `values`, the parameters by name, are normalised in place."""
        if self.normalise:
            self.normalised(values, arrays)
        return self.forward(arrays, **values) if self.variadic else self.forward(*arrays, **values)

    def normalised(self, values: dict[str, Any], arrays: list[Any]) -> dict[str, Any]:
        """Return the parameters, normalised in place (only here): for example, an axis is counted from 0."""
        for name, normal in self.normalise.items():
            values[name] = normal(values[name], arrays)
        return values

    def set_rules(self, rules: tuple[Any, ...], zero_safe: Any = None) -> None:
        """Attach one rule per input, None where the derivative is zero or does not exist; one for all if `variadic`."""
        if self.variadic:
            self.rules = RuleForEach(rules[0], self.slots, self.name)
            return
        self.rules = self.rules_from(rules, product_of_entries if self.pointwise else zero_safe)
        self.constant_inputs = tuple(index for index, rule in enumerate(rules) if rule is None)

    def set_tangent_rules(self, rules: tuple[Any, ...]) -> None:
        """Attach rules that push each input's tangent `t`. They may read only what the input's rule reads."""
        tangent_rules = self.rules_from(rules, None, "t")
        for argument, rule, pushes in zip(self.arguments, self.rules, tangent_rules, strict=True):
            if pushes is not None and not set(pushes.reads) <= set(rule.reads):
                raise TypeError(f"{self.name}: the rule that pushes {argument!r} may read {', '.join(rule.reads)} only")
        self.tangent_rules = tangent_rules

    def rules_from(self, rules: tuple[Any, ...], zero_safe: Any, leading: str = "g") -> tuple[Rule | None, ...]:
        """Return a Rule or None for each input. Raises TypeError unless there is one function or None per input."""
        if len(rules) != len(self.arguments):
            raise TypeError(f"{self.name} has inputs {self.arguments}; give one rule for each, or None")
        pairs = zip(self.arguments, rules, strict=True)
        return tuple([r and Rule(r, a, self.slots, zero_safe, (leading,), self.name) for a, r in pairs])

    def saves(self, wanted: tuple[bool, ...]) -> tuple[tuple[bool, ...], bool]:
        """Return for each slot whether a rule of the wanted inputs reads it, and whether any slot after `y` is read."""
        key = any(wanted) if self.variadic else wanted  # a variadic operation always saves the same
        if key not in self._saves:
            rules = [self.rules] if self.variadic else itertools.compress(self.rules, wanted)
            names = {name for rule in rules for name in rule.reads}
            if self.linear:
                names |= self.defaults.keys()
            saves = tuple(n in names for n in self.slots)
            self._saves[key] = saves, any(saves[len(self.arguments) + 1 :])
        return self._saves[key]

    def lift_saved(self, node: Node, lift: Lift) -> Iterator[Any]:
        """Yield what the node saved, with inputs and `y` as Tensors that have nodes, for second derivatives."""
        parents, slot_of_y = node.parents or (), len(self.arguments)
        for slot, value in enumerate(node.saved or ()):
            if value is None or slot > slot_of_y:
                yield value
            elif slot == slot_of_y and self.multiple_outputs:
                yield tuple([lift(y, item(node, index, y)) for index, y in enumerate(value)])
            elif slot == slot_of_y:
                yield lift(value, node)
            elif self.variadic:
                yield tuple(map(lift, value, parents))
            else:
                yield lift(value, parents[slot]) if hasattr(value, "dtype") else value  # or a number

    def applied(self, tangents: Mapping[int, Any], saved: Any) -> Any:
        """Return this linear operation applied to tangents, keyed by input; inputs without one count as zeros."""
        by_name = dict(zip(self.slots, saved, strict=False))
        parameters = {name: by_name[name] for name in self.defaults}
        if self.variadic:
            shapes = by_name[f"{self.arguments[0]}_shapes"]
            return self.kernel([tangents.get(i, np.zeros(shape)) for i, shape in enumerate(shapes)], **parameters)
        inputs = []
        for i, name in enumerate(self.arguments):
            zeros = np.zeros(by_name.get(f"{name}_shape") or ())  # a 0-d zero broadcasts where no shape was saved
            inputs.append(tangents[i] if i in tangents else by_name[name] if i in self.constant_inputs else zeros)
        return self.kernel(*inputs, **parameters)


def _signature(arguments: tuple[str, ...], required: int, defaults: Mapping[str, Any]) -> Signature:
    """Return the signature of a call: the inputs, of which only the first are required, then the parameters."""
    given = {**dict.fromkeys(arguments[:required], Parameter.empty), **dict.fromkeys(arguments[required:]), **defaults}
    kind = Parameter.POSITIONAL_OR_KEYWORD
    return Signature([Parameter(name, kind, default=default) for name, default in given.items()])
