"""Why a function can't be a program, and what to write instead: the wordings that take more than a line or two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def value_read(what: str, line: str) -> str:
    return (
        f"{what} at {line}: a program can't depend on a value that Python reads. Return it from the step and read it "
        "there; choose by np.where instead of if; pass as a plain argument what Python has to know"
    )


def array_made(line: str) -> str:
    return (
        f"an array is made at {line} of one that the program computes, as np.array(x), np.asarray(x) and y[i] = x do "
        "where y is no array of the program: a program can't depend on a value that Python reads. Use x as it is, "
        "x.copy(), tg.as_tensor(x) or np.stack; write into np.zeros_like(x), or into a copy of an argument; or make it "
        "outside the compiled function"
    )


def constant_written(line: str) -> str:
    return (
        f"an array that the compiled function computes with, a constant of its program, was written into after it was "
        f"read, found at {line}; write into a copy, x = x.copy(), before each use"
    )


def recorded_outside(line: str) -> str:
    return (
        f"a tensor that was recorded outside the compiled function is read at {line}; compute it inside, pass "
        "t.detach() if no gradient is to go back through it, or compile the derivative: tg.compile(tg.grad(f))"
    )


def recorded_result() -> str:
    return (
        "the compiled function returns a tensor that requires grad, and gradients can't go back through a program: "
        "compile the derivative with it, as in tg.compile(tg.grad(f)) or a step that calls backward(); or return "
        "t.detach(); or call it under tg.no_grad()"
    )


def result_kind(kind: str) -> str:
    return (
        f"the compiled function returns a {kind}, which would hold what was computed while tracing; return arrays and "
        f"numbers, in tuples, lists and dicts, and make the {kind} of them outside"
    )


def kept_of_a_trace(line: str) -> str:
    return (
        f"an array or a tensor that is computed at {line} is kept where a program does not put it at later calls: in a "
        "list, an attribute, a cache or a name outside. Return it, or write it into a tensor that is there: "
        "x[...] = value, or x.data = value"
    )


def used_elsewhere(line: str) -> str:
    return (
        f"an array of the program is computed with in another thread or context, at {line}: a program is what one "
        "thread computes. Compute it in the function itself"
    )


def caught(error: Exception, line: str) -> str:
    return (
        f"{type(error).__name__} ({error}), raised at {line}, is caught by the function, and a program can't decide by "
        "errors. Choose by np.where, or check the values before the call; or leave this function uncompiled"
    )


def random_drawn(where: str) -> str:
    return (
        f"the compiled function draws random numbers{where}: its program would compute with those of the first call "
        "for good. Draw them outside and pass them as an argument, or draw from a NumPy Generator that a module holds"
    )


def drawn_in_place(method: str, line: str) -> str:
    return (
        f"random numbers are drawn by {method} at {line}, and a program draws arrays by a generator's methods with "
        "parameters that are known: write x = x[generator.permutation(n)] in place of shuffle, draw standard numbers "
        "and compute with them, or draw outside"
    )


def effect(what: str) -> str:
    return (
        f"the compiled function {what}, and a program would not do so at later calls; return the new value and keep it "
        "outside, or hold it in a tensor and write x[...] = value"
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
        f"an argument of type {kind}: a compiled function takes arrays, Tensors, numbers, strings, lists, tuples and "
        "dicts of them, modules, and objects that are told by their attributes; pass what it holds as one of these"
    )


def other_result(what: str) -> str:
    return (
        f"{what} differs from what the function computes: the function depends on what a program does not follow, such "
        "as what functions that it calls read, or the type of a proxy. Pass such values as arguments"
    )


def no_generator() -> str:
    return (
        "the program draws of a module's generator, and a file has none; pass the numbers as an argument, or save the "
        "program of a module that draws nothing, as after net.eval()"
    )


def no_source(reasons: Mapping[str, str]) -> str:
    which = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return (
        f"the program can't be saved ({which}). Define the operation in a file, of NumPy's functions, "
        "module-level functions and small constants; what else it reads, let it take as an input"
    )
