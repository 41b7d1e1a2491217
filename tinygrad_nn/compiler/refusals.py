"""Why a function can't be a program, and what to write instead: the longer messages."""

from __future__ import annotations

from typing import Any


def value_read(what: str, line: str) -> str:
    return (
        f"{what} at {line}: a program can't depend on a value that Python reads. Return it from the step and read it "
        "outside; choose by np.where instead of if; pass as a plain argument what Python has to know"
    )


def recorded_outside(line: str) -> str:
    return (
        f"a tensor that was recorded outside the compiled function is read at {line}; compute it inside, pass "
        "t.detach() if no gradient is to go back through it, or compile the derivative: tg.compile(tg.grad(f))"
    )


def random_drawn(where: str) -> str:
    return (
        f"the compiled function draws random numbers{where}: its program would compute with those of the first call "
        "each time. Draw them outside and pass them as an argument, or draw from a NumPy Generator that a module holds"
    )


def effect(what: str) -> str:
    return (
        f"the compiled function {what}, and a program would not do so at later calls; return the new value and keep it "
        "outside, or hold it in a tensor and write x[...] = value"
    )


def iterated(line: str) -> str:
    return (
        f"the compiled function reads an iterator{line}, whose next entry would be the same at every call: take the "
        "entry outside, as batch = next(batches), and pass it as an argument"
    )


def hook_in_trace(hook: Any) -> str:
    code = getattr(hook, "__code__", None)
    place = "" if code is None else f", {hook.__name__} of {code.co_filename}:{code.co_firstlineno}"
    return (
        f"a tensor of this step has a hook{place}, and what a hook does besides its result would be lost in a program; "
        "write what it does with the gradient in the step itself, and remove the hook"
    )


def not_described(kind: str) -> str:
    return (
        f"an argument of type {kind} can't be distinguished from others: a compiled function takes arrays, Tensors, "
        "numbers, strings, lists, tuples and dicts of them, modules, and objects that can be copied; pass what it "
        "holds as one of these; of an iterator, pass list(...)"
    )
