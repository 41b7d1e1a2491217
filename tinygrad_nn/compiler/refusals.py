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
        "x.copy(), tg.as_tensor(x) or np.stack; write into np.zeros_like(x), or into a copy of an argument"
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


def kept_of_a_trace(name: str) -> str:
    return (
        f"the compiled function keeps a tensor that it computes in {name!r}, where a program does not put it at later "
        "calls. Return it, or write it into a tensor that is there: x[...] = value, or x.data = value"
    )


def hook_in_trace(hook: Any) -> str:
    code = getattr(hook, "__code__", None)
    place = "" if code is None else f", {hook.__name__} of {code.co_filename}:{code.co_firstlineno}"
    return (
        f"a tensor of this step has a hook{place}, and what a hook does besides its result would be lost in a program; "
        "write what it does with the gradient in the step itself, and remove the hook"
    )


def unhashable(kind: str) -> str:
    return (
        f"an argument of type {kind}: a compiled function takes arrays, Tensors, numbers, lists, tuples and dicts of "
        "them, and what can be hashed, which tells one program from another; pass what it holds as one of these"
    )


def other_result(what: str, line: str, source: str) -> str:
    if not line:
        return (
            f"{what} is another one when the function runs again: it draws random numbers, counts its calls, or "
            "decides by the type of what something else stands for while tracing. Pass such values as arguments, and "
            "return tuples, lists and dicts"
        )
    return f"{what} differs from what the function computes, first at `{line}`, from {source}; please report this"


def no_source(reasons: Mapping[str, str]) -> str:
    which = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return (
        f"the program can't be saved ({which}). Define the operation in a file, of NumPy's functions, "
        "module-level functions and small constants; what else it reads, let it take as an input"
    )


def too_many_programs(name: str, most: int, reason: str) -> str:
    return (
        f"{name} has {most} programs for such arguments, and none holds for these values: {reason}. It now runs as it "
        "is, without a program, wherever none holds; pass what changes as an argument, or choose by np.where"
    )
