"""Functions with settings as modules; the settings and their defaults are read from the function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import Parameter, Signature, getdoc, signature
from typing import Any, ClassVar

from ..ops.settings import Check, explained, switch
from .module import Module


class OfFunction(Module):
    """A module that calls a function, whose first parameters are inputs and whose others are the module's settings.

    A subclass names the function, its number of inputs, and parameters that are left out. The generated stubs have the
    signatures.
    """

    _function: ClassVar[Any]
    _takes: ClassVar[Signature] = Signature()

    def __init_subclass__(
        cls, function: Any = None, inputs: int = 1, without: str = "", settings: Mapping[str, Check] = {}, **kwargs: Any
    ) -> None:
        found = [] if function is None else [*signature(function).parameters.values()][inputs:]
        switches: dict[str, Check] = {p.name: switch for p in found if isinstance(p.default, bool)}
        checks = {**switches, **cls._settings, **settings}
        super().__init_subclass__(settings=checks, fixed={p.name for p in found} - checks.keys(), **kwargs)
        if function is None:
            return
        takes = Signature([p for p in found if p.name != without])
        cls._function, cls._takes = staticmethod(function), takes

        def __init__(self: OfFunction, *args: Any, **settings: Any) -> None:
            try:
                bound = takes.bind(*args, **settings)
            except TypeError as error:
                kind = type(self).__name__
                raise TypeError(
                    f"{kind}: {error}; see help(nn.{kind}), and give the data to what it returns: nn.{kind}()(x)"
                ) from None
            bound.apply_defaults()
            for name, value in bound.arguments.items():
                setattr(self, name, value)

        own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
        __init__.__signature__ = takes.replace(parameters=[own, *takes.parameters.values()])  # type: ignore[attr-defined]
        type.__setattr__(cls, "__init__", explained(__init__))

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """Return the function's result for the inputs."""
        own = vars(self)
        return self._function(*inputs, **{name: own[name] for name in self._takes.parameters if name in own} | settings)


def module_of(
    function: Any, name: str, home: str, inputs: int = 1, kind: type[OfFunction] = OfFunction, **settings: Check
) -> Any:
    """Return a class of modules that call a public function, with the function's description."""
    # Its example calls the module in place of the function, and gives settings to the module.
    called = rf"(?m)tg\.{function.__name__}\((.+?)(?:, (\w+=[\w.,= \"]+))?\)(?=\.\w|$)"
    text = re.sub(called, rf"tg.nn.{name}(\2)(\1)", getdoc(function) or "")
    own = {"__module__": home, "__doc__": f"`tg.{function.__name__}` as a module.\n\n{text}"}
    return type(name, (kind,), own, function=function, inputs=inputs, settings=settings)
