"""PyTorch's modules, tensors and functions, handed over: equal outputs and gradients on both sides of the seam."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS

torch: Any = pytorch()
from tinygrad_nn.interop.torch import _LAYERS, from_torch, to_torch  # noqa: E402

pytestmark = pytest.mark.slow

ROWS, IMAGES, SEQUENCES = (4, 6), (2, 4, 8, 8), (3, 5, 6)
# Each layer with its settings in PyTorch's names, and an input's shape.
LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
    ("Linear", (6, 3), {}, ROWS), ("Linear", (6, 3), {"bias": False}, ROWS), ("Flatten", (), {}, IMAGES),
    ("Flatten", (), {"start_dim": 2, "end_dim": -1}, IMAGES), ("Dropout", (0.0,), {}, ROWS),
    ("Conv1d", (4, 6, 3), {"padding": 1, "stride": 2}, (2, 4, 9)),
    ("Conv2d", (4, 6, (3, 2)), {"padding": 1, "groups": 2, "dilation": 2}, IMAGES),
    ("Conv2d", (4, 6, 3), {"bias": False, "padding": "same"}, IMAGES),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect"}, IMAGES),
    ("Conv1d", (4, 6, 2), {"padding": "same", "padding_mode": "circular"}, (2, 4, 9)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, IMAGES),
    ("BatchNorm1d", (6,), {"momentum": None}, ROWS), ("BatchNorm1d", (6,), {"affine": False, "eps": 1e-3}, ROWS),
    ("BatchNorm2d", (4,), {"momentum": 0.3}, IMAGES), ("BatchNorm1d", (6,), {"track_running_stats": False}, ROWS),
    ("GroupNorm", (2, 4), {}, IMAGES), ("GroupNorm", (2, 4), {"affine": False}, IMAGES), ("LayerNorm", (6,), {}, ROWS),
    ("LayerNorm", ([8, 8],), {"bias": False}, IMAGES), ("LayerNorm", (6,), {"elementwise_affine": False}, ROWS),
    ("RMSNorm", (6,), {"eps": 1e-5}, ROWS), ("RMSNorm", (6,), {}, ROWS), ("MaxPool1d", (2,), {}, (2, 4, 9)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, IMAGES), ("AvgPool1d", (2,), {}, (2, 4, 9)),
    ("AvgPool2d", (3,), {"padding": 1, "count_include_pad": False}, IMAGES), ("AdaptiveAvgPool1d", (3,), {}, (2, 4, 9)),
    ("AdaptiveAvgPool2d", ((2, 3),), {}, IMAGES), ("RNN", (6, 4), {"nonlinearity": "relu", "num_layers": 2}, SEQUENCES),
    ("GRU", (6, 4), {"batch_first": True, "bidirectional": True}, SEQUENCES),
    ("LSTM", (6, 4), {"bias": False}, SEQUENCES),
    ("MultiheadAttention", (6, 2), {"batch_first": True}, [SEQUENCES] * 3),
    ("MultiheadAttention", (6, 2), {"kdim": 6, "vdim": 6, "bias": False, "batch_first": True}, [SEQUENCES] * 3),
    ("MultiheadAttention", (6, 2), {"kdim": 3, "vdim": 2, "batch_first": True}, [SEQUENCES, (3, 5, 3), (3, 5, 2)]),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0), {"batch_first": True, "activation": "gelu"}, SEQUENCES),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0), {"norm_first": True, "bias": False, "layer_norm_eps": 1e-3}, SEQUENCES),
    *[(name, (), {}, ROWS) for name in ("Identity", "ReLU", "SiLU", "Sigmoid", "Tanh", "Softplus", "GELU")],
    ("GELU", (), {"approximate": "tanh"}, ROWS), ("Softplus", (2.0, 5.0), {}, ROWS), ("LeakyReLU", (0.2,), {}, ROWS),
    ("ELU", (0.7,), {}, ROWS), ("Softmax", (0,), {}, ROWS), ("LogSoftmax", (-1,), {}, ROWS),
]  # fmt: skip


def drawn(shapes: Any) -> list[np.ndarray]:
    each = shapes if isinstance(shapes, list) else [shapes]
    return [np.random.default_rng(i).normal(size=shape) for i, shape in enumerate(each)]


def parts(outputs: Any) -> list[Any]:
    if isinstance(outputs, (tuple, list)):
        return [part for each in outputs for part in parts(each)]
    return [] if outputs is None else [outputs]


def by_torch(module: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Return outputs, gradients of inputs and parameters, and buffers."""
    dtype = next((t.dtype for t in (*module.parameters(), *module.buffers())), torch.float64)
    inputs = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in arrays]
    outputs = parts(module(*inputs))
    sum((y * y * torch.arange(1, 1 + y.numel()).reshape(y.shape)).sum() for y in outputs).backward()
    free = [p for p in module.parameters() if p.requires_grad]
    return [t.detach().numpy() for t in (*outputs, *[p.grad for p in (*inputs, *free)], *module.buffers())]


def by_us(module: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    dtype = next((t.dtype for t in (*module.parameters(), *module.buffers())), np.float64)
    inputs = [tg.tensor(x.astype(dtype), requires_grad=True) for x in arrays]
    outputs = parts(module(*inputs))
    total: Any = sum((y * y * np.arange(1, 1 + y.size).reshape(y.shape)).sum() for y in outputs)
    total.backward()
    free = [p for p in module.parameters() if p.requires_grad]
    grads: list[Any] = [p.grad for p in (*inputs, *free)]
    return [t.data for t in (*outputs, *grads, *module.buffers())]


def assert_alike(first: list[np.ndarray], second: list[np.ndarray], tolerance: float) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "args", "settings", "shapes"), LAYERS)
def test_a_layer_computes_the_same_on_both_sides(name: str, args: Any, settings: Any, shapes: Any, dtype: str) -> None:
    theirs = getattr(torch.nn, name)(*args, **settings).to(getattr(torch, dtype))
    with torch.no_grad():
        for i, p in enumerate(theirs.parameters()):
            p.copy_(torch.from_numpy(np.random.default_rng(i).normal(size=p.shape) / 2))
    arrays, tolerance = drawn(shapes), 1e-9 if dtype == "float64" else 2e-3
    ours = from_torch(theirs)
    back = to_torch(ours)
    assert type(ours) is getattr(tg.nn, name)
    assert str(back) == str(theirs)
    expected = by_torch(theirs, arrays)
    assert_alike(by_us(ours, arrays), expected, tolerance)
    assert_alike(by_torch(back, arrays), expected, tolerance)


def test_a_softplus_without_a_threshold_keeps_its_digits_there() -> None:
    ours, x = tg.nn.Softplus(2.0), np.linspace(-5, 25, 301)
    np.testing.assert_allclose(to_torch(ours)(torch.from_numpy(x)).numpy(), ours(x).data, rtol=1e-14)


def test_every_layer_has_a_case() -> None:
    assert {name for name, *_ in LAYERS} == _LAYERS.keys() - {"Embedding"}


def test_tests_over_all_operations_leave_out_that_of_the_bridge() -> None:
    from cases import NAMES  # not at the top: the bridge is imported before the cases are collected

    assert "function of PyTorch" in OPERATIONS.keys() - NAMES


def test_files_go_both_ways(tmp_path: Any) -> None:
    from safetensors.torch import load_file, save_file

    theirs = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    ours = from_torch(torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)))
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours.load_state_dict(tg.load(tmp_path / "theirs.safetensors"))
    expected = by_torch(theirs, drawn(ROWS))
    assert_alike(by_us(ours, drawn(ROWS)), expected, 1e-4)
    tg.save(tmp_path / "ours.safetensors", ours)
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    theirs.zero_grad()
    ours.zero_grad()
    assert_alike(by_torch(theirs, drawn(ROWS)), by_us(ours, drawn(ROWS)), 1e-4)


def test_sequentials_embeddings_frozen_and_tied_layers() -> None:
    shared = torch.nn.Linear(5, 5)
    theirs = torch.nn.Sequential(
        torch.nn.Embedding(10, 5, padding_idx=0),
        torch.nn.Sequential(shared, torch.nn.Dropout(0.3), torch.nn.ReLU()),
        shared,
    )
    theirs.append(torch.nn.Linear(5, 5))
    theirs[3].weight = shared.weight
    theirs[0].weight.requires_grad = False
    theirs[1].eval()
    ours = from_torch(theirs)
    assert ours[1][0] is ours[2]
    assert ours[3].weight is ours[2].weight
    assert [p.requires_grad for p in ours.parameters()] == [False, True, True, True]
    assert (ours.training, ours[1].training, ours[1][1].p) == (True, False, 0.3)
    back = to_torch(ours)
    assert str(back) == str(theirs)
    assert back[1][0] is back[2]
    assert back[3].weight is back[2].weight
    indices = np.array([[1, 0, 3]])
    expected = theirs(torch.from_numpy(indices)).detach().numpy()
    np.testing.assert_allclose(ours(indices).data, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back(torch.from_numpy(indices)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_what_has_no_counterpart_is_refused() -> None:
    class Own(torch.nn.Module):  # type: ignore[misc]
        pass

    with pytest.raises(
        TypeError, match=r"Own can't be converted, only .* layers that both have: .*, Linear, .*, RNN; "
    ):
        from_torch(torch.nn.Sequential(Own()))
    with pytest.raises(TypeError, match="DenseNetwork can't be converted"):
        to_torch(tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "tanh"}]))
    with pytest.raises(ValueError, match=r"Embedding with max_norm=1\.0 has no counterpart here"):
        from_torch(torch.nn.Embedding(3, 2, max_norm=1.0))
    hooked = torch.nn.Sequential(torch.nn.Tanh())
    hooked[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(ValueError, match=r"Tanh with _forward_hooks=.* has no counterpart here"):
        from_torch(hooked)
    with pytest.raises(ValueError, match=r"activation is .GELU\(.*; write 'relu', 'gelu' or a function"):
        from_torch(torch.nn.TransformerEncoderLayer(4, 2, activation=torch.nn.GELU()))
    for made, softmax in ((from_torch, torch.nn.Softmax()), (to_torch, tg.nn.Softmax((0, 1)))):
        with pytest.raises(
            ValueError, match=r"Softmax with dim=(None|\(0, 1\)) has no counterpart there; pass one axis"
        ):
            made(softmax)
    for made in (from_torch, to_torch):
        with pytest.raises(TypeError, match="a module, tensor or function is needed, got 3 of type int"):
            made(3)


def test_tensors_share_their_memory_and_gradients_are_not_lost() -> None:
    ours = tg.tensor([1.0, 2.0])
    for theirs in (to_torch(ours), torch.from_dlpack(ours)):
        theirs[0] += 1
    assert ours.tolist() == [3.0, 2.0]
    there = torch.arange(3.0)
    here = from_torch(there)
    there[2] = 7
    assert here.tolist() == [0.0, 1.0, 7.0]
    same: Any = ours
    assert np.shares_memory(np.from_dlpack(same), ours.data)
    recording: Any = tg.tensor([1.0], requires_grad=True)
    for made in (to_torch, torch.from_dlpack, np.from_dlpack):
        with pytest.raises(tg.errors.DetachedError, match=r"would lose the gradient .* t\.detach\(\)"):
            made(recording)
    with pytest.raises(tg.errors.GradientError, match=r"would be lost here; write from_torch\(t\.detach\(\)\)"):
        from_torch(torch.ones(1, requires_grad=True))


def test_memory_that_the_other_side_cannot_have_is_refused() -> None:
    ours: list[Any] = [tg.tensor([1.0, 2.0])[::-1], tg.broadcast_to(2.0, (3,))]
    for made, t in itertools.product((to_torch, torch.from_dlpack), ours):  # PyTorch aborts, and writes there
        with pytest.raises(BufferError, match=r"no negative strides, and no read-only memory; write t\.copy\(\)"):
            made(t)
        assert made(t.copy()).tolist() == t.tolist()
    for there in (torch.ones(2).bfloat16(), torch.eye(2).to_sparse(), torch.nn.Linear(1, 1).bfloat16()):
        with pytest.raises(TypeError, match=r"NumPy has no such array: write t\.float\(\), t\.cpu\(\) or"):
            from_torch(there)


def test_derivatives_of_any_order_come_through_a_function_of_pytorchs() -> None:
    f = from_torch(lambda a, b: (torch.sin(a) * b, (a * b).sum()))
    a, b = np.array([0.3, 1.2]), np.array([2.0, -1.0])

    def through(a: Any, b: Any) -> Any:
        y, z = f(a, b)
        return (y * y).sum() * z

    def here(a: Any, b: Any) -> Any:
        return ((np.sin(a) * b) ** 2).sum() * (a * b).sum()

    for derivative in (tg.grad, tg.hessian):
        found, expected = derivative(through, (0, 1))(a, b), derivative(here, (0, 1))(a, b)
        np.testing.assert_allclose(tg.ravel(found).data, tg.ravel(expected).data, rtol=1e-12)
    assert tg.gradcheck(lambda a: f(a, b)[0].sum(), tg.tensor(a, requires_grad=True))
    np.testing.assert_allclose(tg.jvp(f, (a, b), (b, a))[1][1].data, (b * b + a * a).sum())
    only_first = tg.grad(lambda a: f(a, b)[0].sum())(a)
    np.testing.assert_allclose(only_first.data, np.cos(a) * b)


def test_functions_have_settings_by_name_and_write_into_nothing_of_the_other_side() -> None:
    a = tg.tensor([1.0, 2.0], requires_grad=True)
    np.testing.assert_allclose(from_torch(torch.softmax)(a, dim=0).data, tg.softmax(a).data)
    np.testing.assert_allclose(to_torch(tg.softmax)(torch.tensor([1.0, 2.0]), axis=0).numpy(), tg.softmax(a).data, 1e-6)
    b = tg.tensor([1.0, 2.0])
    assert from_torch(lambda x: x.add_(1))(b).tolist() == [2.0, 3.0]
    assert b.tolist() == [1.0, 2.0]
    t = torch.ones(2, requires_grad=True)
    to_torch(lambda x: x[::-1])(t).dot(torch.tensor([1.0, 2.0])).backward()
    assert t.grad.tolist() == [2.0, 1.0]
    refused = pytest.raises(tg.errors.GradientError, match="inside another argument, or by name, gets no gradient")
    with refused:
        to_torch(lambda d: d["a"] * 2)({"a": t})
    with refused:
        to_torch(np.multiply)(t, x2=t)
    with refused:
        from_torch(torch.mul)(a, other=a)
    for returned in (3.0, {"a": torch.ones(1)}, None):
        with pytest.raises(TypeError, match=r"returned .*; let it return one tensor, or several"):
            from_torch(lambda x, returned=returned: returned)(a)


def test_a_function_of_pytorchs_is_differentiated_wherever_it_is_called() -> None:
    f, w = from_torch(lambda x, w: torch.tanh(x * w)), tg.tensor([0.5, -1.0], requires_grad=True)
    right = 2 * (1 - np.tanh(2 * w.data) ** 2)
    with torch.inference_mode():
        np.testing.assert_allclose(tg.grad(lambda w: f([2.0, 2.0], w).sum())(w).data, right)
    with torch.no_grad():
        np.testing.assert_allclose(tg.grad(lambda w: f([2.0, 2.0], w).sum())(w).data, right)
    compiled = tg.compile(tg.value_and_grad(lambda w: f([2.0, 2.0], w).sum()))
    for _ in range(2):
        np.testing.assert_allclose(compiled(w.data)[1].data, right)
    there_and_back = from_torch(to_torch(lambda x: np.sin(x) * 2))
    np.testing.assert_allclose(tg.grad(there_and_back)(0.5).data, 2 * np.cos(0.5))


def test_a_function_of_pytorchs_that_would_lose_a_gradient_is_refused() -> None:
    x = np.ones((1, 2))
    layer = torch.nn.Linear(2, 1).double()
    with pytest.raises(tg.errors.GradientError, match="has parameters of PyTorch's that require grad"):
        from_torch(lambda t: layer(t))(x)
    with tg.no_grad():
        from_torch(lambda t: layer(t))(x)
    layer.requires_grad_(False)
    slope = tg.grad(lambda x: from_torch(lambda t: layer(t))(x).sum())(x)
    np.testing.assert_array_equal(slope.data, layer.weight.numpy())
    with pytest.raises(tg.errors.GradientError, match="computed other values in the backward pass"):
        tg.grad(lambda x: from_torch(lambda t: t * torch.rand(2))(x).sum())(x)


@pytest.mark.parametrize("function", [torch.linalg.svdvals, torch.linalg.eigvalsh, lambda t: torch.linalg.norm(t, 2)])
def test_a_function_of_pytorchs_may_round_otherwise_in_the_backward_pass(function: Any) -> None:
    f, x = from_torch(function), np.array([[2.0, 1.0, 0.3], [1.0, 3.0, -0.7], [0.3, -0.7, 1.1]])
    given = torch.tensor(x, requires_grad=True)
    function(given).sum().backward()
    np.testing.assert_allclose(tg.grad(lambda x: f(x).sum())(x).data, given.grad)


def test_a_layer_of_pytorchs_may_have_a_fast_path_without_gradients() -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval().requires_grad_(False)
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
    given = torch.tensor(x, requires_grad=True)
    (layer(given) ** 2).sum().backward()
    f = from_torch(lambda t: layer(t))
    np.testing.assert_allclose(tg.grad(lambda x: (f(x) ** 2).sum())(x).data, given.grad, rtol=0, atol=1e-4)
    layer.train()
    with pytest.raises(tg.errors.GradientError, match="computed other values in the backward pass"):
        tg.grad(lambda x: (f(x) ** 2).sum())(x)


def test_gradients_come_through_a_function_of_ours() -> None:
    layer: Any = tg.nn.Linear(3, 2, seed=0)
    f = to_torch(lambda x, scale, power: (layer(x) * scale, (x**power).sum(), np.argmax(x)))
    x = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    y, z, place = f(x, scale, 2)
    b = torch.tensor(layer.state_dict()["bias"])
    assert (place.item(), place.requires_grad) == (2, False)
    for _ in range(2):
        x.grad = scale.grad = None
        layer.zero_grad()
        ((y**2).sum() + z).backward(retain_graph=True)
        weight = torch.tensor(layer.weight.data, requires_grad=True)
        u, s = x.detach().clone().requires_grad_(), scale.detach().clone().requires_grad_()
        ((((u @ weight.T + b) * s) ** 2).sum() + (u**2).sum()).backward()
        np.testing.assert_allclose(x.grad.numpy(), u.grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(scale.grad.numpy(), s.grad.numpy(), rtol=1e-12)
        assert layer.weight.grad is not None
        np.testing.assert_allclose(layer.weight.grad.data, weight.grad.numpy(), rtol=1e-12)
    assert torch.autograd.gradcheck(
        to_torch(lambda a: np.sin(a) * a), torch.rand(3, dtype=torch.float64, requires_grad=True)
    )


def test_the_parameters_of_a_function_of_ours_are_trained_from_there() -> None:
    own, t = tg.tensor([2.0], requires_grad=True), torch.ones(1, dtype=torch.float64, requires_grad=True)
    to_torch(lambda x, w: x * w)(t, own).backward()
    assert own.grad is not None
    assert (own.grad.tolist(), t.grad.tolist()) == ([1.0], [2.0])
    layer = tg.nn.Linear(3, 1, seed=0)
    to_torch(lambda x: layer(x))(torch.ones(2, 3, dtype=torch.float64)).sum().backward()
    assert layer.weight.grad is not None
    np.testing.assert_array_equal(layer.weight.grad.data, np.full((1, 3), 2.0))
    with torch.no_grad():
        assert not to_torch(lambda x: layer(x))(torch.ones(2, 3, dtype=torch.float64)).requires_grad


def test_what_a_seam_cannot_pass_is_an_error() -> None:
    x = torch.rand(3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(
        tg.errors.GradientError, match="create_graph=True differentiates twice, and this function only once"
    ):
        torch.autograd.grad(to_torch(lambda a: (a * a * a).sum())(x), x, create_graph=True)
    w = x.detach().clone().requires_grad_()
    y = to_torch(lambda a: (a * a).sum())(w)
    with torch.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
