"""Convolution, pooling and windows against PyTorch and NumPy, to second order; what they refuse, and how."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from by_loops import overlap_add
from hypothesis import assume, given
from hypothesis import strategies as st
from looped import looped
from optional import pytorch
from slopes import leaf, slope

import tinygrad_nn as tg

Numbers = tuple[int, ...]


def drawn(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


# ---- against PyTorch, to second order ----


@dataclass(frozen=True)
class Geometry:
    """A kernel over so many spatial axes, and what it slides over."""

    lengths: Numbers
    kernel: Numbers
    stride: Numbers
    padding: Numbers
    dilation: Numbers

    @property
    def ndim(self) -> int:
        return len(self.lengths)


@st.composite
def geometries(draw: Any, largest_padding: int = 2, largest_dilation: int = 2) -> Geometry:
    """Return a geometry in which the kernel fits; a pool's padding is at most half of the kernel."""
    ndim = draw(st.integers(1, 3))

    def numbers(low: int, high: int) -> Numbers:
        return tuple(draw(st.lists(st.integers(low, high), min_size=ndim, max_size=ndim)))

    kernel, stride, dilation = numbers(1, 4 - ndim // 3), numbers(1, 3), numbers(1, largest_dilation)
    padding = tuple(min(p, largest_padding) for p in numbers(0, 2))
    if largest_padding == 1:
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel))
    more = numbers(0, 4)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    lengths = tuple(max(1, span - 2 * p) + m for span, p, m in zip(spans, padding, more))
    return Geometry(lengths, kernel, stride, padding, dilation)


def both_orders(ours: Any, theirs: Any, arrays: list[Any]) -> None:
    """Hold values, gradients, and the gradients of a curved function of the gradients against PyTorch's."""
    torch = pytorch()
    mine = [leaf(a) for a in arrays]
    known = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*known)
    assert y.shape == tuple(z.shape)
    close(y.data, z.detach().numpy())
    g = drawn(*y.shape, seed=1)
    first = tg.autograd.grad(y, mine, tg.tensor(g), create_graph=True)
    right = torch.autograd.grad(z, known, torch.tensor(g), create_graph=True)
    for a, b in zip(first, right):
        assert a is not None
        close(a.data, b.detach().numpy())
    linear = [drawn(*a.shape, seed=2) for a in arrays]
    total = sum((a * a * v).sum() for a, v in zip(first, linear) if a is not None)
    curved = sum((b * b * torch.tensor(v)).sum() for b, v in zip(right, linear))
    second = tg.autograd.grad(total, mine, allow_unused=True)
    expected = torch.autograd.grad(curved, known, allow_unused=True)
    for c, d, a in zip(second, expected, arrays):
        zero = np.zeros_like(a)
        np.testing.assert_allclose(
            zero if c is None else c.data, zero if d is None else d.numpy(), rtol=1e-9, atol=1e-9
        )


channels = st.integers(1, 5)


@given(geometries(), st.integers(1, 2), channels, channels, st.integers(1, 3), st.booleans(), st.booleans())
def test_convolution_is_pytorchs(
    shape: Geometry, batch: int, inner: int, outer: int, groups: int, bias: bool, unbatched: bool
) -> None:
    functional = pytorch().nn.functional
    x = drawn(*([] if unbatched else [batch]), groups * inner, *shape.lengths)
    weight = drawn(groups * outer, inner, *shape.kernel)
    arrays = [x, weight, drawn(groups * outer)] if bias else [x, weight]
    options = {"stride": shape.stride, "padding": shape.padding, "dilation": shape.dilation, "groups": groups}
    name = f"conv{shape.ndim}d"
    ours, theirs = getattr(tg, name), getattr(functional, name)
    both_orders(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), arrays)


@given(geometries(), st.integers(1, 2), channels, channels, st.integers(1, 3), st.booleans(), st.data())
def test_transposed_convolution_is_pytorchs(
    shape: Geometry, batch: int, inner: int, outer: int, groups: int, bias: bool, data: Any
) -> None:
    functional = pytorch().nn.functional
    more = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(shape.stride, shape.dilation))
    fields = zip(shape.lengths, shape.stride, shape.padding, shape.dilation, shape.kernel, more)
    assume(all((n - 1) * s - 2 * p + d * (k - 1) + q >= 0 for n, s, p, d, k, q in fields))
    arrays = [drawn(batch, groups * inner, *shape.lengths), drawn(groups * inner, outer, *shape.kernel)]
    arrays += [drawn(groups * outer)] if bias else []
    options = {
        "stride": shape.stride, "padding": shape.padding, "output_padding": more,
        "groups": groups, "dilation": shape.dilation,
    }  # fmt: skip
    name = f"conv_transpose{shape.ndim}d"
    ours, theirs = getattr(tg, name), getattr(functional, name)
    both_orders(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), arrays)


@given(geometries(largest_padding=1), st.booleans(), st.booleans())
def test_max_pool_is_pytorchs(shape: Geometry, ceil_mode: bool, unbatched: bool) -> None:
    functional = pytorch().nn.functional
    x = drawn(*([2] if unbatched else [2, 1]), *shape.lengths)
    options: dict[str, Any] = {"kernel_size": shape.kernel, "stride": shape.stride, "padding": shape.padding}
    options |= {"dilation": shape.dilation, "ceil_mode": ceil_mode}
    name = f"max_pool{shape.ndim}d"
    ours, theirs = getattr(tg, name), getattr(functional, name)
    assume(np.isfinite(ours(x, **options).data).all())  # with a dilation, a window can lie in the padding alone
    both_orders(lambda a: ours(a, **options) ** 3, lambda a: theirs(a, **options) ** 3, [x])


@given(geometries(largest_padding=1, largest_dilation=1), st.booleans(), st.booleans(), st.sampled_from([None, 3]))
def test_avg_pool_is_pytorchs(shape: Geometry, ceil_mode: bool, count_include_pad: bool, divisor: Any) -> None:
    functional = pytorch().nn.functional
    options: dict[str, Any] = {"kernel_size": shape.kernel, "stride": shape.stride, "padding": shape.padding}
    options |= {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    if shape.ndim > 1:
        options["divisor_override"] = divisor
    # PyTorch's backward in three dimensions refuses a kernel longer than the input without its padding.
    assume(shape.ndim < 3 or all(k <= n for k, n in zip(shape.kernel, shape.lengths)))
    name = f"avg_pool{shape.ndim}d"
    ours, theirs = getattr(tg, name), getattr(functional, name)
    both_orders(lambda a: ours(a, **options) ** 3, lambda a: theirs(a, **options) ** 3, [drawn(2, 1, *shape.lengths)])


@pytest.mark.parametrize(("kernel", "stride"), [(4, None), (4, 2), (6, 4), ((4, 2), None), (5, 2), (4, 1)])
def test_by_ceil_mode_a_window_longer_than_the_input_is_pytorchs(kernel: Any, stride: Any) -> None:
    """Where PyTorch refuses one, so do we."""
    functional = pytorch().nn.functional
    for name in ("max_pool2d", "avg_pool2d"):
        ours, theirs = getattr(tg, name), getattr(functional, name)
        x, options = drawn(2, 1, 3, 3), {"kernel_size": kernel, "stride": stride, "ceil_mode": True}
        try:
            theirs(pytorch().tensor(x), **options)
        except RuntimeError:
            with pytest.raises(ValueError, match="entries of spatial axis 0, which has 3"):
                ours(x, **options)
        else:
            mine, their = (lambda a, f=f, o=options: f(a, **o) ** 3 for f in (ours, theirs))
            both_orders(mine, their, [x])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "dilation"), [((3, 4), 1), ((2, 3), (3, 1)), ((1, 2), 2)])
def test_padding_by_name_is_pytorchs(padding: str, kernel: Numbers, dilation: Any) -> None:
    functional = pytorch().nn.functional
    x, weight = drawn(1, 2, 6, 5), drawn(3, 2, *kernel)
    if padding == "valid":
        x = drawn(1, 2, 8, 8)
    options = {"padding": padding, "dilation": dilation}
    assert padding == "valid" or tg.conv2d(x, weight, **options).shape[2:] == x.shape[2:]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths", UserWarning)
        both_orders(lambda *a: tg.conv2d(*a, **options), lambda *a: functional.conv2d(*a, **options), [x, weight])


def test_the_third_derivative_is_pytorchs() -> None:
    torch = pytorch()
    arrays = [drawn(2, 2, 5, 4), drawn(4, 1, 3, 2), drawn(4), drawn(4, 2, 2, 2)]

    def value(library: Any, x: Any, weight: Any, bias: Any, back: Any) -> Any:
        y = library.conv2d(x, weight, bias, stride=(2, 1), padding=1, groups=2)
        return (library.conv_transpose2d(y, back, stride=2) ** 3).sum()

    def third(library: Any, grad: Any, inputs: Any) -> list[Any]:
        total = value(library, *inputs)
        for _ in range(3):
            total = sum((g * g).sum() for g in grad(total, inputs, create_graph=True))
        return list(grad(total, inputs))

    ours = third(tg, tg.autograd.grad, list(map(leaf, arrays)))
    known = third(torch.nn.functional, torch.autograd.grad, [torch.tensor(a, requires_grad=True) for a in arrays])
    for a, b in zip(ours, known):
        np.testing.assert_allclose(a.data / np.abs(b.numpy()).max(), b.numpy() / np.abs(b.numpy()).max(), atol=1e-10)


# ---- which way the sums are taken makes no difference ----

FORMS = {
    "rows of the kernel": ((2, 8, 6, 5), (8, 8, 3, 2)),
    "all of the kernel": ((2, 1, 6, 5), (8, 1, 3, 2)),
    "few results": ((2, 8, 6, 5), (2, 8, 3, 2)),
    "one channel each": ((2, 4, 6, 5), (4, 1, 3, 2)),
}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_transpose_of_its_gradients(form: str, stride: int) -> None:
    """<g, conv(x, w)> = <conv_transpose(g, w), x> = <gradient of the weight, w>."""
    x_shape, w_shape = FORMS[form]
    groups = x_shape[1] // w_shape[1]
    x, w = leaf(drawn(*x_shape)), leaf(drawn(*w_shape, seed=1))
    y = tg.conv2d(x, w, stride=stride, padding=1, groups=groups)
    g = drawn(*y.shape, seed=2)
    y.backward(tg.tensor(g))
    total = float(np.sum(g * y.data))
    close([np.sum(slope(x) * x.data), np.sum(slope(w) * w.data)], [total, total])
    more = [(n + 2 - k) % stride for n, k in zip(x_shape[2:], w_shape[2:])]
    back = tg.conv_transpose2d(g, w.data, stride=stride, padding=1, output_padding=more, groups=groups)
    close(back.data, slope(x))


# ---- dtypes and layout ----


@pytest.mark.parametrize("groups", [1, 2])
def test_float32_stays_float32_through_a_network(groups: int) -> None:
    x, w = leaf(drawn(2, 4, 6, 6), "float32"), leaf(drawn(4, 4 // groups, 3, 3), "float32")
    b = leaf(drawn(4), "float32")
    y = tg.conv2d(x, w, b, padding=1, groups=groups)
    z = tg.avg_pool2d(tg.max_pool2d(tg.relu(y), 2), 3, padding=1, count_include_pad=False)
    assert (y.dtype, z.dtype) == (np.float32, np.float32)
    firsts = tg.autograd.grad(z.sum(), [x, w, b], create_graph=True)
    seconds = tg.autograd.grad(sum((g * g).sum() for g in firsts if g is not None), [x, w], allow_unused=True)
    assert {g.dtype.name for g in (*firsts, *seconds) if g is not None} == {"float32"}


def test_float16_is_added_up_in_float32() -> None:
    ones = np.ones((1, 3000, 1), "float16")
    assert tg.conv1d(ones, np.ones((1, 3000, 1), "float16")).item() == 3000
    long = np.ones((1, 1, 3000), "float16")
    assert tg.avg_pool1d(long, 3000).item() == 1
    assert tg.conv1d(long, long).item() == 3000
    assert tg.overlap_add(np.ones((3000, 3000), "float16")).data.max() == 3000
    w = leaf(np.ones((1, 1, 1), "float16"))
    tg.conv1d(long, w).sum().backward()
    assert slope(w).item() == 3000


@pytest.mark.parametrize("name", ["conv2d", "max_pool2d", "avg_pool2d"])
def test_integers_are_computed_with(name: str) -> None:
    x = np.arange(32).reshape(1, 2, 4, 4)
    second = np.array([[[[1, 2]], [[3, 4]]]]) if name == "conv2d" else 2
    y, e = getattr(tg, name)(x, second), getattr(tg, name)(x.astype(float), second)
    assert y.dtype == (float if name == "avg_pool2d" else int)
    np.testing.assert_array_equal(y.data, e.data)


def test_results_are_no_windows_into_what_was_given() -> None:
    """A kernel of one entry reads its input as it is, but the result is memory of its own."""
    x = np.ones((1, 1, 3, 3))
    for y in (tg.conv2d(x, np.ones((1, 1, 1, 1))), tg.max_pool2d(x, 1), tg.avg_pool2d(x, 1)):
        assert not np.may_share_memory(x, y.data)


# ---- subgradients, infinities and masks ----


def test_tied_entries_of_a_pool_share_the_gradient_as_in_max() -> None:
    x = np.array([[[[1.0, 1.0, 0.0, 3.0], [1.0, 0.0, 3.0, 3.0]]]])
    pooled, whole = leaf(x), leaf(x)
    tg.max_pool2d(pooled, 2).sum().backward()
    tiles = whole.reshape(1, 1, 1, 2, 2, 2)
    tg.max(tiles, axis=(3, 5)).sum().backward()
    np.testing.assert_array_equal(slope(pooled), slope(whole))
    third = 1 / 3
    np.testing.assert_allclose(slope(pooled)[0, 0], [[third, third, 0, third], [third, 0, third, third]], rtol=1e-7)


def test_more_ties_than_a_byte_counts_share_the_gradient() -> None:
    x = tg.ones((1, 1, 17, 17), requires_grad=True)
    tg.max_pool2d(x, 16, stride=1).sum().backward()
    windows = np.minimum(np.arange(17), 1) + np.minimum(np.arange(17)[::-1], 1)  # that hold a row, or a column
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data[0, 0], np.multiply.outer(windows, windows) / 256)


def test_an_infinite_cotangent_reaches_the_largest_entry_alone() -> None:
    x = leaf([[[1.0, 2.0, 0.0, 5.0]]])
    tg.max_pool1d(x, 2).backward(tg.tensor([[[np.inf, 1.0]]]))
    np.testing.assert_array_equal(slope(x), [[[0, np.inf, 0, 1]]])


def test_a_window_with_a_nan_is_nan_and_no_other() -> None:
    x = leaf([[[1.0, np.nan, 3.0, 4.0, 9.0]]])
    y = tg.max_pool1d(x, 2)
    np.testing.assert_array_equal(y.data, [[[np.nan, 4.0]]])
    y.sum().backward()
    np.testing.assert_array_equal(slope(x), [[[0, 0, 0, 1, 0]]])


@pytest.mark.parametrize("layer", ["conv", "max_pool", "avg_pool"])
def test_an_entry_between_the_windows_stays_out_of_the_gradient(layer: str) -> None:
    """log of a negative number is nan, but no window reads it: its derivative is 0, not 0 * nan."""
    x = leaf([[[1.0, 2.0, -1.0, 3.0, 4.0]]])
    with np.errstate(invalid="ignore"):
        y = x * np.log(x)
    getattr(tg, f"{layer}1d")(y, np.ones((1, 1, 2)) if layer == "conv" else 2, stride=3).sum().backward()
    assert np.isfinite(slope(x)).all()
    assert slope(x)[0, 0, 2] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_image_behind_a_mask_stays_out_of_the_gradient(bad: float) -> None:
    x, good = drawn(3, 2, 4, 4), None
    chosen = np.array([True, False, True])[:, None, None, None]
    for fill in (1.0, bad):
        x[1] = fill
        images, w, b = leaf(x), leaf(drawn(3, 2, 3, 3, seed=1)), leaf(drawn(3))
        with np.errstate(invalid="ignore"):
            y = np.where(chosen, tg.conv2d(images, w, b, padding=1) ** 2, 0.0).sum()
        y.backward()
        found = [slope(images), slope(w), slope(b)]
        for a, e in zip(found, good or found):
            np.testing.assert_allclose(a, e, rtol=1e-12, atol=1e-12)
        good = good or found


# ---- windows ----


@st.composite
def slid(draw: Any) -> tuple[Numbers, Numbers, Any]:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    axes = tuple(draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=3)))
    room, window = list(shape), []
    for axis in axes:
        window.append(draw(st.integers(1, room[axis])))
        room[axis] -= window[-1] - 1
    return shape, tuple(window), tuple(a - len(shape) * draw(st.booleans()) for a in axes)


@given(slid())
def test_overlap_add_is_the_transpose_of_the_view(case: tuple[Numbers, Numbers, Any]) -> None:
    shape, window, axis = case
    x = leaf(drawn(*shape))
    y: Any = np.lib.stride_tricks.sliding_window_view(x, window, axis)
    np.testing.assert_array_equal(y.data, np.lib.stride_tricks.sliding_window_view(x.data, window, axis))
    g = drawn(*y.shape, seed=1)
    y.backward(tg.tensor(g))
    close(slope(x), overlap_add(g, axis))
    added = leaf(g)
    z = tg.overlap_add(added, axis)
    close(z.data, overlap_add(g, axis))
    z.backward(tg.tensor(x.data))
    np.testing.assert_array_equal(slope(added), y.data)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_sequences_are_convolved_as_numpy_does(name: str, mode: str, n: int, m: int, complex_: bool) -> None:
    a, v = drawn(n), drawn(m, seed=1)
    if complex_:
        a, v = a + 1j * drawn(n, seed=2), v + 1j * drawn(m, seed=3)
    function = getattr(np, name)
    y = function(tg.tensor(a), v, mode)
    assert y.dtype == function(a, v, mode).dtype
    close(y.data, looped(function)(a, v, mode))


# ---- errors ----

IMAGE, WEIGHT = np.ones((2, 4, 5, 6)), np.ones((3, 4, 3, 3))
REFUSED: dict[str, tuple[Any, str]] = {
    "too few axes": (lambda: tg.conv2d(IMAGE[0, 0], WEIGHT), r"\(N, C, H, W\) or \(C, H, W\), got \(5, 6\)"),
    "weight's axes": (lambda: tg.conv2d(IMAGE, WEIGHT[0]), r"shape \(O, C / groups, \*kernel\)"),
    "no kernel": (lambda: tg.conv2d(IMAGE, WEIGHT[:, :, :0]), r"the kernel with 2 axes"),
    "channels": (lambda: tg.conv2d(IMAGE, WEIGHT[:, :2]), r"groups=1 takes 2 channels, the input has 4"),
    "channels of groups": (lambda: tg.conv2d(IMAGE, WEIGHT[:2], groups=2), r"groups=2 takes 8 channels"),
    "groups": (lambda: tg.conv2d(IMAGE, WEIGHT[:, :2], groups=2), r"groups=2 must divide"),
    "groups below 1": (lambda: tg.conv2d(IMAGE, WEIGHT, groups=0), r"groups=0"),
    "bias": (lambda: tg.conv2d(IMAGE, WEIGHT, np.ones(4)), r"bias of shape \(3,\)"),
    "long kernel": (lambda: tg.conv2d(IMAGE[..., :2, :], WEIGHT), r"spans 3 entries of spatial axis 0.*: 1 too few"),
    "long by dilation": (lambda: tg.conv2d(IMAGE, WEIGHT, dilation=(1, 3), padding=0), r"spans 7 .* axis 1.*dilation"),
    "stride": (lambda: tg.conv2d(IMAGE, WEIGHT, stride=0), r"stride is 0; give one integer, or 2, of at least 1"),
    "padding": (lambda: tg.conv2d(IMAGE, WEIGHT, padding=(1, 1, 1)), r"padding is \(1, 1, 1\); give one integer, or 2"),
    "negative padding": (lambda: tg.conv1d(IMAGE[0, :, :3], WEIGHT[:1, 0], padding=-1), r"one integer of at least 0"),
    "same and stride": (lambda: tg.conv2d(IMAGE, WEIGHT, padding="same", stride=2), r"with stride 1 'same'"),
    "padding's name": (
        lambda: tg.conv2d(IMAGE, WEIGHT, padding="full"),
        r"'valid', or with stride 1 'same', not 'full'",
    ),
    "transposed channels": (lambda: tg.conv_transpose2d(IMAGE, WEIGHT), r"takes 3 channels, the input has 4"),
    "output padding": (
        lambda: tg.conv_transpose2d(IMAGE[:, :3], WEIGHT, output_padding=1),
        r"less than the stride or the dilation",
    ),
    "nothing left": (lambda: tg.conv_transpose2d(IMAGE[:, :3, :1], WEIGHT, padding=2), r"give less padding"),
    "pool's padding": (lambda: tg.max_pool2d(IMAGE, 2, padding=2), r"more than half"),
    "pool's kernel": (lambda: tg.avg_pool2d(IMAGE, 7), r"spans 7 entries of spatial axis 0"),
    "pool's axes": (lambda: tg.max_pool3d(IMAGE[0, 0], 2), r"\(N, C, D, H, W\)"),
    "odd axes": (lambda: tg.overlap_add(np.ones((2, 3, 4))), r"name the axis that slides"),
    "window": (lambda: tg.sliding_window_view(np.ones(3), 4), r"cannot be larger(?s:.*)pad the input first"),
    "mode": (lambda: tg.convolve(np.ones(2), np.ones(2), "half"), r"'full', 'same' or 'valid', not 'half'"),
    "matrix": (lambda: np.correlate(tg.ones((2, 2)), np.ones(2)), r"t\.ravel\(\) is one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_remedy(name: str) -> None:
    call, text = REFUSED[name]
    with pytest.raises(ValueError, match=text) as caught:
        call()
    assert any("in tinygrad_nn operation" in note for note in caught.value.__notes__)


def test_complex_images_have_no_largest_entries() -> None:
    with pytest.raises(TypeError, match="have no order"):
        tg.max_pool1d(np.ones((1, 1, 4)) * 1j, 2)
