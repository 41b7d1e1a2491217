"""Modules find their parameters, once each, and load a state entirely or not at all."""

import copy
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.engine.trees import leaves, map_leaves
from tinygrad_nn.errors import DtypeError, GradientError

LOOSE: Any = tg.nn
LAYERS = [{"input_dim": 2, "output_dim": 1, "activation": "relu"}]


class Affine(tg.nn.Module):
    def __init__(self, n: int) -> None:
        self.weight = tg.ones((n, 2), requires_grad=True)
        self.offset = tg.nn.Buffer(tg.zeros(n))
        self.size = n


class Tower(tg.nn.Module):
    def __init__(self) -> None:
        self.layers = [Affine(1), Affine(2)]
        self.heads = {"left": Affine(3)}
        self.tied = self.layers[0].weight


def test_parameters_are_found_in_attributes_lists_dicts_and_modules_once_each() -> None:
    tower = Tower()
    names = [name for name, _ in tower.named_parameters()]
    assert names == ["tied", "layers.1.weight", "heads.left.weight"]
    assert [p.shape for p in tower.parameters()] == [(1, 2), (2, 2), (3, 2)]


def test_a_state_has_pytorchs_order() -> None:
    """So that parameters may also be copied pair by pair."""
    torch = pytorch()

    def made(nn: Any, ones: Any, buffer: Any) -> Any:
        class Mixed(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.first, self.scale = nn.Linear(2, 2), nn.Parameter(ones(2))
                self.norm, self.shift = nn.BatchNorm1d(2), nn.Parameter(ones(1))
                buffer(self, "mean", ones(3))
                self.last = nn.Parameter(ones(4))

        class Chain(nn.Sequential):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(nn.Linear(1, 1), Mixed())
                self.head, self.own = Mixed(), nn.Parameter(ones(5))

        return Chain()

    ours = made(tg.nn, tg.ones, lambda module, name, x: setattr(module, name, tg.nn.Buffer(x)))
    theirs = made(torch.nn, torch.ones, lambda module, name, x: module.register_buffer(name, x))
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_buffers()] == [name for name, _ in theirs.named_buffers()]
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]


def test_apply_visits_modules_in_pytorchs_order_and_each_once() -> None:
    torch = pytorch()

    def visited(nn: Any) -> list[str]:
        network = nn.Sequential(nn.Linear(1, 2), nn.Sequential(nn.ReLU(), nn.Tanh()), nn.Sigmoid())
        found: list[str] = []
        assert network.apply(lambda m: found.append(type(m).__name__)) is network
        return found

    assert visited(tg.nn) == visited(torch.nn) == ["Linear", "ReLU", "Tanh", "Sequential", "Sigmoid", "Sequential"]
    shared, network = tg.nn.ReLU(), tg.nn.Module()
    network.parts, network.itself = [shared, shared], network
    seen: list[Any] = []
    network.apply(seen.append)
    assert seen == [shared, network]


def test_zero_grad_forgets_every_gradient() -> None:
    tower = Tower()
    sum((p.sum() for p in tower.parameters()), tg.tensor(0.0)).backward()
    assert all(p.grad is not None for p in tower.parameters())
    tower.zero_grad()
    assert all(p.grad is None for p in tower.parameters())


def test_a_state_is_a_copy_that_loads_back() -> None:
    tower, other = Tower(), Tower()
    state = tower.state_dict()
    state["layers.0.weight"] += 1
    np.testing.assert_array_equal(tower.layers[0].weight.data, 1.0)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.layers[0].weight.data, 2.0)
    assert other.tied is other.layers[0].weight
    state["layers.0.weight"] += 1
    np.testing.assert_array_equal(other.layers[0].weight.data, 2.0)


def test_a_state_that_does_not_fit_lists_all_that_is_wrong_and_changes_nothing() -> None:
    tower = Tower()
    state: dict[str, Any] = {
        "layers.0.weight": np.zeros((5, 5)),
        "heads.left.weight": np.zeros((3, 2), np.float32),
        "stray": np.zeros(1),
        "none": None,
        "ragged": [[1.0], [2.0, 3.0]],
    }
    with pytest.raises(tg.errors.StateError) as caught:
        tower.load_state_dict(state)
    for part in (
        "layers.1.weight is missing",
        "stray is not a parameter here",
        "none is None of type NoneType, which is no array: None of dtype object",
        "ragged is [[1.0], [2.0, 3.0]] of type list, which is no array",
        "layers.0.weight has shape (5, 5), needs (1, 2)",
        "heads.left.weight has dtype float32, needs float64: use .astype",
    ):
        assert part in str(caught.value)
    assert all((p.data == 1).all() for p in tower.parameters())


def test_a_state_may_hold_parameters() -> None:
    layer, other = tg.nn.Linear(2, 1, seed=0), tg.nn.Linear(2, 1, seed=1)
    layer.load_state_dict(dict(other.named_parameters()))
    assert layer.weight.tolist() == other.weight.tolist()
    assert layer.weight is not other.weight


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: tg.nn.Linear(2, 1, seed=-1), "a seed is a whole number, a generator"),
        (lambda: LOOSE.Linear(2, 1, seed="a"), "a seed is a whole number, a generator"),
        (lambda: LOOSE.TransformerEncoderLayer(2, 1, seed="a"), "a seed is a whole number, a generator"),
        (lambda: tg.nn.Linear(2, 1).reset_parameters("a"), "a seed is a whole number, a generator"),
        (lambda: LOOSE.DenseNetwork(LAYERS, seed="a"), "a seed is a whole number, a generator"),
        (lambda: LOOSE.DenseNetwork(LAYERS, seed=-1), "a seed is a whole number, a generator"),
        (lambda: tg.nn.Linear(2, 1, dtype="foo"), "a dtype is one of NumPy's: write dtype=np.float32 or 'float32'"),
        (lambda: tg.nn.Sequential(tg.nn.Linear(2, 1)).astype("foo"), "a dtype is one of NumPy's: write dtype="),
    ],
)
def test_a_wrong_seed_or_dtype_gets_one_note(call: Any, advice: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert [note.startswith(advice) for note in raised.value.__notes__] == [True]


def test_a_layer_that_is_given_a_tuple_says_so() -> None:
    network = tg.nn.Sequential(tg.nn.GRU(2, 3, seed=0), tg.nn.Linear(3, 1, seed=0))
    with pytest.raises(tg.errors.DetachedError) as raised:
        network(np.ones((4, 2)))
    words = "in layer 1: Linear(in_features=3, out_features=1), given (4, 3), (1, 3); it takes a Tensor, not a tuple: "
    assert any(note.startswith(f"{words}pass one of its entries; on the way") for note in raised.value.__notes__)


def test_parameters_that_are_replaced_by_tensors_without_grad_stay_parameters() -> None:
    tower = Tower()
    twin = tower.with_parameters({name: tg.zeros(p.shape) for name, p in tower.named_parameters()})
    assert [name for name, _ in twin.named_parameters()] == [name for name, _ in tower.named_parameters()]
    again = twin.with_parameters({"layers.1.weight": tg.ones((2, 2))})
    assert [float(p.sum()) for p in again.parameters()] == [0.0, 4.0, 0.0]


def test_a_module_is_pushed_forward_along_a_module_of_tangents() -> None:
    def value(tower: Tower) -> Any:
        return sum(((k + 1) * (p * p).sum() for k, p in enumerate(tower.parameters())), tg.tensor(0.0))

    tower = Tower()  # sizes 2, 4 and 6, all ones: the derivative along twice the weights is 4 (2 + 2 * 4 + 3 * 6)
    tangents = map_leaves(lambda p: tg.Tensor(2 * p.data), tower)
    assert tg.jvp(value, (tower,), (tangents,))[1].item() == 112.0
    assert tg.gradcheck(value, tower)


def test_a_frozen_parameter_and_a_buffer_stay_in_the_state() -> None:
    tower, other = Tower(), Tower()
    tower.layers[0].weight.requires_grad = False
    assert [name for name, _ in tower.named_parameters()] == [name for name, _ in other.named_parameters()]
    state = tower.state_dict()
    assert sorted(state) == sorted(other.state_dict())
    assert {"layers.0.weight", "layers.0.offset", "heads.left.offset"} < state.keys()
    state = {name: array + 1 for name, array in state.items()}
    tower.load_state_dict(state)
    np.testing.assert_array_equal(tower.layers[0].weight.data, 2.0)
    np.testing.assert_array_equal(tower.layers[0].offset.data, 1.0)
    assert not tower.layers[0].weight.requires_grad


def test_what_a_module_only_remembers_is_not_its_state() -> None:
    """As in PyTorch: such as attention's weights that a plot shows later, or the state of a recurrent layer."""

    class Remembering(tg.nn.Module):
        def __init__(self) -> None:
            self.table, self.layer = tg.arange(3.0), tg.nn.Linear(2, 1, seed=0)
            self.seen: list[Any] = []

        def forward(self, x: Any) -> Any:
            self.last = self.layer(x)
            self.state, self.shapes = self.last.detach(), self.last
            self.shapes = self.last.shape
            self.seen.append(self.state)
            return self.last

    module = Remembering()
    before = module.state_dict()
    for mode, rows in ((True, 3), (False, 2), (True, 4), (False, 5)):
        with tg.enable_grad() if mode else tg.no_grad():
            assert module.train(mode)(np.ones((rows, 2))).shape == module.state.shape == module.shapes
        assert [*module.state_dict()] == [*before] == ["layer.weight", "layer.bias"]
        assert (len(module.parameters()), module.buffers()) == (2, [])
        module.load_state_dict(before)


def test_a_state_is_a_dict() -> None:
    with pytest.raises(tg.errors.StateError, match="dict of arrays by name, got None"):
        Tower().load_state_dict(None)  # type: ignore[arg-type]


class Pair(NamedTuple):
    a: Any
    b: Any


def test_containers_keep_their_nesting() -> None:
    tree = {"x": [1, (2, 3)], "y": Pair(4, {"z": 5})}
    assert list(leaves(tree)) == [1, 2, 3, 4, 5]
    doubled = map_leaves(lambda n: 2 * n, tree)
    assert doubled == {"x": [2, (4, 6)], "y": Pair(8, {"z": 10})}
    assert type(doubled["y"]) is Pair


def test_gradients_have_the_nesting_of_their_argument() -> None:
    gradient = tg.grad(lambda p: (p["w"] * p["pair"].a).sum() + p["pair"].b[0])(
        {"w": np.array([1.0, 2.0]), "pair": Pair(np.array([3.0, 4.0]), [5.0, 6.0])}
    )
    np.testing.assert_array_equal(gradient["w"].data, [3.0, 4.0])
    np.testing.assert_array_equal(gradient["pair"].a.data, [1.0, 2.0])
    assert [float(g) for g in gradient["pair"].b] == [1.0, 0.0]


# Roles: what a Tensor is in a module.


class Marked(tg.nn.Module):
    def __init__(self) -> None:
        self.frozen = tg.nn.Parameter(np.ones(2), requires_grad=False)
        self.many = [tg.nn.Parameter([1.0]), {"deep": tg.nn.Parameter(tg.zeros(3))}]
        self.mean = tg.nn.Buffer(tg.zeros(2, dtype=np.float32))
        self.mask = tg.nn.Buffer([1.0, 0.0], persistent=False)
        self.cache: Any = None

    def forward(self, x: Any) -> Any:
        self.cache = x * self.many[0]
        return self.cache + self.mask


def names(pairs: Any) -> list[str]:
    return [name for name, _ in pairs]


def test_marks_say_what_is_a_parameter_and_what_is_saved() -> None:
    module = Marked()
    assert names(module.named_parameters()) == ["frozen", "many.0", "many.1.deep"]
    assert [p.requires_grad for p in module.parameters()] == [False, True, True]
    assert names(module.named_buffers()) == ["mean", "mask"]
    assert list(module.state_dict()) == ["frozen", "mean", "many.0", "many.1.deep"]


def test_a_computed_tensor_on_a_module_is_neither_parameter_nor_buffer() -> None:
    module = Marked()
    state = module.state_dict()
    module(tg.tensor([2.0]))
    assert module.cache.requires_grad
    assert module.state_dict().keys() == state.keys()
    assert not any(module.cache is t for t in [*module.buffers(), *module.parameters()])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_has_the_same_roles_and_ties(copied: Any) -> None:
    marked, tower = copied(Marked()), Tower()
    tower.requires_grad_(False)
    tower = copied(tower)
    assert names(marked.named_parameters()) == ["frozen", "many.0", "many.1.deep"]
    assert list(marked.state_dict()) == ["frozen", "mean", "many.0", "many.1.deep"]
    assert names(tower.named_parameters()) == ["tied", "layers.1.weight", "heads.left.weight"]
    assert tower.tied is tower.layers[0].weight


def test_a_frozen_parameter_is_skipped_by_an_optimiser_until_it_is_thawed() -> None:
    tower = Tower().requires_grad_(False)
    assert not any(p.requires_grad for p in tower.parameters())
    tower.layers[1].requires_grad_()
    optimizer = tg.optim.SGD(tower.parameters(), lr=1.0)
    for changed in ([1.0, 0.0, 1.0], [0.0, -1.0, 0.0]):
        optimizer.zero_grad()
        sum((p.sum() for p in tower.parameters()), tg.tensor(0.0)).backward()
        optimizer.step()
        assert [p.data.mean() for p in tower.parameters()] == changed
        tower.requires_grad_()


def test_a_parameter_that_is_put_into_a_list_later_stays_one_while_it_is_frozen() -> None:
    module: Any = Tower()
    module.more = []
    module.more.append(tg.ones(2, requires_grad=True))
    before = names(module.named_parameters())
    assert before[-1] == "more.0"
    module.requires_grad_(False)
    assert names(module.named_parameters()) == before
    module.requires_grad_()
    assert module.more[0].requires_grad


def test_the_parts_of_a_module_with_replaced_parameters_have_them_too() -> None:
    tower = Tower()
    twin = tower.with_parameters({"layers.1.weight": tg.zeros((2, 2))})
    assert names(twin.layers[1].named_parameters()) == ["weight"]
    assert twin.layers[1].weight.data.sum() == 0


# Modules within modules.


class Child(tg.nn.Module):
    def __init__(self, parent: Any = None) -> None:
        self.parent, self.w = parent, tg.tensor(1.0, requires_grad=True)
        self.generator = np.random.default_rng(0)


def test_modules_are_listed_once_also_in_a_circle() -> None:
    top: Any = Child()
    top.first, top.pair = Child(top), (Child(top), {"again": top})
    assert names(top.named_modules()) == ["", "first", "pair.0"]
    assert names(top.named_children()) == ["first", "pair.0", "pair.1.again"]
    assert names(top.named_parameters()) == ["w", "first.w", "pair.0.w"]
    assert list(top.generators()) == ["generator", "first.generator", "pair.0.generator"]
    assert [m.training for m in top.eval().modules()] == [False] * 3
    assert [m.training for m in top.train().modules()] == [True] * 3
    assert repr(top.pair[0]).splitlines()[2] == "    (first): Child("
    twin = top.with_parameters({"w": tg.tensor(5.0)})
    assert twin.first.parent is twin.pair[1]["again"] is twin
    assert twin.first.parent.w.item() == 5.0


def test_apply_calls_the_outermost_module_last() -> None:
    seen: list[Any] = []
    tower = Tower()
    assert tower.apply(seen.append) is tower
    assert (len(seen), seen[-1]) == (4, tower)


def test_astype_converts_in_place_for_whoever_holds_a_parameter() -> None:
    module = tg.nn.Sequential(tg.nn.BatchNorm1d(2), tg.nn.Linear(2, 1))
    module[1].bias.requires_grad = False
    optimizer = tg.optim.Adam(module.parameters(), lr=0.1)
    assert module.astype(np.float32) is module
    assert [p.dtype for p in module.parameters()] == [np.float32] * 4
    assert [t.dtype for t in module.buffers()] == [np.float32, np.float32, np.int64]
    assert [p.requires_grad for p in module.parameters()] == [True, True, True, False]
    tg.square(module(np.eye(2, dtype=np.float32))).sum().backward()
    before = module.state_dict()
    optimizer.step()
    assert (module[1].weight.data != before["1.weight"]).all()
    with pytest.raises(TypeError, match=r"floating numbers, not int64; write astype\(np\.float32\)"):
        module.astype(int)


def test_a_graph_recorded_before_astype_gives_gradients_of_the_new_dtype() -> None:
    layer = tg.nn.Linear(2, 1, seed=0)
    layer.weight.register_hook(lambda g: g * 2)
    x = tg.ones((1, 2))
    old, again = layer(x).sum(), layer(x).sum()
    layer.astype(np.float32)
    layer(x.astype(np.float32)).sum().backward()
    old.backward()
    again.backward(create_graph=True)
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == np.float32
    assert layer.weight.grad.tolist() == [[6.0, 6.0]]  # the hook stayed
    with pytest.raises(GradientError, match="only a leaf"):
        layer.with_parameters({"weight": layer.weight * 2}).astype(np.float64)


@pytest.mark.parametrize(
    "value",
    [
        lambda w: w * 0.5,
        lambda w: tg.no_grad()(lambda: w - 0.1)(),
        lambda w: w.detach(),
        lambda w: tg.ones((1, 2)),
        lambda w: tg.nn.Parameter(np.ones((7, 9))),
        lambda w: tg.nn.Buffer(np.ones((1, 2))),
    ],
    ids=["computed", "without grad", "detached", "plain", "other shape", "buffer"],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_what_is_no_parameter_of_its_shape_does_not_take_a_parameters_place(value: Any, frozen: bool) -> None:
    layer = tg.nn.Linear(2, 1, seed=0)
    layer.weight.requires_grad = not frozen
    weight, new = layer.weight, value(layer.weight)
    with pytest.raises(ValueError, match=r"only a parameter of that shape .*Parameter\(value\.data\), .* None before"):
        layer.weight = new
    assert layer.parameters() == [weight, layer.bias]
    layer.weight = None  # type: ignore[assignment]
    layer.weight = tg.nn.Parameter(new.data)  # both remedies
    layer.weight.data = new.data
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_a_parameter_takes_a_parameters_place() -> None:
    layer, other = tg.nn.Linear(2, 1, seed=0), tg.nn.Linear(2, 1, seed=1)
    with tg.no_grad():
        layer.weight -= 0.1
    leaf = tg.ones((1, 2), requires_grad=True)
    for new in (tg.nn.Parameter(np.ones((1, 2)), requires_grad=False), leaf, other.weight):
        layer.weight = new
        assert layer.parameters()[0] is new
    assert "bias" in dict(layer.named_parameters())
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]


def test_reset_parameters_draws_all_layers_from_one_seed() -> None:
    module = tg.nn.Sequential(tg.nn.Linear(2, 2), tg.nn.ModuleDict({"a": tg.nn.Linear(2, 2)}))
    module.reset_parameters(5)
    first = module.state_dict()
    assert (first["0.weight"] != first["1.a.weight"]).all()
    module.reset_parameters(np.random.default_rng(5))
    assert all(np.array_equal(value, first[name]) for name, value in module.state_dict().items())


class Scaled(tg.nn.Sequential):
    def __init__(self) -> None:
        super().__init__(tg.nn.Linear(2, 2, seed=0))
        self.scale = tg.nn.Parameter(3.0)


class Drawn(Scaled):
    def reset_parameters(self, seed: Any = None) -> None:
        self.scale.data = np.ones(())
        super().reset_parameters(seed)


def test_a_module_that_cannot_draw_its_parameters_says_so() -> None:
    outer = tg.nn.ModuleDict({"a": Scaled()})
    before = outer.state_dict()
    with pytest.raises(NotImplementedError, match=r"how Scaled draws scale; write def reset_parameters\(self"):
        outer.reset_parameters(0)
    assert all(np.array_equal(array, before[name]) for name, array in outer.state_dict().items())
    drawn = Drawn()
    drawn.reset_parameters(5)
    assert drawn.scale.item() == 1
    assert (drawn[0].weight.data != Scaled()[0].weight.data).all()


def test_no_two_layers_begin_equal_by_default() -> None:
    assert (tg.nn.Linear(3, 3).weight.data != tg.nn.Linear(3, 3).weight.data).any()


def test_lists_and_dictionaries_of_modules() -> None:
    kinds = [tg.nn.ReLU(), tg.nn.Tanh(), tg.nn.GELU()]
    listed = tg.nn.ModuleList(kinds[:2])
    listed.insert(0, kinds[2])
    listed[1] = kinds[1]
    del listed[2]
    assert [*listed] == [kinds[2], kinds[1]] == listed.children()
    assert listed[0] in listed
    by_name = tg.nn.ModuleDict({"a": kinds[0]})
    by_name["training"] = kinds[1]  # a name that modules have themselves
    by_name.update(b=kinds[2])
    assert [*by_name] == ["a", "training", "b"]
    assert by_name.pop("a") is kinds[0]
    assert by_name.eval().training is False
    assert [m.training for m in by_name.values()] == [False, False]
    assert len({listed, by_name, tg.nn.ModuleList()}) == 3
    with pytest.raises(TypeError, match=r"Sequential takes modules, not \[ReLU\(\)\] of type list; write Sequ"):
        tg.nn.Sequential([tg.nn.ReLU()])


def with_attributes(nn: Any, container: str) -> Any:
    """Return a container of a layer with attributes of its own, of our nn or PyTorch's."""

    class Own(getattr(nn, container)):  # type: ignore[misc]
        def __init__(self, *modules: Any) -> None:
            super().__init__(*modules)
            self.head = nn.Linear(2, 1)

    inner = {"Sequential": nn.BatchNorm1d(2), "ModuleList": [nn.Linear(2, 2)], "ModuleDict": {"a": nn.Linear(2, 2)}}
    module = Own(inner[container])
    module.scale = nn.Parameter(nn.Linear(1, 1).weight)
    return module


@pytest.mark.parametrize("container", ["Sequential", "ModuleList", "ModuleDict"])
def test_attributes_of_a_container_count_as_pytorchs(container: str) -> None:
    ours, theirs = with_attributes(tg.nn, container), with_attributes(pytorch().nn, container)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]
    assert ours.eval().head.training is False
    assert "(head): Linear(" in repr(ours)
    assert "head: Linear" in ours.summary()
    twin = copy.deepcopy(ours)
    twin.load_state_dict(ours.state_dict())


def test_a_dense_network_may_have_attributes_of_its_own() -> None:
    network = tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}])
    network.temperature = tg.nn.Parameter(2.0)
    assert {name for name, _ in network.named_parameters()} == {"W1", "b1", "temperature"}


@pytest.mark.parametrize(
    "module",
    [
        tg.nn.ModuleDict({"a.b": tg.nn.Linear(1, 1), "a": tg.nn.ModuleDict({"b": tg.nn.Linear(1, 1)})}),
        tg.nn.ModuleDict({1: tg.nn.Linear(1, 1), "1": tg.nn.Linear(1, 1)}),  # type: ignore[dict-item]
    ],
)
def test_two_things_of_one_name_are_refused(module: tg.nn.Module) -> None:
    for ask in (module.state_dict, lambda: [*module.named_parameters()], module.modules, module.eval):
        with pytest.raises(tg.errors.StateError, match=r"two things .* named '(a\.b|1)'; use another name or key"):
            ask()


def test_one_module_in_two_places_computes_twice() -> None:
    layer = tg.nn.Linear(2, 2, seed=0)
    twice = tg.nn.Sequential(layer, tg.nn.ReLU(), layer)
    assert len(twice.parameters()) == 2
    np.testing.assert_array_equal(twice(np.eye(2)).data, layer(tg.relu(layer(np.eye(2)))).data)


# States.


def test_a_state_is_loaded_in_part_where_it_is_not_strict() -> None:
    tower = Tower()
    tower.load_state_dict({"layers.1.weight": np.full((2, 2), 3.0), "stray": np.ones(1)}, strict=False)
    assert [p.data.mean() for p in tower.parameters()] == [1.0, 3.0, 1.0]
    with pytest.raises(tg.errors.StateError, match=r"layers\.1\.weight has shape \(1,\), needs \(2, 2\)"):
        tower.load_state_dict({"layers.1.weight": np.ones(1)}, strict=False)


def test_a_tied_parameter_may_stand_in_a_state_under_each_name() -> None:
    tower = Tower()
    state = tower.state_dict()
    tied = state.pop("layers.0.weight") + 4
    tower.load_state_dict({**state, "tied": tied})
    tower.load_state_dict({**state, "tied": tied, "layers.0.weight": tied})
    assert tower.layers[0].weight.data.mean() == 5
    with pytest.raises(tg.errors.StateError, match=r"layers\.0\.weight is another name of tied here, and has other"):
        tower.load_state_dict({**state, "tied": tied, "layers.0.weight": tied + 1})


# What a module tells, and says to mistakes.


def test_a_tied_parameter_is_saved_under_each_name_as_pytorchs(tmp_path: Any) -> None:
    def tied(nn: Any) -> Any:
        module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        module[1].weight = module[0].weight
        return module

    torch = pytorch()
    ours, theirs = tied(tg.nn), tied(torch.nn).double()
    tg.save(tmp_path / "tied.safetensors", ours)
    state = tg.load(tmp_path / "tied.safetensors")
    theirs.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    np.testing.assert_array_equal(theirs[1].weight.detach(), ours[0].weight.data)
    tied(tg.nn).load_state_dict(state)
    ours.load_state_dict({name: array.numpy() + 1 for name, array in theirs.state_dict().items()})
    assert ours[1].weight is ours[0].weight
    assert len(ours.parameters()) == 3


def test_a_repr_nests() -> None:
    block = tg.nn.Sequential(tg.nn.Conv2d(1, 2, 3, seed=0), tg.nn.Dropout(0.1))
    top = tg.nn.ModuleDict({"block": block, "head": tg.nn.ModuleList([tg.nn.Linear(2, 1, bias=False).eval()])})
    settings = "in_channels=1, out_channels=2, kernel_size=(3, 3), stride=1, padding=0, dilation=1, groups=1"
    assert repr(top).splitlines() == [
        "ModuleDict(",
        "  (block): Sequential(",
        f"    (0): Conv2d({settings})",
        "    (1): Dropout(p=0.1)",
        "  )",
        "  (head): ModuleList(",
        "    (0): Linear(in_features=2, out_features=1, bias=None)",
        "  )",
        ")",
    ]


def test_a_summary_is_a_table_and_leaves_everything_as_it_was() -> None:
    layers = [tg.nn.Linear(3, 4, seed=0), tg.nn.BatchNorm1d(4), tg.nn.Dropout(0.5, seed=0)]
    module = tg.nn.Sequential(*layers, tg.nn.Linear(4, 2, seed=1))
    state, held = module.state_dict(), [dict(vars(m)) for m in module.modules()]
    drawn = module[2].generator.bit_generator.state
    assert module.summary(np.ones((5, 3))).splitlines() == [
        "layer           output shape  parameters",
        "Sequential      (5, 2)                 0",
        "0: Linear       (5, 4)                16",
        "1: BatchNorm1d  (5, 4)                 8",
        "2: Dropout      (5, 4)                 0",
        "3: Linear       (5, 2)                10",
        "total                                 34",
    ]
    assert module.summary().splitlines()[2] == "0: Linear                             16"
    assert [vars(m) for m in module.modules()] == held
    assert all(np.array_equal(value, state[name]) for name, value in module.state_dict().items())
    assert module[2].generator.bit_generator.state == drawn
    with pytest.raises(ValueError, match="mismatch"):
        module.summary(np.ones((5, 2)))
    assert [vars(m) for m in module.modules()] == held


class Two(tg.nn.Module):
    def __init__(self) -> None:
        self.linear = tg.nn.Linear(2, 3, seed=0)

    def forward(self, x: Any, scale: Any) -> Any:
        return self.linear(x) * scale


@pytest.mark.parametrize("input", [(np.ones((5, 2)), 2.0), {"scale": 2.0, "x": np.ones((5, 2))}])
def test_a_summary_takes_several_inputs(input: Any) -> None:
    assert Two().summary(input).splitlines()[1].split() == ["Two", "(5,", "3)", "0"]


def test_a_summary_counts_a_shared_parameter_once() -> None:
    assert Tower().summary().splitlines()[-1].split() == ["total", "12"]


def test_a_buffer_keeps_its_shape_dtype_and_role() -> None:
    layer: Any = tg.nn.BatchNorm1d(2)
    recorded = tg.ones(2, requires_grad=True) * 2
    for wrong in (tg.zeros(3), tg.zeros(2, dtype=np.float32), tg.nn.Parameter(np.zeros(2)), recorded):
        with pytest.raises(ValueError, match=r"running_mean is a buffer of \(2,\), float64: .* = None before"):
            layer.running_mean = wrong
    layer.running_mean = tg.ones(2)
    assert layer.state_dict()["running_mean"].tolist() == [1, 1]

    class Masked(tg.nn.Module):
        def __init__(self) -> None:
            self.mask: Any = tg.nn.Buffer(np.ones(2), persistent=False)

    module = Masked()
    module.mask = module.mask * 0
    assert [name for name, _ in module.named_buffers()] == ["mask"]
    assert module.state_dict() == {}
    module.mask = None
    module.mask = tg.zeros(3)


def test_a_part_takes_the_place_of_a_part() -> None:
    network: Any = tg.nn.Sequential(tg.nn.Dropout(seed=0))
    network.head = tg.nn.ReLU()
    with pytest.raises(TypeError, match=r"head is a module here, got .*; write module\.head = another module"):
        network.head = np.tanh
    with pytest.raises(TypeError, match="SeedSequence expects int"):
        network[0].generator = "0"
    network[0].generator = 1
    assert network[0].generator.random() == np.random.default_rng(1).random()


def test_what_is_no_tensor_does_not_take_the_place_of_one() -> None:
    """Else it would be gone from the parameters and from the state, without a word."""
    layer = tg.nn.BatchNorm1d(2)
    for name in ("weight", "running_mean"):
        with pytest.raises(TypeError, match=rf"{name} is a Tensor here, got .*; write module\.{name}\.data = array"):
            setattr(layer, name, np.ones(2))
    assert [*layer.state_dict()][:3] == ["weight", "bias", "running_mean"]
    layer.weight = tg.nn.Parameter(np.full(2, 3.0))
    layer.bias = None
    assert [p.tolist() for p in layer.parameters()] == [[3.0, 3.0]]


@pytest.mark.parametrize("container", [tg.nn.ModuleList([]), tg.nn.Sequential(), tg.nn.ModuleDict()])
def test_a_container_takes_modules_alone(container: Any) -> None:
    named = isinstance(container, tg.nn.ModuleDict)
    for wrong in (tg.relu, tg.nn.ReLU, np.ones(2)):
        for add in (lambda m: container.update(a=m),) if named else (container.append, lambda m: container.extend([m])):
            with pytest.raises(TypeError, match=f"{type(container).__name__} takes modules, not "):
                add(wrong)
    assert not len(container)


@pytest.mark.parametrize("kind", [tg.nn.ModuleList, tg.nn.Sequential])
def test_lists_of_modules_grow_and_are_sliced_as_pytorchs(kind: Any) -> None:
    layers = [tg.nn.ReLU(), tg.nn.Tanh(), tg.nn.Sigmoid()]
    made = kind().append(layers[0]).extend(layers[1:])
    assert type(made) is type(made[1:]) is kind
    assert [*made[1:]] == layers[1:]
    assert not len(tg.nn.ModuleList(None))


class Forgetful(tg.nn.Linear):
    def __init__(self) -> None:
        self.extra = 1.0


def test_mistakes_get_a_sentence_with_the_remedy() -> None:
    with pytest.raises(
        NotImplementedError, match=r"Tower computes nothing; write def forward\(self, x\) in class Tower"
    ):
        Tower()(1.0)
    own: dict[str, str] = {
        **dict.fromkeys(("to", "float", "double", "half", "type"), "astype"),
        **{"cuda": "NumPy", "cpu": "NumPy", "register_buffer": "nn.Buffer", "register_parameter": "nn.Parameter"},
        **{"add_module": "module.name = ", "register_module": "module.name = "},
    }
    for name, remedy in own.items():
        with pytest.raises(AttributeError, match=f"Tower.{name} is PyTorch's name; write .*{remedy}"):
            getattr(Tower(), name)
    with pytest.raises(AttributeError, match="Tower has no attribute 'layer'; set it in __init__"):
        Tower().layer  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute 'weight'; .* after super\(\)\.__init__\(\.\.\.\)"):
        Forgetful()(np.ones(2))
    assert not hasattr(Tower(), "stray")
    with pytest.raises(ValueError, match=r"p must be from 0 to 1, got 1\.5"):
        tg.nn.Dropout(1.5)
    with pytest.raises(ValueError, match="must divide in_channels=4 and out_channels=3"):
        tg.nn.Conv2d(4, 3, 1, groups=2)
    with pytest.raises(ValueError, match="num_groups=2 must divide num_channels=3"):
        tg.nn.GroupNorm(2, 3)
    with pytest.raises(ValueError, match=r"BatchNorm2d\(.*\) takes 4 axes, \(N, 3, \.\.\.\), got \(2, 3\)"):
        tg.nn.BatchNorm2d(3)(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"takes \(N, 4, \.\.\.\), got \(2, 3\)"):
        tg.nn.GroupNorm(2, 4)(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"whose last lengths are \(3,\), got \(2, 4\)"):
        tg.nn.LayerNorm(3)(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"more than one value per channel; take larger batches, or eval\(\)"):
        tg.nn.BatchNorm1d(3)(np.ones((1, 3)))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_parameter_keeps_its_dtype(dtype: str) -> None:
    layer: Any = tg.nn.Linear(2, 1, seed=0)
    weight = layer.weight
    other = tg.nn.Parameter(weight.data.astype(dtype))
    frozen = tg.nn.Parameter(weight.data.astype(int), requires_grad=False)
    for wrong in (other, frozen):
        with pytest.raises(ValueError, match=rf"weight is a parameter of .*, float64: .*, {wrong.dtype}; write module"):
            layer.weight = wrong
    assert layer.weight is weight
    layer.weight = None
    layer.weight = other
    assert layer.weight is other


def test_what_can_be_no_parameter_gets_no_role() -> None:
    for t in (tg.ones(2, requires_grad=True) * 2, tg.tensor([1, 2])):
        with pytest.raises((GradientError, DtypeError)):
            tg.nn.Parameter(t)
        assert getattr(t, "role", None) is None
