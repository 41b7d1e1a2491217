"""The record of one operation: its forward, its rules, and what its nodes keep."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any, cast

import numpy as np

from .. import errors
from .node import Node
from .outputs import item
from .rules import Rule, RuleForEach
from .zero_safe import pointwise

OPERATIONS: dict[str, Operation] = {}


def sample(*inputs: Any, **parameters: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return one case for an operation's tests: a tuple stands for drawn values of that shape."""
    return inputs, parameters


def failed(error: Exception, name: str, inputs: Iterable[Any]) -> None:
    """Add to an error what was computed with what, and the remedy; of nested operations the outermost counts."""
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith(errors.IN_OPERATION)]
    error.__notes__ = [*notes, errors.where_in_operation(error, name, inputs)]


def _same_source(a: Any, b: Any) -> bool:
    """Return whether both were written at the same place, as when a notebook cell runs again."""
    places = [(getattr(f, "__module__", f), getattr(f, "__qualname__", f)) for f in (a, b)]
    return places[0] == places[1]


class Operation:
    """One operation: its forward on raw arrays, its rules, and everything derived from them.

    `layout` names what a node can keep, in order: the inputs, the output `y`, the inputs' shapes,
    `wanted` (which inputs require grad), and the parameters.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        arguments: tuple[str, ...],
        defaults: Mapping[str, Any],
        *,
        optional: int = 0,
        variadic: bool = False,
        several: bool = False,
        linear: bool = False,
        pointwise: bool = False,
        masks: bool = False,
        domain: tuple[float, float] = (-2.0, 2.0),
        normalise: Mapping[str, Callable[[Any, Any], Any]] | None = None,
        samples: Iterable[Any] = (),
        kinks: Mapping[Any, Any] | None = None,
    ) -> None:
        self.name, self.forward, self.arguments = name, forward, arguments
        self.defaults, self.variadic, self.several, self.pointwise = dict(defaults), variadic, several, pointwise
        self.domain, self.masks, self.linear = domain, masks, linear
        self.tangent_rules: tuple[Rule | None, ...] = ()
        self.kernel: Callable[..., Any] = forward
        self.normalise, self.samples, self.kinks = dict(normalise or {}), tuple(samples), dict(kinks or {})
        shapes = (f"{arguments[0]}_shapes",) if variadic else tuple(f"{a}_shape" for a in arguments)
        self.layout = (*arguments, "y", *shapes, "wanted", *self.defaults)
        self.rules: Any = ()
        self.required = len(arguments) - optional
        self.names = tuple(self.defaults)
        self.needed = tuple([name for name, default in self.defaults.items() if default is Parameter.empty])
        given: dict[str, Any] = dict.fromkeys(arguments[: self.required], Parameter.empty)
        given |= dict.fromkeys(arguments[self.required :], None) | self.defaults
        kind = Parameter.POSITIONAL_OR_KEYWORD
        self.signature = Signature([Parameter(n, kind, default=default) for n, default in given.items()])
        self.constant_places: tuple[int, ...] = ()
        self._kept: dict[Any, tuple[tuple[bool, ...], bool]] = {}
        known = OPERATIONS.get(name)
        if known is not None and not _same_source(known.forward, forward):
            raise ValueError(f"an operation named {name!r} is declared already; choose another name")
        OPERATIONS[name] = self

    @property
    def differentiable(self) -> bool:
        """True if any input has a rule."""
        return any(rule is not None for rule in itertools.islice(self.rules, len(self.arguments)))

    def set_rules(self, rules: tuple[Callable[..., Any] | None, ...], zero_safe: Any = None) -> None:
        """Attach one rule per input, or one for all inputs of a variadic operation."""
        zero_safe = pointwise if self.pointwise else zero_safe
        if self.variadic:
            self.rules = RuleForEach(cast(Any, rules[0]), self.layout)
            return
        self.rules = self._made(rules, zero_safe)
        self.constant_places = tuple(place for place, rule in enumerate(rules) if rule is None)

    def set_tangent_rules(self, rules: tuple[Callable[..., Any] | None, ...]) -> None:
        """Attach what pushes each input's tangent `t`: rules that read what that input's own rule reads."""
        made = self._made(rules, None)
        for argument, rule, pushes in zip(self.arguments, self.rules, made, strict=True):
            if pushes is not None and not set(pushes.reads) <= set(rule.reads):
                raise TypeError(f"{self.name}: the rule that pushes {argument!r} may read {', '.join(rule.reads)} only")
        self.tangent_rules = made

    def _made(self, rules: tuple[Callable[..., Any] | None, ...], zero_safe: Any) -> tuple[Rule | None, ...]:
        if len(rules) != len(self.arguments):
            raise TypeError(f"{self.name} has inputs {self.arguments}; give one rule for each, or None")
        pairs = zip(self.arguments, rules, strict=True)
        return tuple([None if r is None else Rule(r, argument, self.layout, zero_safe) for argument, r in pairs])

    def keeps(self, wanted: tuple[bool, ...]) -> tuple[tuple[bool, ...], bool]:
        """Return, for each place in `layout`, whether the wanted inputs' rules read it, and whether any
        of the places after the output is read.
        """
        key = any(wanted) if self.variadic else wanted
        if key not in self._kept:
            if self.variadic:
                names = set(self.rules.reads)
            else:
                names = {n for rule, w in zip(self.rules, wanted, strict=True) if w for n in rule.reads}
            if self.linear:
                names |= self.defaults.keys()
            keeps = tuple(n in names for n in self.layout)
            self._kept[key] = keeps, any(keeps[len(self.arguments) + 1 :])
        return self._kept[key]

    def lift_saved(self, node: Node, lift: Callable[[Any, Node | None], Any]) -> Iterator[Any]:
        """Yield what the node kept, arrays among its inputs and its output as Tensors."""
        parents, saved = node.parents or (), node.saved or ()
        inputs = len(self.arguments)
        for place, value in enumerate(saved):
            if value is None or place > inputs:
                yield value
            elif place == inputs:
                parts = enumerate(value) if self.several else ()
                yield tuple([lift(y, item(node, i, y)) for i, y in parts]) if self.several else lift(value, node)
            elif self.variadic:
                yield tuple(map(lift, value, parents))
            else:
                yield lift(value, parents[place]) if hasattr(value, "dtype") else value

    def applied(self, tangents: Mapping[int, Any], saved: Any) -> Any:
        """Return this linear operation of the tangents, by input, and of zeros in place of the other inputs."""
        kept = dict(zip(self.layout, saved, strict=False))
        parameters = {name: kept[name] for name in self.defaults}
        if self.variadic:
            shapes = kept[f"{self.arguments[0]}_shapes"]
            return self.kernel([tangents.get(i, np.zeros(shape)) for i, shape in enumerate(shapes)], **parameters)
        inputs = []
        for i, name in enumerate(self.arguments):
            zeros = np.zeros(kept.get(f"{name}_shape") or ())
            inputs.append(tangents[i] if i in tangents else kept[name] if i in self.constant_places else zeros)
        return self.kernel(*inputs, **parameters)

    def bind(self, args: tuple[Any, ...], parameters: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the inputs, and every parameter by name. Raises TypeError as Python does."""
        n, given = len(self.arguments), len(args)
        values = self.defaults.copy()
        if given == n and not (parameters or self.needed or self.variadic):
            return args, values
        by_place = self.names[: given - n] if given > n else ()
        if by_place:
            values.update(zip(by_place, args[n:], strict=False))
        if parameters:
            values.update(parameters)
        regular = self.required <= given <= n + len(by_place) and len(values) == len(self.names)
        if by_place and parameters:
            regular = regular and parameters.keys().isdisjoint(by_place)
        for name in self.needed:
            regular = regular and values[name] is not Parameter.empty
        inputs: Sequence[Any] = args if given == n else [*args[:n], *[None] * (n - given)]
        if not regular:
            bound = self.signature.bind(*args, **parameters)
            bound.apply_defaults()
            everything = list(bound.arguments.values())
            inputs, values = everything[:n], dict(zip(self.names, everything[n:], strict=True))
        return list(inputs[0]) if self.variadic else inputs, values

    def normalised(self, values: dict[str, Any], arrays: list[Any]) -> dict[str, Any]:
        """Return the parameters, normalised in place, here and nowhere else."""
        for name, normal in self.normalise.items():
            values[name] = normal(values[name], arrays)
        return values

    def run(self, arrays: list[Any], values: dict[str, Any]) -> Any:
        """Return the forward's result; `values` are normalised in place."""
        if self.normalise:
            self.normalised(values, arrays)
        return self.forward(arrays, **values) if self.variadic else self.forward(*arrays, **values)
