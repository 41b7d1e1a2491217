"""Hostile functions: what a function may do to a compiler by reading and changing Python's state.

A feature is a few lines of a function, the state that they read, and what the contract says of a change of that state.
A scenario is a function with some of them, written as a module of Python, and what happens to it: calls with
arguments, and changes between calls. `contract_model` says what each call must do.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import strategies as st

# What a change of a feature's state means to the program.
#   live: nothing, it is read anew          compared: traced anew
#   seen: right, traced anew or not         frozen: nothing, the program keeps what it read
#   new: as compared, by identity           moved: as seen; the function itself changes it, too
State = Literal["live", "compared", "seen", "frozen", "new", "moved"]
# What another value of a feature's argument means to it.
#   class: only its class counts    value: one program for each     seen: right, traced anew or not
#   shape: one for each shape that results, which the second of a pair (value, shape) tells
Argument = Literal["class", "value", "seen", "shape"]


@dataclass(frozen=True)
class Feature:
    """Lines of a function, `@` being the feature's number, and the state and argument that they read.

    `top` stands in the module, `inside` in the factory that makes the function, `init` in its class's `__init__`,
    `declares` before the body. `values` are what the state may be, `sets` sets it to `value`; `shows` is an expression
    of what else may have changed, `after` one of what the state `value` is after a call. A feature that is `refused`
    has a flag for its state, which says whether the body runs at all. `fails` are the arguments with which the
    body catches an error, `singular` those with which it meets 0 times infinity.
    """

    name: str
    body: str
    top: str = ""
    inside: str = ""
    init: str = ""
    declares: str = ""
    values: tuple[str, ...] = ()
    sets: str = ""
    state: State = "compared"
    shows: str = ""
    after: str = ""
    arguments: tuple[Any, ...] = ()
    argument: Argument = "class"
    refused: bool = False
    fails: tuple[str, ...] = ()
    singular: tuple[str, ...] = ()
    optimizer: str = ""
    needs: Literal["", "self", "step", "gradient"] = ""


def _state(name: str, inside: str, body: str, sets: str, *values: str, **others: Any) -> Feature:
    return Feature(name, body, inside=inside, sets=sets, values=values, **others)


def _argument(name: str, body: str, *arguments: Any, **others: Any) -> Feature:
    return Feature(name, body, arguments=arguments, **others)


def _asked(name: str, body: str, *arguments: str) -> Feature:
    return Feature(name, body, arguments=arguments or ("1", "2", "np.int64(1)", "np.int64(3)"), argument="value")


def _refused(name: str, body: str, **others: Any) -> Feature:
    """Return a feature that is refused while its flag is on."""
    inside = "on@ = False\n" + others.pop("inside", "")
    body = "if on@:\n" + textwrap.indent(body, "    ")
    flag: dict[str, Any] = {"values": ("False", "True"), "sets": "nonlocal on@; on@ = value"}
    return Feature(name, body, inside=inside, refused=True, **flag, **others)


NUMBERS = ("2.0", "3.0", "-0.5", "2")
OBJECT = "o@ = types.SimpleNamespace(k=2.0, n=0, inner=types.SimpleNamespace(k=2.0, kept=[]))\n"

COMPARED = [
    Feature(
        "a global number", "z = z * G@", top="G@ = 2.0\n", values=NUMBERS, sets="global G@; G@ = value"
    ),
    Feature(
        "a global flag", "z = -z if F@ else z * 1.5", top="F@ = False\n",
        values=("False", "True", "None"), sets="global F@; F@ = value",
    ),
    _state("a closure's number", "k@ = 2.0\n", "z = z + k@", "nonlocal k@; k@ = value", *NUMBERS),
    _state("a closure's string", "k@ = 'sin'\n", "z = getattr(np, k@)(z)", "nonlocal k@; k@ = value",
           "'sin'", "'cos'", "'tanh'"),
    _state("a number or None", "k@ = None\n", "z = z if k@ is None else z + k@", "nonlocal k@; k@ = value",
           "None", "1.5"),
    _state("one of equal numbers", "k@ = 1\n", "z = z * (3.0 if k@ is True else 2.0 if type(k@) is int else 1.5)",
           "nonlocal k@; k@ = value", "1", "1.0", "True"),
    _state("a zero with a sign", "k@ = 0.0\n", "z = z + math.copysign(1.0, k@)", "nonlocal k@; k@ = value",
           "0.0", "-0.0"),
    _state("an attribute", OBJECT, "z = z * o@.k", "o@.k = value", *NUMBERS),
    _state("an attribute of a class", "class C@:\n    k = 2.0\no@ = C@()\n", "z = z * o@.k", "C@.k = value", *NUMBERS),
    _state("an attribute over its class's", "class C@:\n    k = 2.0\no@ = C@()\n", "z = z * o@.k",
           "vars(o@).pop('k', None) if value is None else setattr(o@, 'k', value)", "None", "3.0"),
    _state("an attribute that may be missing", OBJECT, "z = z * o@.extra if hasattr(o@, 'extra') else z",
           "vars(o@).pop('extra', None) if value is None else setattr(o@, 'extra', value)", "None", "3.0"),
    Feature("an attribute of self", "z = z * self.k@", init="self.k@ = 2.0\n", values=NUMBERS,
            sets="owner.k@ = value", needs="self"),
    Feature("an entry of a list of self", "z = z * self.k@[0]", init="self.k@ = [2.0]\n", values=("[2.0]", "[3.0]"),
            sets="owner.k@ = value", state="new", needs="self"),
    _state("an entry of a list", "c@ = [1.0, 2.0]\n", "z = z * c@[1]", "c@[1] = value", *NUMBERS),
    _state("a list's length", "c@ = [1.0]\n", "z = z + 0.1 * len(c@)", "c@[:] = value", "[1.0]", "[1.0, 2.0]", "[]"),
    _state("an entry of a dict", "c@ = {'a': 2.0}\n", "z = z * c@['a']", "c@['a'] = value", *NUMBERS),
    _state("a dict's keys", "c@ = {}\n", "z = z * 2.0 if 'b' in c@ else z", "c@.clear(); c@.update(value)",
           "{}", "{'b': 1.0}"),
    _state("an ordered dict", "c@ = collections.OrderedDict(a=1.0, b=2.0)\n",
           "for q in c@.values():\n    z = z * 0.5 + q", "c@.clear(); c@.update(value)",
           "[('a', 1.0), ('b', 2.0)]", "[('b', 2.0), ('a', 1.0)]"),
    _state("a set's members", "c@ = {'relu'}\n", "z = np.maximum(z, 0.0) if 'relu' in c@ else z * len(c@)",
           "c@.clear(); c@.update(value)", "{'relu'}", "{'tanh'}", "{'relu', 'tanh'}"),
    _state("an entry of a tuple", "c@ = (2.0, 1.0)\n", "z = z * c@[0]", "nonlocal c@; c@ = (value, 1.0)", *NUMBERS,
           state="new"),
    _state("an array", "c@ = np.array([1.0, 2.0, 3.0])\n", "z = z * c@", "nonlocal c@; c@ = np.array(value)",
           "[1.0, 2.0, 3.0]", "[3.0, 1.0, 0.5]", state="new"),
    _state("an array in a dict", "c@ = {'a': np.array([1.0, 2.0, 3.0])}\n", "z = z * c@['a']",
           "c@['a'] = np.array(value)", "[1.0, 2.0, 3.0]", "[3.0, 1.0, 0.5]", state="new"),
    _state("a function", "c@ = np.tanh\n", "z = c@(z)", "nonlocal c@; c@ = value", "np.tanh", "np.sin", "np.cos"),
    _state("an object within an object", OBJECT, "z = z * o@.inner.k",
           "o@.inner = types.SimpleNamespace(k=value, kept=[])", *NUMBERS, state="new"),
]  # fmt: skip

MOVED = [
    _state("a counter", "n@ = 0\n", "n@ += 1\nz = z * n@", "nonlocal n@; n@ = value", "0", "7",
           declares="nonlocal n@", state="moved", shows="n@", after="value + 1"),
    _state("every third call", "n@ = 0\n", "n@ += 1\nif n@ % 3 == 0:\n    z = -z", "nonlocal n@; n@ = value",
           "0", "1", declares="nonlocal n@", state="moved", shows="n@", after="value + 1"),
    _state("a flag to and fro", "n@ = False\n", "n@ = not n@\nz = z if n@ else z * 3.0",
           "nonlocal n@; n@ = value", "False", "True", declares="nonlocal n@", state="moved", shows="n@",
           after="not value"),
    Feature("a global counter", "N@ = N@ + 2\nz = z + N@", top="N@ = 0\n", values=("0", "9"),
            sets="global N@; N@ = value", declares="global N@", state="moved", shows="N@", after="value + 2"),
]  # fmt: skip

FROZEN = [
    _state("an attribute, two levels deep", OBJECT, "z = z * o@.inner.k", "o@.inner.k = value", *NUMBERS,
           state="frozen"),
    _state("a list in a list", "c@ = [[2.0]]\n", "z = z * c@[0][0]", "c@[0][0] = value", *NUMBERS, state="frozen"),
    _state("a dict in a dict", "c@ = {'a': {'b': 2.0}}\n", "z = z * c@['a']['b']", "c@['a']['b'] = value", *NUMBERS,
           state="frozen"),
    Feature("what a called function reads", "z = z * read@()", top="R@ = 2.0\ndef read@():\n    return R@\n",
            values=NUMBERS, sets="global R@; R@ = value", state="frozen"),
    _state("a closure of a called function", "k@ = 2.0\ndef read@(z):\n    return z * k@\n", "z = read@(z)",
           "nonlocal k@; k@ = value", *NUMBERS, state="frozen"),
    _state("an array written into", "c@ = np.array([2.0, 1.0, 3.0])\n", "z = z * c@", "c@[0] = value", *NUMBERS,
           state="frozen"),
    _state("a larger array written into", "c@ = np.linspace(-1.0, 1.0, 3000).reshape(1000, 3)\n",
           "z = z + (z[:1] * c@).sum()", "c@[0] = value", *NUMBERS, state="frozen"),
    _state("the environment", "os.environ['HOSTILE@'] = '2.0'\n", "z = z * float(os.environ['HOSTILE@'])",
           "os.environ['HOSTILE@'] = value", "'2.0'", "'3.0'", state="frozen"),
    _state("a plain object in a module", "class M@(tg.nn.Module):\n    def forward(self, z):\n"
           "        return z * self.plain.k\nm@ = M@()\nm@.plain = types.SimpleNamespace(k=2.0)\n",
           "z = m@.forward(z)", "m@.plain.k = value", *NUMBERS, state="frozen"),
]  # fmt: skip

VECTORS = ("[1.0, 2.0, 3.0]", "[3.0, 1.0, 0.5]", "[0.5, -1.0, 2.0]")
TABLE = "np.cos(np.arange(1200.0)).reshape(40, 30)"
TENSOR = "t@ = tg.tensor([1.0, 2.0, 3.0])\n"

LIVE = [
    _state("a tensor's data", TENSOR, "z = z * t@", "t@.data = np.array(value)", *VECTORS, state="live",
           shows="t@.data"),
    _state("a tensor written into", TENSOR, "z = z * t@", "t@.data[...] = value", *VECTORS, state="live",
           shows="t@.data"),
    _state("a tensor that a called function reads", TENSOR + "def scaled@(z):\n    return z * t@\n", "z = scaled@(z)",
           "t@.data = np.array(value)", *VECTORS, state="live", shows="t@.data"),
    _state("a tensor's strides", f"t@ = tg.tensor({TABLE})\n", "z = z + (t@ * 0.37).sum()", "t@.data = value",
           TABLE, f"np.asfortranarray({TABLE})", f"{TABLE}[::-1]", state="seen"),
    _state("a tensor, two levels deep", "o@ = types.SimpleNamespace(inner=types.SimpleNamespace("
           "t=tg.tensor([1.0, 2.0, 3.0])))\n", "z = z * o@.inner.t", "o@.inner.t.data = np.array(value)", *VECTORS,
           state="live"),
    _state("another tensor", "c@ = {'t': tg.tensor([1.0, 2.0, 3.0])}\n", "z = z * c@['t']",
           "c@['t'] = tg.tensor(value)", *VECTORS, state="seen", shows="c@['t'].data"),
    _state("a tensor that the function rebinds", TENSOR,
           "with tg.no_grad():\n    t@.data = t@.data * 0.5 + 1.0\nz = z * t@",
           "t@.data = np.array(value)", *VECTORS, state="live", shows="t@.data"),
    _state("a learning rate", "", "", "opt.lr = value", "0.1", "0.025", "0.0625", state="live", needs="step"),
    _state("a momentum", "", "", "opt.momentum = value", "0.9", "0.5", "0.0", state="seen", needs="step",
           optimizer="tg.optim.SGD([w], lr=0.1, momentum=0.9)"),
    _state("betas", "", "", "opt.betas = value", "(0.9, 0.999)", "(0.5, 0.75)", state="live", needs="step",
           optimizer="tg.optim.Adam([w], lr=0.05)"),
    Feature("a branch on the learning rate", "z = z * 2.0 if opt.lr > 0.05 else z", values=("0.1", "0.025"),
            sets="opt.lr = value", state="seen", needs="step"),
    Feature("an attribute of an optimiser of the user's", "", values=("0.1", "0.5"), sets="opt.decay = value",
            top="class Decayed@(tg.optim.SGD):\n    decay = 0.1\n    def update(self, w, g, state):\n"
            "        return super().update(w, g + self.decay * w, state)\n",
            optimizer="Decayed@([w], lr=0.1)", state="seen", needs="step"),
    _state("a parameter's data", "", "", "w.data = np.array(value)", *VECTORS, state="live", needs="step"),
    _state("a gradient that is set", "", "", "w.grad = None if value is None else tg.tensor(value)", *VECTORS,
           "None", state="live", needs="gradient"),
]  # fmt: skip

# Modules: how they are reached from the function, and what of them changes. `m@` is the module where it is set.
REACHED = {
    "named": ("m@ = M@()\n", "m@.forward(z)"),
    "by a called function": ("m@ = M@()\ndef call@(z):\n    return m@.forward(z)\n", "call@(z)"),
    "two levels deep": (
        "m@ = M@()\nh@ = types.SimpleNamespace(inner=types.SimpleNamespace(m=m@))\n",
        "h@.inner.m.forward(z)",
    ),
    "in another module": (
        """m@ = M@()
class H@(tg.nn.Module):
    def forward(self, z):
        return self.parts['m'][0].forward(z)
h@ = H@()
h@.parts = {'m': [m@]}
""",
        "h@.forward(z)",
    ),
}
MODULE = """class M@(tg.nn.Module):
    training = True
    shared = {'gain': [1.0]}
    def __init__(self):
        self.w = tg.tensor([1.0, -0.5, 2.0])
        self.k, self.mask = 2.0, np.array([1.0, 0.0, 1.0])
        self.settings = {'shift': [0.5], 'kinds': {'relu'}}
    def forward(self, z):
        z = z * self.w * self.k * self.mask + self.settings['shift'][0]
        z = z if self.training else z * 0.5
        z = np.maximum(z, -1.0) if 'relu' in self.settings['kinds'] else z
        return z * getattr(self, 'extra', 1.0) * self.shared['gain'][0]
"""
SEEN: dict[str, tuple[str, tuple[str, ...], State]] = {
    "an attribute": ("m@.k = value", NUMBERS, "seen"),
    "training": ("vars(m@).pop('training', None) if value else setattr(m@, 'training', False)",
                 ("True", "False"), "seen"),
    "a new attribute": ("vars(m@).pop('extra', None) if value is None else setattr(m@, 'extra', value)",
                        ("None", "3.0"), "seen"),
    "a method": ("vars(m@).pop('forward', None) if value else setattr(m@, 'forward', lambda z: z * m@.k)",
                 ("True", "False"), "seen"),
    "a list in a dict": ("m@.settings['shift'][0] = value", NUMBERS, "seen"),
    "a set in a dict": ("m@.settings['kinds'].clear(); m@.settings['kinds'].update(value)",
                        ("{'relu'}", "set()"), "seen"),
    "an attribute of the class": ("M@.training = value", ("True", "False"), "seen"),
    "a list in a dict of the class": ("M@.shared['gain'][0] = value", NUMBERS, "seen"),
    "an array written into": ("m@.mask[1] = value", ("0.0", "1.0", "0.5"), "live"),
    "another array": ("m@.mask = np.array(value)", ("[1.0, 0.0, 1.0]", "[0.5, 2.0, 1.0]"), "live"),
    "an array of another shape": ("m@.mask = np.array(value)", ("[1.0, 0.0, 1.0]", "[[0.5], [2.0]]", "[[1, 0, 1]]"),
                                  "seen"),
    "a tensor's data": ("m@.w.data = np.array(value)", ("[1.0, -0.5, 2.0]", "[0.5, 2.0, 1.0]"), "live"),
    "another tensor": ("m@.w = tg.tensor(value)", ("[1.0, -0.5, 2.0]", "[0.5, 2.0, 1.0]"), "seen"),
}  # fmt: skip
NOISE = """class M@(tg.nn.Module):
    def __init__(self):
        self.generator = np.random.default_rng(3)
    def forward(self, z):
        return z + 0.1 * self.generator.standard_normal(3)
"""


def _module(what: str, reached: str) -> Feature:
    sets, values, state = SEEN[what]
    inside, call = REACHED[reached]
    name = f"of a module {reached}: {what}"
    return _state(name, MODULE + inside, f"z = {call}", sets, *values, state=state, shows="m@.w.data, m@.mask, m@.k")


def _noise(reached: str) -> Feature:
    inside, call = REACHED[reached]
    return _state(f"of a module {reached}: its generator", NOISE + inside, f"z = {call}",
                  "m@.generator = np.random.default_rng(value)", "3", "5", state="seen",
                  shows="m@.generator.bit_generator.state")  # fmt: skip


MASKS = (("np.array([True, False, True])", 2), ("np.array([False, True, True])", 2),
         ("np.array([True, False, False])", 1))  # fmt: skip
COUNTS = (("np.array([1, 2, 0])", 3), ("np.array([0, 0, 3])", 3), ("np.array([1, 1, 0])", 2))
BOX = "@dataclasses.dataclass\nclass Box@:\n    k: object\n    how: object = 'sin'\n"

ARGUMENTS = [
    _argument("a number", "z = z * a@ + (a@ * 2 + 1) / 3", "0.5", "1.5", "2.25"),
    _argument("an integer", "z = z * a@ + np.maximum(z, a@)", "2", "3", "5"),
    _argument("a NumPy number", "z = z * a@ + (a@ * 2 + 1)", "np.float64(0.5)", "np.float64(1.5)", "np.float64(2.25)"),
    _argument("a number in a dict", "z = z * a@['k'] + a@['v'][0]", "{'k': 2.0, 'v': [1.0]}",
              "{'k': 3.0, 'v': [0.5]}"),
    _argument("an array among the arguments", "z = z * a@", "np.array([1.0, 2.0, 3.0])", "np.array([3.0, 0.5, 1.0])"),
    _asked("a length", "z = z + x[..., :a@].sum()"),
    _asked("an index of a list", "z = z * [1.5, 2.5, 3.5, 4.5][a@]"),
    _asked("an index", "z = z + z[..., a@ - 1].sum()"),
    _asked("a branch", "z = z if a@ > 1 else -z"),
    _asked("a key", "z = z * {1: 5.0, 2: 7.0, 3: 9.0}[a@]"),
    _asked("math.floor", "z = z * math.floor(a@)", "0.5", "1.5", "1.75", "np.float64(2.5)"),
    _asked("int", "z = z * int(a@)", "1.5", "2.5", "2.75"),
    _asked("an axis", "z = z + x.mean(axis=a@ - 2).sum()", "1", "2", "np.int64(1)"),
    _asked("a split", "z = z + np.split(x, [a@], axis=-1)[0].sum()"),
    _asked("a range", "for q in range(a@):\n    z = z * 0.5 + q"),
    _asked("a shape", "z = z + np.ones((a@, 2)).sum()"),
    _asked("a repetition", "z = z + np.repeat(x, a@, axis=-1).sum()"),
    _asked("a flag", "z = -z if a@ else z", "True", "False", "None"),
    _asked("a string", "z = getattr(np, a@)(z)", "'sin'", "'cos'"),
    _asked("the same object", "z = z * 2.0 if a@ is x else z - a@", "SAME", "np.array([1.0, 2.0, 3.0])"),
    _asked("the same object, or an equal one", "z = z * 2.0 if a@ is x else z - a@", "SAME",
           "np.array([[0.75, -0.5, 1.25]])", "np.array([[1.0, 0.5, -2.0], [0.125, 3.0, 1.0]])"),
    _asked("an array's dtype", "z = z * a@ + a@.sum() / 3", "np.array([1.0, 2.0, 3.0])", "np.array([1, 2, 3])",
           "np.float32([1.0, 0.1, 3.0])", "np.array([True, False, True])"),
    _asked("an array's order", "z = z + (a@ * 0.1).sum()", "np.arange(12.0).reshape(3, 4)",
           "np.asfortranarray(np.arange(12.0).reshape(3, 4))", "np.arange(24.0).reshape(3, 8)[:, ::2]"),
    _argument("a mask", "z = z + x[..., a@].sum()", *MASKS, argument="shape"),
    _argument("counts", "z = z + np.repeat(x, a@, axis=-1).sum()", *COUNTS, argument="shape"),
    _argument("an array's entry as a length", "z = z + x[..., :a@[0]].sum()", ("np.array([1, 2])", 1),
              ("np.array([2, 2])", 2), ("np.array([1, 3])", 1), argument="shape"),
    _argument("a dataclass", "z = getattr(np, a@.how)(z) * a@.k", "Box@(2.0)", "Box@(3.0)", "Box@(2.0, 'cos')",
              argument="seen", top=BOX),
    _argument("a dataclass with an array", "z = z * a@.k", "Box@(one@)", "Box@(two@)", argument="seen",
              top=BOX + "one@, two@ = np.array([1.0, 2.0, 3.0]), np.array([3.0, 0.5, 1.0])\n"),
    _argument("an ordered dict among the arguments", "for q in a@.values():\n    z = z * 0.5 + q",
              "collections.OrderedDict(a=1.0, b=2.0)", "collections.OrderedDict(b=2.0, a=1.0)", argument="seen"),
    _argument("a set among the arguments", "z = np.maximum(z, 0.0) if 'relu' in a@ else z * len(a@)", "{'relu'}",
              "{'tanh', 'sin'}", argument="seen"),
    _argument("a cache's key", "z = z * square@(a@)", "2", "3", "5", argument="seen",
              top="@functools.lru_cache\ndef square@(n):\n    return n * n\n", shows="[square@(n) for n in (2, 3, 5)]"),
    _argument("a key that may be missing", "try:\n    z = z * {'a': 2.0}[a@]\nexcept KeyError:\n    z = z * 3.0",
              "'a'", "'b'", argument="value"),
    Feature("a generator with a seed", "z = z * np.random.default_rng(7).random(3) + random.Random(7).random()"),
    _argument("0 times infinity", "z = z + tg.grad(lambda v: np.where(v > 0, np.sqrt(np.where(v > 0, v, 0.0)), 0.0)"
              ".sum())(a@)", "np.array([1.0, 4.0, 9.0])", "np.array([0.5, 2.0, 1.0])", "np.array([0.0, 4.0, 1.0])",
              singular=("np.array([0.0, 4.0, 1.0])",)),
]  # fmt: skip

CATCHES = "except {}:\n    z = z * 0.5"
FAILING = [
    _argument("cholesky", "try:\n    z = z + np.linalg.cholesky(a@).sum()\n"
              + CATCHES.format("np.linalg.LinAlgError"),
              "np.array([[2.0, 0.5], [0.5, 1.0]])", "np.array([[3.0, 0.5], [0.5, 2.0]])",
              "np.array([[1.0, 2.0], [2.0, 1.0]])", fails=("np.array([[1.0, 2.0], [2.0, 1.0]])",)),
    _argument("a division by a number", "try:\n    z = z + 1 / a@\n" + CATCHES.format("ZeroDivisionError"),
              "2.0", "4.0", "0.0", fails=("0.0",)),
    Feature("a draw before an error", "z = m@.forward(z)\ntry:\n    z = z + np.linalg.cholesky(a@).sum()\n"
            + CATCHES.format("np.linalg.LinAlgError"), inside=NOISE + "m@ = M@()\n",
            arguments=("np.array([[2.0, 0.5], [0.5, 1.0]])", "np.array([[1.0, 2.0], [2.0, 1.0]])"),
            fails=("np.array([[1.0, 2.0], [2.0, 1.0]])",), shows="m@.generator.bit_generator.state"),
    _argument("a flag that raises", "try:\n    with np.errstate(over='raise'):\n        z = z + np.exp(a@).sum()\n"
              + CATCHES.format("FloatingPointError"),
              "np.array([1.0, 2.0])", "np.array([0.5, 1.0])", "np.array([1.0, 2000.0])",
              fails=("np.array([1.0, 2000.0])",)),
]  # fmt: skip

IN_A_THREAD = """def in_a_thread@(compute):
    found = []
    def run():
        try:
            found.append((compute(), None))
        except BaseException as error:
            found.append((None, error))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = found[0]
    if error is not None:
        raise error
    return value
"""
COUNTING = """class Counting@(tg.optim.SGD):
    calls = 0
    on = False
    def step(self):
        if self.on:
            self.calls += 1
        if self.calls % 2 == 0:
            super().step()
"""
CHANGING = """class M@(tg.nn.Module):
    def __init__(self):
        self.n, self.seen, self.mean = 0, [], np.zeros(3)
    def counts(self, z):
        self.n += 1
        return z * self.n
    def keeps(self, z):
        self.seen.append(2.0)
        return z * len(self.seen)
    def averages(self, z):
        self.mean = 0.9 * self.mean + 0.1 * z
        return z - self.mean
m@ = M@()
"""
LEGACY = """class M@(tg.nn.Module):
    def __init__(self):
        self.own = [np.random.RandomState(3)]
    def draws(self):
        return self.own[0].rand()
m@ = M@()
"""
ONCE = """class C@:
    @functools.cached_property
    def k(self):
        return 2.0
o@ = C@()
"""

REFUSED = [
    _refused("appends a result to a list", "c@.append(z)", inside="c@ = []\n", shows="len(c@)"),
    _refused("appends a number to a list", "c@.append(2.0)\nz = z * len(c@)", inside="c@ = []\n", shows="c@"),
    _refused("sets an entry of a list", "c@[0] = c@[0] + 1.0\nz = z * c@[0]", inside="c@ = [1.0]\n", shows="c@"),
    _refused("counts in a dict", "c@['n'] += 1\nz = z * c@['n']", inside="c@ = {'n': 0}\n", shows="c@"),
    _refused("keeps a result in a dict", "c@['last'] = z", inside="c@ = {}\n", shows="list(c@)"),
    _refused("adds to a set", "c@.add('b')\nz = z * len(c@)", inside="c@ = {'a'}\n", shows="sorted(c@)"),
    _refused("counts in an attribute", "o@.n += 1\nz = z * o@.n", inside=OBJECT, shows="o@.n"),
    _refused("counts in self", "self.n@ += 1\nz = z * self.n@", init="self.n@ = 0\n", shows="owner.n@", needs="self"),
    _refused("keeps a result in self", "self.last@ = z", shows="hasattr(owner, 'last@')", needs="self"),
    _refused("appends to an argument", "a@.append(z)", arguments=("[]", "[1.0]"), argument="seen"),
    _refused("sets an entry of an argument", "a@['w'] = a@['w'] - 0.1", arguments=("{'w': 2.0}",)),
    _refused("sets an attribute of an argument", "a@.k = a@.k + 1.0", arguments=("Box@(2.0)",), argument="seen",
             top=BOX),
    _refused("puts a result away, deep", "o@.inner.kept.append(z)", inside=OBJECT,
             shows="all(np.sin(k.data if isinstance(k, tg.Tensor) else k).size for k in o@.inner.kept)"),
    _refused("puts a result away in a called function", "keep@(z * 2.0)",
             inside="c@ = collections.deque()\ndef keep@(value):\n    c@.append(value)\n"),
    _refused("puts an argument away", "keep@(x)", inside="c@ = []\ndef keep@(value):\n    c@.append(value)\n"),
    _refused("puts a result away in a name", "last@ = z * 2.0", inside="last@ = None\n", declares="nonlocal last@",
             shows="last@ is None"),
    _refused("sets the learning rate", "opt.lr = opt.lr * 0.5", needs="step"),
    Feature("an optimiser that counts", "", top=COUNTING, optimizer="Counting@([w], lr=0.1)",
            values=("False", "True"), sets="opt.on = value", state="seen", refused=True, shows="vars(opt).get('calls')",
            needs="step"),
    _refused("a module counts", "z = m@.counts(z)", inside=CHANGING, shows="m@.n"),
    _refused("a module keeps a number", "z = m@.keeps(z)", inside=CHANGING, shows="m@.seen"),
    _refused("a module averages", "z = m@.averages(z)", inside=CHANGING, shows="m@.mean"),
    _refused("a module's legacy generator", "z = z + m@.draws()", inside=LEGACY, shows="str(m@.own[0].get_state())"),
    _refused("computes an attribute once", "z = z * o@.k", inside=ONCE, shows="vars(o@)"),
    _refused("reads a value", "z = z * float(z.sum())"),
    _refused("reads a value and catches", "try:\n    z = z * float(z.sum())\nexcept Exception:\n    z = z * 0.5"),
    _refused("branches on a value", "if z.sum() > 0:\n    z = -z"),
    _refused("lists values", "z = z * z.tolist()[0][0]"),
    _refused("random.random", "z = z * random.random()"),
    _refused("random.shuffle", "q = [0, 1, 2]\nrandom.shuffle(q)\nz = z[..., q]"),
    _refused("np.random", "z = z + np.random.normal(size=3)"),
    _refused("a new generator", "z = z + np.random.default_rng().random(3)"),
    _refused("a generator in a closure", "z = z + g@.random(3)", inside="g@ = np.random.default_rng(3)\n",
             shows="g@.bit_generator.state"),
    _refused("a random.Random in a closure", "z = z * g@.random()", inside="g@ = random.Random(3)\n",
             shows="hash(g@.getstate())"),
    _refused("os.urandom", "z = z * os.urandom(1)[0]"),
    _refused("secrets", "z = z * secrets.randbelow(9)"),
    _refused("an index error that is caught", "try:\n    z = z + x[..., 7].sum()\nexcept IndexError:\n    z = z * 0.5"),
    _refused("a shape error that is suppressed", "with contextlib.suppress(ValueError):\n    z = z + x.reshape(5, 5)"),
    _refused("another thread", "z = in_a_thread@(lambda: np.sin(z) * 2.0)", top=IN_A_THREAD),
    _refused("another context", "z = contextvars.copy_context().run(lambda: np.sin(z) * 2.0)"),
]  # fmt: skip

GROUPS: dict[str, list[Feature]] = {
    "compared": COMPARED,
    "moved": MOVED,
    "frozen": FROZEN,
    "live": LIVE,
    "modules": [_module(what, reached) for what in SEEN for reached in REACHED] + [_noise(r) for r in REACHED],
    "arguments": ARGUMENTS,
    "failing": FAILING,
    "refused": REFUSED,
}

HEADER = """import collections, contextlib, contextvars, dataclasses, functools
import math, os, random, secrets, threading, types
import numpy as np
import tinygrad_nn as tg
"""
DEFINITIONS = ["closure", "method", "callable", "partial", "wrapped", "nested"]
CHAIN = ["z = np.tanh(z * 0.83 + 0.37)", "z = np.sin(z) * 1.1", "z = z / (1.0 + z * z)", "z = np.maximum(z, 0.125)",
         "z = np.exp(-z * z) + 0.5 * z", "z = np.where(z > 0, z, 0.25 * z)", "z = z - z.mean()"]  # fmt: skip
OPTIMIZERS = ["tg.optim.SGD([w], lr=0.1)", "tg.optim.SGD([w], lr=0.1, momentum=0.9)", "tg.optim.Adam([w], lr=0.05)"]
CORES = {
    "value": "return z",
    "parts": "return {'z': z, 'sums': [z.sum(), (z * z).sum()], 'name': 'text', 'none': None, 'again': z, 'view': z.T}",
    "slope": "return tg.grad(lambda v: (np.sin(v * z) * v).sum())(x)",
    "step": "opt.zero_grad()\nloss = np.sin(w * z).sum()\nloss.backward()\nopt.step()\nreturn loss.detach()",
    "cleared": "opt.zero_grad()\nloss = np.sin(w * z).sum()\nloss.backward()\nopt.step()\nopt.zero_grad()\n"
    "return loss.detach()",
    "gradient": "loss = np.sin(w * z).sum()\nloss.backward()\nreturn loss.detach()",
}
INPUTS = {
    "np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75]])": (2, 3),
    "np.array([[1.0, 0.5, -2.0], [0.125, 3.0, 1.0]])": (2, 3),
    "np.array([[0.75, -0.5, 1.25]])": (1, 3),
}


@dataclass(frozen=True)
class Call:
    """A call: the source of x, and of the argument of each feature that has one."""

    x: str
    arguments: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Change:
    """A change between calls: which feature's state is set, and the source of its value."""

    feature: int
    value: str


@dataclass(frozen=True)
class Scenario:
    """A function, and what happens to it. `start` is the state of each feature that has one."""

    definition: str
    core: str
    optimizer: str
    chain: tuple[str, ...]
    tensors: bool
    features: tuple[Feature, ...]
    start: tuple[tuple[int, str], ...]
    events: tuple[Call | Change, ...]

    @property
    def source(self) -> str:
        """The module that makes the function, by `make(ran)`."""
        return _source(self)

    def __repr__(self) -> str:
        events = [f"    {event}" for event in (*self.start, *self.events)]
        names = ", ".join(f.name for f in self.features)
        return "\n".join([f"{self.definition}, {self.core}: {names}", self.source, *events])


def numbered(text: str, number: int) -> str:
    """Return a feature's text with its number in the place of each `@` that ends a name."""
    return re.sub(r"(?<=\w)@", str(number), text)


def _lines(scenario: Scenario, part: str) -> str:
    texts = [numbered(getattr(f, part), number) for number, f in enumerate(scenario.features)]
    return "\n".join([text.rstrip("\n") for text in texts if text])


def _indented(text: str, depth: int) -> str:
    return textwrap.indent(text, "    " * depth)


def _function(scenario: Scenario) -> str:
    """Return the lines that define the function, under the name `f`."""
    definition, arguments = scenario.definition, [f"a{n}" for n, f in enumerate(scenario.features) if f.arguments]
    first_line = "z = x * held[0]" if definition == "partial" else "z = x * 1.25"
    body = "\n".join([first_line, _lines(scenario, "body"), *scenario.chain])
    declares, core = _lines(scenario, "declares"), CORES[scenario.core]
    if definition == "nested":
        inner = "\n".join(["def inner(x):", _indented("\n".join([declares, body, "return z"]), 1)])
        whole = "\n".join(["ran()", inner, "z = inner(x)", core])
    else:
        whole = "\n".join([declares, "ran()", body, core])
    name, first = {
        "method": ("step", ["self", "x"]),
        "callable": ("__call__", ["self", "x"]),
        "partial": ("whole", ["held", "x"]),
        "wrapped": ("original", ["x"]),
    }.get(definition, ("f", ["x"]))
    defined = f"def {name}({', '.join([*first, *arguments])}):\n" + _indented(whole, 1)
    if definition in ("method", "callable"):
        init = "def __init__(self):\n" + _indented("self.name = 'owner'\n" + _lines(scenario, "init"), 1)
        made = "class Owner:\n" + _indented(init + "\n" + defined, 1) + "\nowner = Owner()\n"
        return made + ("f = owner.step" if definition == "method" else "f = owner")
    if definition == "partial":
        return defined + "\nf = functools.partial(whole, [1.5])"
    if definition == "wrapped":
        return defined + "\n@functools.wraps(original)\ndef f(*args):\n    return original(*args)"
    return defined


def _source(scenario: Scenario) -> str:
    inside = [_lines(scenario, "inside")]
    shown = []
    if scenario.core in ("step", "cleared", "gradient"):
        inside.insert(0, "w = tg.tensor([0.5, -1.0, 1.5], requires_grad=True)")
        shown += ["w.data", "w.grad", "w.requires_grad"]
    if scenario.core == "cleared":
        inside.append("w.grad = tg.tensor([1.0, 2.0, 3.0])")
    if scenario.core in ("step", "cleared"):
        inside.append(f"opt = {scenario.optimizer}")
        shown.append("opt.state_dict()")
    inside.append(_function(scenario))
    for number, feature in enumerate(scenario.features):
        if feature.sets:
            inside.append(numbered(f"def set_@(value):\n    {feature.sets}", number))
        if feature.shows:
            shown.append(f"[{numbered(feature.shows, number)}]")
    setters = [f"{number}: set_{number}" for number, f in enumerate(scenario.features) if f.sets]
    inside += [f"def shown():\n    return [{', '.join(shown)}]", f"return f, {{{', '.join(setters)}}}, shown"]
    return "\n".join([HEADER, _lines(scenario, "top"), "def make(ran):", _indented("\n".join(inside), 1), ""])


# ---- drawing ----

EVERY = [feature for group in GROUPS.values() for feature in group]
# Modules are drawn as often as what changes in them, whatever the number of ways to reach them.
MODULES = [f for f in EVERY if f.name.startswith("of a module named")]
COMMON = [*COMPARED, *MOVED, *LIVE, *MODULES, *ARGUMENTS, *FAILING]
NEEDY = [f for f in COMMON if f.needs]


def fits(feature: Feature, others: list[Feature]) -> bool:
    """Return whether a feature can stand beside others in one function.

    Two that set one thing would not know of each other, and of what is frozen it must be known which program has it.
    """
    everything = [*others, feature]
    needs = {f.needs for f in everything}
    loose = any({"seen", "new"} & {f.state if f.values else "", f.argument if f.arguments else ""} for f in everything)
    return not (
        feature in others
        or {"step", "gradient"} <= needs
        or sum(bool(f.optimizer) for f in everything) > 1
        or sum("opt.lr" in f.sets + f.body for f in everything) > 1
        or (loose and any(f.state == "frozen" for f in everything))
    )


def scenarios() -> st.SearchStrategy[Scenario]:
    """Return a strategy for scenarios. It draws seeds, since Hypothesis draws some of many alternatives hardly ever."""
    return st.integers(0, 2**64 - 1).map(lambda seed: scenario(random.Random(seed)))


def scenario(rng: random.Random) -> Scenario:
    """Return a function with two to four hostile features, the first of which is rare, and three or four calls."""
    features = [rng.choice(rng.choices([REFUSED, FROZEN, FAILING, NEEDY], weights=[13, 4, 1, 1])[0])]
    for _ in range(rng.choice([1, 2, 3, 3, 3])):
        features.append(_reached(rng, rng.choice([f for f in COMMON if fits(f, features)])))
    needs = {f.needs for f in features}
    optimizers = [numbered(f.optimizer, n) for n, f in enumerate(features) if f.optimizer] or OPTIMIZERS
    states = {n: "False" if f.refused else rng.choice(f.values) for n, f in enumerate(features) if f.values}
    return Scenario(
        rng.choice(["method", "callable"] if "self" in needs else DEFINITIONS),
        rng.choice([core for core in ("step", "gradient") if core in needs] or list(CORES)),
        rng.choice(optimizers),
        tuple(rng.sample(CHAIN, rng.randint(0, 2))),
        rng.random() < 0.3,
        tuple(features),
        tuple(states.items()),
        tuple(_events(rng, features, {**states})),
    )


def _reached(rng: random.Random, feature: Feature) -> Feature:
    """Return the feature, one of a module with any way to reach the module."""
    if feature not in MODULES:
        return feature
    what = feature.name.partition(": ")[2]
    return rng.choice([f for f in GROUPS["modules"] if f.name.endswith(f": {what}")])


def _events(rng: random.Random, features: list[Feature], states: dict[int, str]) -> list[Call | Change]:
    """Return three or four calls, most of them like the one before, and changes before some of them.

    What is refused is on for one call.
    """
    refused, calls = [n for n in states if features[n].refused], rng.choice([3, 4, 4])
    others, switched = [n for n in states if n not in refused], rng.randrange(calls)
    events: list[Call | Change] = []
    call = _call(rng, features)
    for place in range(calls):
        if place and others and rng.random() < 0.6:
            number = rng.choice(others)
            states[number] = rng.choice([value for value in features[number].values if value != states[number]])
            events.append(Change(number, states[number]))
        if place and rng.random() < 0.6:
            call = _other(rng, features, call)
        if refused and place in (switched, switched + 1):
            events.append(Change(refused[0], str(place == switched)))
        events.append(call)
    return events


def _call(rng: random.Random, features: list[Feature]) -> Call:
    arguments = [(n, rng.choice(sources(f))) for n, f in enumerate(features) if f.arguments]
    return Call(rng.choice(list(INPUTS)), tuple(arguments))


def _other(rng: random.Random, features: list[Feature], call: Call) -> Call:
    """Return a call that differs in one argument."""
    place = rng.randint(-1, len(call.arguments) - 1)
    if place < 0:
        return replace(call, x=rng.choice([x for x in INPUTS if x != call.x]))
    n, before = call.arguments[place]
    after = rng.choice([a for a in sources(features[n]) if a != before] or [before])
    return replace(call, arguments=(*call.arguments[:place], (n, after), *call.arguments[place + 1 :]))


def sources(feature: Feature) -> list[str]:
    """Return the sources of what a feature's argument may be."""
    return [a[0] if isinstance(a, tuple) else a for a in feature.arguments]


def smaller(found: Scenario) -> Iterator[Scenario]:
    """Yield the scenarios with one event, feature or line less."""
    for n in range(len(found.events)):
        yield replace(found, events=found.events[:n] + found.events[n + 1 :])
    for n in range(len(found.features)):
        yield _without(found, n)
    if found.chain:
        yield replace(found, chain=found.chain[1:])
    if found.definition not in ("closure", "method"):
        yield replace(found, definition="method" if found.definition == "callable" else "closure")


def _without(found: Scenario, n: int) -> Scenario:
    """Return a scenario without a feature; those after it are numbered anew."""

    def rest(pairs: Sequence[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
        return tuple([(m - (m > n), value) for m, value in pairs if m != n])

    events: list[Call | Change] = []
    for event in found.events:
        if isinstance(event, Call):
            events.append(Call(event.x, rest(event.arguments)))
        elif event.feature != n:
            events.append(Change(event.feature - (event.feature > n), event.value))
    features = found.features[:n] + found.features[n + 1 :]
    kept = OPTIMIZERS[0] if found.features[n].optimizer else found.optimizer
    optimizers = [numbered(f.optimizer, m) for m, f in enumerate(features) if f.optimizer] or [kept]
    return replace(found, features=features, start=rest(found.start), events=tuple(events), optimizer=optimizers[0])
