"""Examples for the stubs and the site: an operation called on a sample that was declared with it, and executed."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.testing import Case

LONGEST = 116
# Calls for NumPy's functions that declare no samples (what makes tensors, what assigns, what takes functions), and for
# those whose samples show little, or gradients that are zero but for rounding.
CALLS = {
    "apply_along_axis": ["tg.apply_along_axis(tg.cumsum, 0, np.array([[1.0, 2.0], [3.0, 4.0]])).numpy()"],
    "avg_pool1d": ["tg.avg_pool1d([[1.0, 3.0, 2.0, 5.0]], kernel_size=2).tolist()"],
    "avg_pool2d": ["tg.avg_pool2d([[[1.0, 3.0, 5.0, 5.0], [2.0, 6.0, 9.0, 1.0]]], kernel_size=2).tolist()"],
    "avg_pool3d": ["tg.avg_pool3d([[[[1.0, 3.0], [2.0, 6.0]], [[4.0, 4.0], [4.0, 4.0]]]], kernel_size=2).tolist()"],
    "apply_over_axes": ["tg.apply_over_axes(tg.sum, np.ones((2, 3, 4)), [0, 2]).numpy()"],
    "conv1d": ["tg.conv1d([[1.0, 2.0, 4.0, 8.0]], weight=[[[-1.0, 1.0]]], padding=1).tolist()"],
    "conv2d": [
        "image = tg.tensor([[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]])",
        "tg.conv2d(image, weight=[[[[-1.0, 1.0]]]], padding=(0, 1)).tolist()",
    ],
    "conv3d": [
        "volume = tg.tensor([[[[1.0, 2.0], [4.0, 8.0]], [[16.0, 32.0], [64.0, 128.0]]]])",
        "tg.conv3d(volume, weight=[[[[[-1.0]], [[1.0]]]]]).tolist()",
    ],
    "conv_transpose1d": ["tg.conv_transpose1d([[1.0, 2.0]], weight=[[[1.0, 10.0]]], stride=2).tolist()"],
    "conv_transpose2d": [
        "image = tg.tensor([[[1.0, 2.0]]])",
        "tg.conv_transpose2d(image, weight=[[[[1.0, 10.0]]]], stride=2).tolist()",
    ],
    "conv_transpose3d": [
        "volume = tg.tensor([[[[1.0, 2.0]]]])",
        "tg.conv_transpose3d(volume, weight=[[[[[1.0]], [[10.0]]]]]).tolist()",
    ],
    "copyto": ["t = tg.zeros(3)", "tg.copyto(t, [1.0, 2.0, 3.0], where=np.array([True, False, True]))", "t"],
    "empty_like": ["tg.empty_like(np.ones((2, 3))).shape"],
    "fill_diagonal": ["t = tg.zeros((2, 2))", "tg.fill_diagonal(t, [1.0, 2.0])", "t"],
    "full_like": ["tg.full_like(np.ones(3), 7.0)"],
    "isinf": ["tg.isinf(np.array([1.0, np.inf, -np.inf, np.nan])).numpy()"],
    "isneginf": ["tg.isneginf(np.array([1.0, np.inf, -np.inf, np.nan])).numpy()"],
    "isposinf": ["tg.isposinf(np.array([1.0, np.inf, -np.inf, np.nan])).numpy()"],
    "linalg.eigvalsh": [
        "a = np.array([[2.0, 1.0], [1.0, 2.0]])",
        "tg.linalg.eigvalsh(a).numpy()",
        "tg.grad(lambda a: tg.linalg.eigvalsh(a)[1])(a).numpy()",
    ],
    "matrix_transpose": ["tg.matrix_transpose(np.arange(6.0).reshape(1, 2, 3)).numpy()"],
    "max_pool1d": ["tg.max_pool1d([[1.0, 3.0, 2.0, 5.0]], kernel_size=2).tolist()"],
    "max_pool2d": ["tg.max_pool2d([[[1.0, 3.0, 5.0, 5.0], [2.0, 6.0, 9.0, 1.0]]], kernel_size=2).tolist()"],
    "max_pool3d": ["tg.max_pool3d([[[[1.0, 3.0], [2.0, 6.0]], [[4.0, 4.0], [4.0, 4.0]]]], kernel_size=2).tolist()"],
    "moveaxis": [
        "x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])",
        "tg.moveaxis(x, 0, -1).numpy()",
        "tg.moveaxis(np.ones((2, 3, 4, 5)), source=[0, 1], destination=[-1, -2]).shape",
        "tg.grad(lambda x: tg.moveaxis(x, 0, -1)[0].sum())(x).numpy()",
    ],
    "ones_like": ["tg.ones_like(np.zeros(3), requires_grad=True)"],
    "pad": [
        "x = np.array([1.0, 2.0])",
        "tg.pad(x, 2, mode='edge').numpy()",
        "tg.grad(lambda x: tg.pad(x, 2, mode='edge').sum())(x).numpy()",
    ],
    "piecewise": ["x = np.array([-1.0, 0.0, 2.0])", "tg.piecewise(x, [x < 0, x > 1], [tg.square, 5.0])"],
    "place": ["t = tg.zeros(3)", "tg.place(t, np.array([True, False, True]), [1.0, 2.0])", "t"],
    "put": ["t = tg.zeros(3)", "tg.put(t, [0, 2], [1.0, 2.0])", "t"],
    "put_along_axis": ["t = tg.zeros((2, 2))", "tg.put_along_axis(t, np.array([[0], [1]]), 5.0, axis=1)", "t"],
    "putmask": ["t = tg.zeros(3)", "tg.putmask(t, np.array([True, False, True]), [1.0, 2.0, 3.0])", "t"],
    "rollaxis": [
        "x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])",
        "tg.rollaxis(x, 1).numpy()",
        "tg.grad(lambda x: tg.rollaxis(x, 1)[0].sum())(x).numpy()",
    ],
    "right_shift": ["tg.right_shift(np.array([8, 9, 10]), 1).numpy()"],
    "swapaxes": [
        "x = np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])",
        "tg.swapaxes(x, 1, 2).numpy()",
        "tg.grad(lambda x: tg.swapaxes(x, 1, 2)[0, 0].sum())(x).numpy()",
    ],
    "transpose": [
        "x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])",
        "tg.transpose(x).numpy()",
        "tg.grad(lambda x: tg.transpose(x)[0].sum())(x).numpy()",
    ],
    "zeros_like": ["tg.zeros_like(np.ones(3))"],
    "zeros": ["tg.zeros((2, 3))"],
    "ones": ["tg.ones(3, dtype=np.float32)"],
    "full": ["tg.full((2,), 7.0, requires_grad=True)"],
    "empty": ["tg.empty((2, 3)).shape"],
    "arange": ["tg.arange(0.0, 1.0, 0.25)"],
    "eye": ["tg.eye(2)"],
}


@functools.cache
def example(name: str, call: Any) -> str:
    """Return a call of `tg.name` with what it gives and its gradient, as a doctest; "" where no sample is short."""
    if name in CALLS:
        return _executed(CALLS[name])
    found = [text for case in tg.testing.cases_of(call)[:24] for text in _written(case, name)]
    return min(found, key=functools.partial(_unclear, "nan" in name), default="")


def _executed(calls: list[str]) -> str:
    """Return the lines as a doctest, with what Python prints."""
    space: dict[str, Any] = {"np": np, "tg": tg}
    shown = []
    for code in calls:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "<example>", "single"), space)
        shown += [f">>> {code}", *printed.getvalue().splitlines()]
    return "\n".join(shown)


def _unclear(of_nans: bool, text: str) -> tuple[Any, ...]:
    """Return what makes an example hard to read, the worst first: smaller is clearer."""
    odd = "inf" in text or ("nan" in text) != of_nans
    noise = re.search(r"e-1[5-9]", text) is not None
    calls = [line for line in text.splitlines() if line.startswith((">>> tg.", ">>> [y", ">>> round"))]
    single = text.count("np.float64(") + text.count("=np.float64(0") + ("array(" not in text)
    arrays = min(text.count(" = np.array("), 2)
    return (
        *(".shape" in text, odd, noise, "tg.grad" not in text, _shows_nothing(text), single, calls[0].count("=")),
        *(-arrays, text.count("\n"), -min(text.count("."), 12)),
    )


def _shows_nothing(text: str) -> int:
    """Return how many of the shown arrays are empty, nothing but zeros, or what was given."""
    plain = re.sub(r"\s|(?<=\.)0\b", "", text)
    given = re.findall(r"=np\.(?:array|float64)\(\[*([^a-z]*?)\]*\)", plain)
    shown = re.findall(r"(?<![.\w])array\(\[+([^a-z>]*?)\]+[,)]|item\(\)(-?[\d.]+)", plain)
    shown = ["".join(found) for found in shown]
    return sum(re.search("[1-9TF]", array) is None or array in given for array in shown)


def _written(case: Case, name: str) -> Iterator[str]:
    leaves = [_rounded(x) for x in case.leaves]
    sizes = [np.size(x) for x in leaves]
    if not sizes or min(sizes) == 0 or max(sizes) > 60:
        return
    labels = _labels(case)
    parameters = "".join([f", {key}={_text(value)}" for key, value in case.parameters.items()])
    inputs = [f"[{', '.join(labels[i] for i in p)}]" if isinstance(p, tuple) else labels[p] for p in case.takes]
    called = f"tg.{name}({', '.join(inputs)}{parameters})"
    lines = [f"{label} = {_text(x)}" for label, x in zip(labels, leaves, strict=True) if label.isidentifier()]
    space: dict[str, Any] = {"np": np, "tg": tg, **dict(zip(labels, leaves, strict=True))}
    try:
        shown = [*lines, *_shown(called, space)]
        shown += _gradient(called, labels, case, space)
    except Exception:  # a sample that rounding took out of the domain, or that raises on purpose, is no example
        return
    code = [*lines, *[line for line in shown if line.startswith(("tg.", "[y.numpy()", "round("))]]
    text = "\n".join(f">>> {line}" if line in code else line for line in shown)
    if max(map(len, text.splitlines())) <= LONGEST and text.count("\n") < 12:
        yield text


def _rounded(x: Any) -> Any:
    """Return short numbers; of what is large those that can be written in a word."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return np.round(x, 1) + 0.0 if x.size <= 9 else np.arange(float(x.size)).reshape(x.shape)
    return x


def _labels(case: Case) -> list[str]:
    """Return how the leaves are written: by the operation's own names for them, in sequences by letters."""
    operation = getattr(case.function, "operation", None)
    signature = inspect.signature(case.function) if operation is None else operation.signature
    own = [p.name for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    letters, found = iter("abcdefgh"), [repr(x) for x in case.leaves]
    for position, name in itertools.zip_longest(case.takes, own[: len(case.takes)]):
        for leaf in position if isinstance(position, tuple) else (position,):
            if isinstance(case.leaves[leaf], (np.ndarray, np.generic)):
                found[leaf] = next(letters) if name is None or isinstance(position, tuple) else name
    return found


def _text(value: Any) -> str:
    """Return code that makes the value again, in one line."""
    if isinstance(value, np.ndarray):
        if value.size > 9 and value.dtype == np.float64:
            return f"np.arange({value.size}.0).reshape{value.shape}"
        dtype = "" if value.dtype in (np.float64, np.int64, np.bool_) else f", dtype=np.{value.dtype}"
        return f"np.array({value.tolist()}{dtype})".replace("nan", "np.nan").replace("inf", "np.inf")
    return f"np.{value.__name__}" if isinstance(value, type) and issubclass(value, np.generic) else repr(value)


def _shown(called: str, space: dict[str, Any]) -> list[str]:
    """Return lines that show a call's results, and what Python prints."""
    y = eval(called, space)
    if isinstance(y, tg.Tensor):
        return _evaluated(called + (".item()" if y.ndim == 0 else ".numpy()" if y.size <= 12 else ".shape"), space)
    return _evaluated(f"[y.numpy() for y in {called}]", space)


def _gradient(called: str, labels: list[str], case: Case, space: dict[str, Any]) -> list[str]:
    """Return lines that show the gradient of the results' sum in the first input that has one."""
    y = eval(called, space)
    if not isinstance(y, tg.Tensor) or not case.differentiable or y.dtype.kind != "f":
        return []
    wanted = labels[case.active[0] if case.active else 0]
    if np.size(space[wanted]) > 12:
        return []
    total = called if y.ndim == 0 else f"{called}.sum()"
    gradient = f"tg.grad(lambda {wanted}: {total})({wanted})"
    return _evaluated(gradient + (".item()" if np.ndim(space[wanted]) == 0 else ".numpy()"), space)


def _evaluated(code: str, space: dict[str, Any]) -> list[str]:
    found = eval(code, space)
    if isinstance(found, float) and len(repr(found)) > 10:
        code, found = f"round({code}, 6)", round(found, 6)
    return [code, *[line or "<BLANKLINE>" for line in repr(found).splitlines()]]


def same_but_for_digits(a: str, b: str) -> bool:
    """Return whether two texts differ in the last digits of numbers at most."""
    number = re.compile(r"-?\d+\.\d*(?:e[-+]\d+)?")
    close = zip(map(float, number.findall(a)), map(float, number.findall(b)))
    words: Callable[[str], str] = lambda text: re.sub(r"\s+", " ", number.sub("#", text))  # noqa: E731
    return words(a) == words(b) and all(np.isclose(x, y, rtol=1e-6, atol=1e-12) for x, y in close)
