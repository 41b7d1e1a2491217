"""Every exception of the package and the wording of its messages."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .remedies import called, remedy
from .unsupported import reason


class GradientError(RuntimeError):
    """A derivative was asked for in a way that has no answer."""


class FreedGraphError(GradientError):
    """A graph was differentiated that an earlier backward pass has freed."""


class DisconnectedError(GradientError):
    """Nothing recorded connects the output to a requested input."""


class CompileError(TypeError):
    """A function can't be turned into a program; the message names the line and what to write."""


class DetachedError(TypeError):
    """An operation would have lost the recorded graph silently."""


class InplaceError(RuntimeError):
    """An assignment would have changed a value that the graph depends on."""


class DtypeError(TypeError):
    """A dtype that can't hold what was asked of it."""


class BackpropError(AssertionError):
    """A hand-derived gradient is not the adjoint."""


class GradientCheckError(AssertionError):
    """A function's derivative is not what differences of its values say."""


class ArchitectureError(ValueError):
    """A network's description contradicts itself or names what doesn't exist."""


class DataError(ValueError):
    """Training data that can't be learnt from."""


class StateError(ValueError):
    """A state dictionary that doesn't fit what it is loaded into."""


class DivergedError(ArithmeticError):
    """Training reached a cost that is not finite."""


def freed() -> str:
    return (
        "this graph was freed by an earlier backward pass; pass retain_graph=True to that pass "
        "if you need the graph again, or compute the output anew"
    )


def records_nothing(what: str) -> str:
    return (
        f"{what} records nothing, so there is no graph to differentiate; make an input with "
        "tg.tensor(..., requires_grad=True), and compute outside tg.no_grad()"
    )


def needs_seed(shape: tuple[int, ...]) -> str:
    return (
        f"a gradient starts from one number, but the output has shape {shape}; reduce it, as in "
        f"output.sum(), or pass a cotangent of shape {shape}"
    )


def wrong_seed(found: tuple[int, ...], shape: tuple[int, ...]) -> str:
    return f"the cotangent has shape {found}, the output {shape}; pass one of shape {shape}"


def wrong_tangent(found: tuple[int, ...], shape: tuple[int, ...]) -> str:
    return f"the tangent has shape {found}, its primal {shape}; pass one of shape {shape}"


def not_the_same_again() -> str:
    return (
        "a checkpointed function read other tensors, or returned other shapes, when it was called again for the "
        "backward pass; let it depend on its arguments and on tensors that stay as they are alone"
    )


def wrong_argnums(found: Any) -> str:
    return (
        "argnums says by which positional arguments to differentiate: a whole number or a sequence of them, "
        f"not {found!r}; of arguments that are passed by name, make one dict, which is a single argument"
    )


def returns_no_tensor(kind: str) -> str:
    return (
        f"a function to differentiate returns a Tensor, got {kind}; build its result with operations on its "
        "arguments, and return what is not to be differentiated as aux, with has_aux=True"
    )


def wrong_seed_dtype(found: Any, dtype: Any) -> str:
    return f"the cotangent has dtype {found}, the output {dtype}; write gradient.astype('{dtype}')"


def disconnected(where: str) -> str:
    return (
        f"{where} does not lead to the output by any recorded operation; pass allow_unused=True "
        "to get None for it, or look for a detach(), no_grad() or .data on the way"
    )


def no_gradient_dtype(dtype: Any) -> str:
    if dtype.kind == "c":
        return f"complex numbers have no gradients here yet (dtype {dtype}); use two real tensors"
    return f"a tensor of dtype {dtype} can't require a gradient; write its numbers as floats, or pass dtype=float"


def unsupported_values(what: str) -> str:
    return (
        f"{what} can't be made a tensor; pass numbers, booleans, or arrays of them, such as np.asarray(x, dtype=float)"
    )


def silent_loss(what: str) -> str:
    return (
        f"{what} would lose the gradient of a tensor that requires one; write t.item() for the number, "
        "t.data for the array itself, or t.detach() for a tensor that records nothing; where NumPy doesn't see that "
        "tensors are meant, as in nested lists, np.full or scipy.special.logsumexp, call tg's function of that name, "
        "such as tg.stack; or assign into a tensor made by tg.zeros"
    )


def unknown_numpy(name: str, known: Iterable[str]) -> str:
    short = name.rpartition(".")[2]
    why, nearest = reason(short) or ("", "")
    if nearest == "getitem":
        return (
            f"{name} is not recorded by tinygrad_nn: {why}; find indices by "
            "np.unique(t.data, return_index=True), then write t[indices]"
        )
    if why:
        return (
            f"{name} is not recorded by tinygrad_nn: {why}; the nearest that is: tg.{nearest}; or call it on t.data, "
            "without gradients"
        )
    names = sorted({n for n in known if not n.startswith("linalg_")})  # those are in NumPy itself under the same names
    near = difflib.get_close_matches(short, names, n=3, cutoff=0.6)
    hint = f"the nearest that are: {', '.join(map(called, near))}" if near else "see tg.__all__"
    return f"{name} is not recorded by tinygrad_nn; {hint}; or call it on t.data, without gradients"


def numpy_option(name: str, options: Iterable[str]) -> str:
    return (
        f"np.{name} with {', '.join(sorted(options))} is not recorded; leave it out and write the "
        "result to a name: y = np." + name + "(...)"
    )


def where_without_out(name: str) -> str:
    return (
        f"np.{name} with where= leaves the other entries undefined, so they have no gradient; pass out= as well, "
        f"or write np.where(mask, np.{name}(...), value)"
    )


def leaf_assignment() -> str:
    return (
        "this tensor is a leaf that requires grad, and assigning into it would cut it off from its "
        "own gradient; write `with tg.no_grad(): ...` to change its value, or assign into a copy: "
        "t = t + 0"
    )


def recorded_assignment() -> str:
    return (
        "this tensor was computed from others and requires grad; changing it under no_grad() would "
        "make its gradient wrong; use t.detach(), or assign outside no_grad()"
    )


def assigned_shape(kind: str, found: Any, needed: Any) -> str:
    return (
        f"an in-place operation keeps its tensor's {kind} {needed}, but the result has {found}; "
        "write t = t + v for a new tensor"
    )


def recorded_copy(done: str, do: str) -> str:
    return f"a computed tensor that requires grad can't be {done}; {do} t.detach() instead"


IN_OPERATION = "in tinygrad_nn operation"


def where_in_operation(error: Exception, name: str, inputs: Iterable[Any]) -> str:
    met = ", ".join(map(_described, inputs))
    advice = "" if type(error).__module__ == __name__ else f"; {remedy(error, name)}"
    return f"{IN_OPERATION} {name!r} on inputs {met}{advice}"


def _described(x: Any) -> str:
    if isinstance(x, (list, tuple)) and any(_is_array(part) for part in x):
        return f"[{', '.join(map(_described, x))}]"
    return f"{x.dtype}{list(x.shape)}" if _is_array(x) else f"{x!r:.20}" if np.isscalar(x) else type(x).__name__


def _is_array(x: Any) -> bool:
    return isinstance(getattr(x, "dtype", None), np.dtype)


def rule_shape(name: str, argument: str, found: tuple[int, ...], shape: tuple[int, ...]) -> str:
    return (
        f"the rule of {name!r} for {argument!r} returned shape {found}, which can't be summed to the "
        f"input's {shape}; a rule returns the cotangent in its input's shape, or in a shape that the "
        "input was broadcast to"
    )


_NO_RULES = dict.fromkeys(
    ("eig", "eigvals"),
    "the eigenvalues of a general matrix are complex, and complex numbers have no gradients here; use "
    "tg.linalg.eigh for symmetric matrices, tg.linalg.svd for singular values, or t.detach() for values alone",
)


def no_rule(name: str) -> str:
    return f"operation {name!r} has no derivative rule; {_NO_RULES.get(name, f'declare one with {name}.vjp(...)')}"


def told_apart(what: str) -> str:
    return (
        f"the derivative of {what} is not defined, for they can be turned into each other, and this "
        "output, or a second derivative of the values alone, depends on which they are; use first derivatives of "
        "the values alone, as by tg.linalg.eigvalsh or tg.linalg.svdvals, or add small different numbers to the "
        "diagonal of the matrix"
    )


def singular(what: str) -> str:
    return f"{what} has no derivative, for the matrix is singular; add a small multiple of tg.eye(n) to it"


def wrong_backprop(table: str) -> str:
    return f"the hand-derived gradients are not the adjoints; the first mistake in backward order comes first:\n{table}"


def unknown_convention(found: Any, known: Iterable[str]) -> str:
    return f"convention is {found!r}; write one of {', '.join(map(repr, known))}"


def no_gradients() -> str:
    return 'there is no gradient to compare; pass a mapping of names to arrays, such as {"dW1": dW1}'


def unknown_gradient(key: Any, names: list[str], near: list[str]) -> str:
    if not names:
        return (
            f"no Tensor is known that {key!r} could be the gradient of; name them, as in tensors={{'W1': W1, 'Z1': Z1}}"
        )
    return (
        f"no Tensor is known that {key!r} is the gradient of; there are {', '.join(names)}"
        f"{f', the nearest being {near[0]}' if near else ''}; name others by tensors={{...}}"
    )


def gradient_twice(first: str, second: str, name: str) -> str:
    return f"{first!r} and {second!r} are both the gradient of {name}; leave one out"


def tensors_by_name(kind: str) -> str:
    return f"tensors= is a mapping of names to Tensors, such as network.memory(X) or locals(), or a Module; got {kind}"


def not_a_tensor(name: str, kind: str) -> str:
    return f"{name} is a {kind}, and an adjoint belongs to a Tensor; pass the Tensor that the loss was computed from"


def no_adjoint(name: str, key: str) -> str:
    return (
        f"{name} does not require a gradient, so the graph has no adjoint for it; make it with "
        f"tg.tensor(..., requires_grad=True), or leave {key} out"
    )


def not_on_the_way(name: str, key: str) -> str:
    return (
        f"{name} does not lead to this loss by any recorded operation; compute the loss from it, "
        f"pass the Tensors of the same forward pass, or leave {key} out"
    )


def raw_in_rule(what: str) -> str:
    return (
        f"a derivative rule reads t.{what} while it is recorded for a second derivative, which would be silently 0; "
        "compute with the tensor itself, as in NumPy: np.square(x), x > 0, x[index]"
    )


def nothing_to_check() -> str:
    return "there is nothing to check: the inputs hold no finite number; pass arrays with at least one"


def uncheckable_input(name: str, dtype: Any) -> str:
    return (
        f"{name} is {dtype}, which has no derivative; write x.astype(float), or let the function take it from outside"
    )


def returns_no_numbers(dtypes: list[str]) -> str:
    return (
        f"the function returns no floating-point numbers, got {', '.join(dtypes) or 'nothing'}; there is no derivative"
    )


def shapes_change(before: list[Any], now: list[Any]) -> str:
    return f"the function returns shapes {before} and, from inputs next to the first, {now}; check one case at a time"


def input_changed(name: str) -> str:
    return f"the function changes {name} in place, so no two calls are alike; let it work on a copy, np.array(x)"


def gradient_of_one_number(shapes: list[Any]) -> str:
    return f"a gradient by hand is that of one number, but the function returns shapes {shapes}; return a sum or mean"


def gradient_shape(name: str, found: Any, right: Any) -> str:
    return f"the gradient by {name} has shape {found}, where {right}, that of the input, is right"


def unknown_option(name: str, value: Any, known: Iterable[Any]) -> str:
    return f"{name}={value!r} is unknown; write one of {', '.join(map(repr, known))}"


def gradient_by_hand_only() -> str:
    return "a gradient by hand can be checked to first order and in reverse mode only: leave out order= and mode="


def no_step(method: str) -> str:
    return f"method={method!r} chooses its step by itself; leave out step="


def not_one_number(shapes: list[Any]) -> str:
    return f"the function returns shapes {shapes}, where one number is needed; return a sum, or use tg.jacobian"


def refuses_complex() -> str:
    return "the function refuses complex numbers, or drops the imaginary part; use method='ridders'"


def wrong_gradient(table: str) -> str:
    return f"a derivative is wrong\n{table}"


def nothing_to_plot() -> str:
    return "this report has no derivative to draw"


def no_rule_is_wrong() -> str:
    return (
        "every recorded operation's own rule is right here: something that the value depends on is not recorded, such "
        "as t.data, t.detach() or a value taken under tg.no_grad()"
    )


def unusable_folder(option: str, folder: Any, error: OSError) -> str:
    why = "a file is in the way" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
    return f"{option} {folder} can't be written to: {why}; name a folder that may be made there and written to"


def hyperparameter(name: str, value: Any, below: float, count: int | None) -> str:
    what = "the learning rate" if name == "lr" else name
    number = "a finite number, 0 or more" if below == float("inf") else f"at least 0 and below {below}"
    number = number if count is None else f"{count} numbers, each {number}"
    return f"{what} must be {number}, got {value!r} of type {type(value).__name__}"


def optimizer_keys(kind: str, needed: Iterable[str], saved: Any) -> str:
    found = list(saved) if isinstance(saved, Mapping) else f"a {type(saved).__name__}"
    return f"the state of {kind} is a dict with the keys {list(needed)}, got {found}; save it by optimizer.state_dict()"


def whole_number(name: str, value: Any, least: int) -> str:
    return f"{name} must be a whole number, {least} or more, got {value!r} of type {type(value).__name__}"


def _given(x: Any) -> str:
    if isinstance(x, type):
        return f"the class {x.__name__}"
    kind = type(x).__name__
    return f"{kind} of shape {tuple(x.shape)}" if hasattr(x, "shape") else f"{x!r:.40} of type {kind}"


def not_a_network(network: Any) -> str:
    return (
        f"a tg.nn.DenseNetwork is needed, got {_given(network)}; make one by tg.nn.DenseNetwork(architecture); for a "
        "module of your own, write the loop: loss.backward(), optimizer.step(), optimizer.zero_grad()"
    )


def not_an_optimizer(optimizer: Any) -> str:
    return (
        f"an optimizer that holds this network's parameters is needed, got {_given(optimizer)}; "
        "write optimizer=tg.optim.Adam(network.parameters(), lr=0.001)"
    )


def not_a_loss(loss: Any) -> str:
    return (
        f"a loss is a function (activations, y) -> cost, got {_given(loss)}; leave loss= out to use the one that "
        "follows from the last activation"
    )


def not_a_cost(cost: Any) -> str:
    return (
        f"a loss returns a Tensor of one entry, got {_given(cost)}; compute it from the activations by recorded "
        "operations and reduce it, as in ((activations - y) ** 2).mean()"
    )


def no_loss_follows(activation: str) -> str:
    return (
        f"no loss follows from a last activation of {activation!r}; pass loss=, a function (activations, y) -> cost, "
        "or end the network with sigmoid, softmax or identity"
    )


def diverged(what: str) -> str:
    return (
        f"{what}; the network keeps the parameters of its last finite cost. "
        "Lower the learning rate, or scale the inputs to about 1"
    )


def only_tensors(what: str, found: Any) -> str:
    return (
        f"{what} is {_given(found)}, and only Tensors are differentiated; make it one before you compute with it: "
        "x = tg.tensor(x, requires_grad=True)"
    )


def nothing_to_join(name: str) -> str:
    return f"{name} needs at least one tensor, which gives shape and dtype; for an empty one write tg.zeros((0, n))"


def no_such_operation(name: str, known: Iterable[str], composed: bool) -> str:
    if composed:
        return (
            f"{name!r} is composed of operations and has no rule of its own; name one of the operations it is made of"
        )
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"the nearest are {', '.join(near)}" if near else "see tinygrad_nn.engine.operation.OPERATIONS"
    return f"{name!r} is no operation; {hint}"


def no_such_rule(name: str, argument: str, known: Iterable[str]) -> str:
    return (
        f"operation {name!r} has no rule for an input named {argument!r}; it has rules for {', '.join(known) or 'none'}"
    )


def reads_more(name: str, argument: str, more: Iterable[str], known: Iterable[str]) -> str:
    return (
        f"a rule planted in {name!r} for {argument!r} reads {', '.join(sorted(more))}, which is not kept; it may read "
        f"{', '.join(['g', *known])}; to read more, declare an operation of your own with that rule"
    )


def no_samples(name: str) -> str:
    return (
        f"{name!r} has no samples to check it on; pass inputs=[...], each a tuple of arguments where a tuple "
        "such as (2, 3) stands for an array of that shape, or declare it with samples=[sample(...), ...]"
    )


def no_arrays(name: str) -> str:
    return f"the inputs to check {name!r} on hold no array; each is a tuple of arguments: write ((2, 3),) for one array"


def no_gradient(x: Any) -> str:
    return f"a gradient is a Tensor or None, got {_given(x)}; write t.grad = tg.tensor(g)"


def gradient_of_another(what: str, given: Any, needed: Any) -> str:
    remedy = f"reshape it to {needed}" if what == "shape" else f"write .astype('{needed}')"
    return f"a gradient has its tensor's {what}, {needed}; this one has {given}: {remedy}"


def missing(what: str, package: str) -> str:
    return f"{what}; install it with: {sys.executable} -m pip install {package}"


def no_kinks(name: str) -> str:
    return f"operation {name!r} declares no kinks; use tg.testing.points for operands away from kinks"


def not_elementwise(name: str) -> str:
    return f"operation {name!r} is not on corresponding entries; draw its inputs by tg.testing.arrays and broadcastable"


def fails_unmutated() -> str:
    return "the test fails as it is, before any rule was mutated; mutate_rules needs one that passes"


def too_many_programs(name: str, most: int, reason: str) -> str:
    """Return that a compiled function runs as it is from now on, and how to have programs again."""
    return (
        f"{name} has {most} programs for such arguments, and none holds for these values: {reason}. It now runs as it "
        "is, without a program, wherever none holds; pass what changes as an argument, or choose by np.where"
    )


def hook_in_trace(hook: Any) -> str:
    """Return why a hook can't be part of a program, and where it is defined."""
    code = getattr(hook, "__code__", None)
    place = "" if code is None else f", {hook.__name__} of {code.co_filename}:{code.co_firstlineno}"
    return (
        f"a tensor of this step has a hook{place}, and what a hook does besides its result would be lost in a program; "
        "write what it does with the gradient in the step itself, and remove the hook"
    )


def value_read(what: str, line: str) -> str:
    """Return that a value was read while a program was traced, where, and what to write."""
    return (
        f"{what} at {line}: a program can't depend on a value that Python reads. Return it from the step and read it "
        "there; choose by np.where instead of if; pass as a plain argument what Python has to know"
    )


def no_method(name: str, line: str) -> str:
    """Return that an array's method or attribute can't be part of a program, where it is used, and what to write."""
    return (
        f".{name} of an array at {line} can't be part of a program; write it with NumPy's functions, operators and "
        "x[index] = value"
    )


def array_made(line: str) -> str:
    """Return that an array is made of one of a program while it is traced, where, and what to write."""
    return (
        f"an array is made at {line} of one that the program computes, as np.array(x), np.asarray(x) and y[i] = x do "
        "where y is no array of the program: a program can't depend on a value that Python reads. Use x as it is, "
        "x.copy(), tg.as_tensor(x) or np.stack; write into np.zeros_like(x), or into a copy of an argument"
    )


def written_view(line: str) -> str:
    """Return that a view was written into while a program was traced, and what to write."""
    return f"a part of an array is written through a view at {line}; write into the whole: x[i, j] = v"


def trace_is_over(line: str) -> str:
    """Return that what stood for an array outlived its trace, and what to write."""
    return (
        f"an array of a program that was traced is used again at {line}: what a compiled step keeps in a list or an "
        "attribute is not an array; return it from the step instead"
    )


def untraceable(name: str, line: str) -> str:
    """Return that a function's result is no array, so that no program can hold it."""
    return f"{name} at {line} returns something that is no array; compute it outside the compiled function"


def recorded_outside(line: str) -> str:
    """Return that a compiled function reads a tensor whose graph was recorded outside it."""
    return (
        f"a tensor that was recorded outside the compiled function is read at {line}; compute it inside, pass "
        "t.detach() if no gradient is to go back through it, or compile the derivative: tg.compile(tg.grad(f))"
    )


def captured_argument() -> str:
    """Return that a tensor comes to a compiled function in two ways, and what to write."""
    return "the compiled function uses a tensor that is its argument under another name, too; pass it, or name it"


def recorded_result() -> str:
    """Return why a compiled function can't return what gradients would go back through, and what to write."""
    return (
        "the compiled function returns a tensor that requires grad, and gradients can't go back through a program: "
        "compile the derivative with it, as in tg.compile(tg.grad(f)) or a step that calls backward(); or return "
        "t.detach(); or call it under tg.no_grad()"
    )


def unhashable(kind: str) -> str:
    """Return why such an argument can't tell which program to run, and what to write."""
    return (
        f"an argument of type {kind}: a compiled function takes arrays, Tensors, numbers, lists, tuples and dicts of "
        "them, and what can be hashed, which tells one program from another; pass what it holds as one of these"
    )


def argument_written(name: str) -> str:
    """Return that a compiled function writes into an array that is its argument, and what to write."""
    return f"the compiled function writes into its argument {name!r}; return the new array instead"


def result_kind(kind: str) -> str:
    """Return that a compiled function returns what can't be made anew at each replay, and what to write."""
    return (
        f"the compiled function returns a {kind}, which would hold what was computed while tracing; return arrays and "
        f"numbers, in tuples, lists and dicts, and make the {kind} of them outside"
    )


def iterator_argument(kind: str) -> str:
    """Return that an argument can be gone through only once, and what to write."""
    return f"a {kind} is no argument of a compiled function, which is run twice at first: pass list(...) of it"


def constant_written(line: str) -> str:
    """Return that an array outside a program was written into while it was traced, and what to write."""
    return (
        f"an array that the compiled function computes with, a constant of its program, was written into after it was "
        f"read, found at {line}; write into a copy, x = x.copy(), before each use"
    )


def kept_of_a_trace(name: str) -> str:
    """Return that a function keeps what it computes where a program can't put it, and what to write."""
    return (
        f"the compiled function keeps a tensor that it computes in {name!r}, where a program does not put it at later "
        "calls. Return it, or write it into a tensor that is there: x[...] = value, or x.data = value"
    )


def random_numbers() -> str:
    """Return that a function drew random numbers while it was traced, and what to write."""
    return (
        "the compiled function draws random numbers: its program would compute with those of the first call for good. "
        "Draw them outside, and pass them as an argument"
    )


def other_result(what: str, line: str, source: str) -> str:
    """Return that a program computes something else than the function, and at which line it does first."""
    if not line:
        return (
            f"{what} is another one when the function runs again: it draws random numbers, counts its calls, or "
            "decides by the type of what something else stands for while tracing. Pass such values as arguments, and "
            "return tuples, lists and dicts"
        )
    return f"{what} differs from what the function computes, first at `{line}`, from {source}; please report this"


def trained_eagerly(error: Exception) -> str:
    """Return that a training step can't be compiled, and why."""
    return f"the training step is not compiled: {error}. Pass compile=False if that is meant to be so"


def coupled(name: str, line: str) -> str:
    """Return which operation keeps a batch from being split, where, and what to write."""
    at = f" at {line}" if line else ""
    return (
        f"{name}{at} couples the samples, or can't be told apart from what does: with workers= every array argument of "
        "as many rows as the batch is split along them, and only sums and means may run over them. Compile without "
        "workers="
    )


def no_batch() -> str:
    """Return that there is no batch to split, and what to write."""
    return "workers= splits a batch, but no argument has rows; pass a batch that is not empty, or leave workers= out"


def wrong_workers(workers: Any, exact: bool) -> str:
    """Return why this number of workers can't be had, and what to write."""
    if exact:
        return "workers= adds up in another order than one pass over the batch; leave out exact=True"
    return f"workers must be a whole number, at least 1, or None for no threads; got {workers!r}"


def no_source(reasons: Mapping[str, str]) -> str:
    """Return which functions of a program can't be written as text, why, and what to do."""
    which = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return (
        f"the program can't be saved ({which}). Define the operation in a file, of NumPy's functions, "
        "module-level functions and small constants; what else it reads, let it take as an input"
    )


def not_a_module(path: Any) -> str:
    """Return that a program is saved as a Python module."""
    return f"a program is saved as a Python module, to a path that ends in .py, not {str(path)!r}"


def no_source_of_workers() -> str:
    """Return that a program that splits its batch has no text of its own, and what to do."""
    return (
        "a program for several workers is one for a tile and one for what follows, and threads; compile the function "
        "without workers= for its source, or see the tile's by .profile(...)"
    )


def not_callable(x: Any) -> str:
    """Return that what is to be compiled is no function."""
    return f"tg.compile takes a function, got {x!r:.60}; as a decorator it is @tg.compile or @tg.compile(exact=True)"


def saves_no_workers() -> str:
    """Return that a program that splits its batch can't be saved, and what to do."""
    return "a program for several workers can't be saved; compile the function without workers=, and save that"


def unsaved_result(x: Any) -> str:
    """Return that a result can't be written as text, and what to write."""
    return f"the function returns {x!r:.60}, which is not computed by the program and can't be saved; don't return it"


def not_traced(name: str) -> str:
    """Return that a compiled function has no program yet, and what to do."""
    return f"{name} has no program yet: call it once with the arguments that its program is to be for"


def no_program(name: str, arguments: str) -> str:
    """Return that no program of a compiled function is for such arguments, and what to do."""
    return f"{name} has no program for ({arguments}), or none that holds for these values: call it with them once first"
