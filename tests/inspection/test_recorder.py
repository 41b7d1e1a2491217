"""What a watched graph knows: values, adjoints, contributions, lines, modules and names."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from inspection.networks import figure_1, sequence
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.inspection.graphs import Graph


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph]


def test_a_watched_graph_has_values_adjoints_and_names() -> None:
    x = leaf([1.0, 2.0])
    with tg.watch() as graph:
        y = x * x
        loss = (y + x).sum()
        loss.backward()
    assert names(graph) == ["x", "y", "add1", "loss"]
    np.testing.assert_array_equal(graph["y"].value, [1, 4])
    np.testing.assert_array_equal(graph["y"].adjoint, [1, 1])
    np.testing.assert_array_equal(graph[x].adjoint, [3, 5])
    assert [node.kind for node in graph] == ["parameter", "operation", "operation", "operation"]
    assert graph["x"].children == [graph["y"], graph["y"], graph["add1"]]
    assert graph["y"].parents == [graph["x"], graph["x"]]


def test_the_line_is_the_users() -> None:
    x = leaf([1.0, 2.0])
    with tg.watch() as graph:
        number = inspect.getsourcelines(test_the_line_is_the_users)[1] + 3
        x.mean()
    for node in list(graph)[1:]:
        assert node.line is not None
        assert (node.line.filename, node.line.lineno) == (__file__, number + 1)
        assert (node.line.line, node.line.name) == ("x.mean()", "test_the_line_is_the_users")


def test_the_line_is_in_no_frozen_module() -> None:
    names: dict[str, Any] = {}
    exec(compile("def double(x): return x * 2", "<frozen runpy>", "exec"), names)
    with tg.watch() as graph:
        names["double"](leaf(1.0))
    assert graph[1].line is not None
    assert graph[1].line.line == 'names["double"](leaf(1.0))'


def test_a_dense_network_has_the_articles_names() -> None:
    network, X, y = figure_1()
    with tg.watch() as graph:
        loss = tg.binary_cross_entropy(network(X), y)
        loss.backward()
    expected = ["X"]
    for i in range(1, 6):
        expected += [f"W{i}", f"b{i}", f"Z{i}", f"A{i}"]
    assert names(graph) == [*expected, "y", "loss"]
    memory = network.memory(X)
    for name in expected[3::4]:
        np.testing.assert_array_equal(graph[name].value, memory[name].data)
    for name, p in network.named_parameters():
        np.testing.assert_array_equal(graph[name].adjoint, slope(p))
        assert graph[name].kind == "parameter"
    assert graph["Z3"].modules == (("", "DenseNetwork"),)
    assert graph["X"].kind == graph["y"].kind == "data"


def test_a_recorded_graph_has_the_articles_names_wherever_the_network_is() -> None:
    def loss_of_a_network() -> Any:
        network, X, y = figure_1()
        elsewhere.append(network)
        return tg.binary_cross_entropy(network(X), y)

    elsewhere: Any = []
    found = names(tg.graph(loss_of_a_network()))
    assert [name for name in found if name[0] in "ZA"] == [f"{c}{i}" for i in range(1, 6) for c in "ZA"]

    class Two(tg.nn.Module):
        def __init__(self) -> None:
            self.first, self.second = figure_1()[0], figure_1()[0]

        def forward(self, x: Any) -> Any:
            return self.first(x) + self.second(x)

    model = Two()
    with tg.watch() as graph:
        model(np.ones((3, 2)))
    assert {"first.Z1", "first.A5", "second.Z2"} <= {*names(graph)}


def test_a_recorded_graph_has_the_data_that_rules_read() -> None:
    W, X = leaf(np.ones((2, 3))), np.ones((4, 2))
    graph = tg.graph((tg.as_tensor(X) @ W * 0.5).sum())
    assert [(node.name, node.kind) for node in graph][:3] == [
        ("W", "parameter"),
        ("X", "data"),
        ("matmul1", "operation"),
    ]
    assert "matmul1, 0.5" in str(graph)


def test_modules_name_their_parameters_and_group_what_they_compute() -> None:
    model, X = sequence(), np.ones((4, 2))
    with tg.watch() as graph:
        out = model(X)
        out.sum().backward()
    parameters = [node.name for node in graph if node.kind == "parameter"]
    assert parameters == ["0.weight", "0.bias", "2.linear.weight", "2.linear.bias", "2.scale", "3.weight", "3.bias"]
    assert graph["2.shift"].kind == "data"
    assert graph["inner"].modules == (("", "Sequential"), ("2", "Residual"), ("2.linear", "Linear"))
    assert graph["inner"].group == "2.linear: Linear"
    assert graph["out"].group == "3: Linear"
    assert graph[out].adjoint.shape == (4, 1)


def test_names_are_found_in_arguments_globals_entries_and_closures() -> None:
    weights = {"first": leaf(1.0), "second": leaf(2.0)}
    pair = [leaf(3.0), leaf(4.0)]
    outer = leaf(5.0)

    def function(given: Any) -> Any:
        inner = given * weights["first"] * weights["second"]
        return inner * pair[0] * pair[1] * outer

    with tg.watch() as graph:
        function(leaf(6.0))
    found = [node.name for node in graph if node.kind == "parameter"]
    assert found == ["given", "first", "second", "pair1", "pair2", "outer"]
    assert "inner" in names(graph)


class Plain:
    def __init__(self) -> None:
        self.w = leaf(1.0)
        self.parts = {"inner": [leaf(2.0)]}

    def loss(self) -> Any:
        return self.w * self.parts["inner"][0]


def test_names_are_found_in_attributes_and_in_what_these_hold() -> None:
    plain = Plain()
    with tg.watch() as graph:
        plain.loss()
    assert names(graph)[:2] == ["w", "inner1"]
    assert names(tg.graph(plain.w * plain.parts["inner"][0]))[:2] == ["w", "inner1"]


def test_a_tensors_own_name_comes_first_and_no_name_twice() -> None:
    a, b = tg.tensor(1.0, requires_grad=True, name="W"), tg.tensor(2.0, requires_grad=True, name="W")
    with tg.watch() as graph:
        y = a * b
        for _ in range(2):
            y = y * a
        tg.exp(y)
    assert names(graph) == ["W", "W_2", "y", "y_2", "y_3", "exp1"]


def test_what_needs_no_gradient_is_seen_and_numbers_are_no_nodes() -> None:
    x, data = leaf([1.0, -2.0]), np.array([3.0, 4.0])
    with tg.watch() as graph:
        scaled = tg.as_tensor(data) * 2.0
        mask = scaled > 7
        tg.where(mask, x, 0.0)
    assert [(node.name, node.kind) for node in graph] == [
        ("data", "data"), ("scaled", "operation"), ("mask", "operation"), ("x", "parameter"), ("where1", "operation"),
    ]  # fmt: skip
    assert graph["scaled"].inputs == {"a": graph["data"], "b": 2.0}
    assert graph["where1"].parents == [graph["mask"], graph["x"]]


def test_numbers_that_are_computed_are_nodes() -> None:
    x = leaf(1.0)
    with tg.watch() as graph:
        scale = tg.sum(tg.as_tensor(np.array([3.0, 4.0])))
        x * scale * scale
    assert [node.operation for node in graph] == ["", "sum", "", "multiply", "multiply"]
    assert graph["multiply2"].parents == [graph["multiply1"], graph["sum1"]]


def test_several_outputs_are_items_of_one_node() -> None:
    x = leaf(np.random.default_rng(0).normal(size=(3, 3)))
    with tg.watch() as graph:
        q, r = tg.linalg.qr(x)
        (q * r).sum().backward()
    assert names(graph)[:4] == ["x", "qr1", "q", "r"]
    np.testing.assert_array_equal(graph["q"].value, q.data)
    assert [c.argument for c in graph["qr1"].contributions] == ["outputs", "outputs"]
    adjoints = graph["qr1"].adjoint
    np.testing.assert_array_equal(adjoints[0], graph["q"].adjoint)
    np.testing.assert_array_equal(graph["x"].adjoint, slope(x))


def test_contributions_of_many_outputs_hold_their_own_part_only() -> None:
    x = leaf(np.ones((300, 2)))
    with tg.watch() as graph:
        sum(row * i for i, row in enumerate(x)).sum().backward()
    contributions = graph["unstack1"].contributions
    assert len(contributions) == 300
    assert {len(part.value) for part in contributions} == {1}
    np.testing.assert_array_equal(graph["unstack1"].adjoint[7], [7, 7])


def test_what_rules_compute_is_no_node_unless_it_is_recorded() -> None:
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    with tg.watch() as graph:
        tg.linalg.inv(x).sum().backward()
        assert len(graph) == 3
        x.grad = None
        (x * x).sum().backward(create_graph=True)
    assert x.grad is not None
    assert graph[x.grad].operation == "positive"
    assert [node.operation for node in graph].count("multiply") > 2


def test_a_graph_recorded_before_is_seen_as_far_as_it_was_kept() -> None:
    x = leaf([1.0, 2.0])
    loss = (x * x).sum()
    with tg.watch() as graph:
        loss.backward()
    np.testing.assert_array_equal(graph["x"].adjoint, [2, 4])
    assert [node.operation for node in graph] == ["", "multiply", "sum"]


def test_a_function_is_run_watched_and_changes_no_gradient() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    graph = tg.graph(lambda x: (x * w).sum(), np.array([3.0, 4.0]))
    assert w.grad is None
    np.testing.assert_array_equal(graph["w"].adjoint, [3, 4])
    np.testing.assert_array_equal(graph["x"].adjoint, [1, 2])


def test_a_recorded_graph_is_shown_without_watching() -> None:
    model, X = sequence(), np.ones((4, 2))
    loss = model(X).sum()
    graph = tg.graph(loss)
    assert [node.operation or node.name for node in graph if node.kind == "operation"] == [
        "linear", "relu", "linear", "multiply", "add", "add", "linear", "sum",
    ]  # fmt: skip
    loss.backward()
    np.testing.assert_array_equal(graph["0.weight"].adjoint, slope(model[0].weight))


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(tg.errors.GradientError, match="records nothing"):
        tg.graph(tg.tensor(1.0))
    with pytest.raises(TypeError, match="takes a Tensor, or a function"):
        tg.graph(3)  # type: ignore[arg-type]
    x = leaf(1.0)
    y = x * x
    y.backward()
    with pytest.raises(tg.errors.FreedGraphError):
        tg.graph(y)


def test_watching_twice_is_refused_and_so_is_inside_a_compiled_function() -> None:
    with tg.watch(), pytest.raises(tg.errors.GradientError, match="watched already"), tg.watch():
        pass

    @tg.compile
    def step(x: Any) -> Any:
        with tg.watch():
            return x * 2

    with pytest.raises(tg.errors.GradientError, match="watched already"):
        step(np.ones(2))


def test_a_compiled_step_is_seen_as_its_code_computes_it() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    optimizer = tg.optim.SGD([w], lr=0.1)

    @tg.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = ((w - x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    x = np.array([3.0, 3.0])
    step(x)
    with tg.watch() as graph:
        step(x)
    assert [node.operation for node in graph if node.operation] == ["subtract", "power", "sum"]
    assert graph["w"].adjoint is not None


def test_no_grad_and_other_threads_of_control_stay_as_they_are() -> None:
    x = leaf([2.0])
    with tg.watch() as graph:
        with tg.no_grad():
            y = x * 3
        assert not y.requires_grad
    assert names(graph) == ["x", "y"]
    with tg.no_grad(), tg.watch() as graph:
        assert not (x * 3).requires_grad
    (x * 3).sum().backward()
    assert len(graph) == 2


def test_watching_changes_no_bit() -> None:
    network, X, y = figure_1(50)
    for _ in range(2):
        tg.binary_cross_entropy(network(X), y).backward()
    expected = [slope(p).copy() for p in network.parameters()]
    network.zero_grad()
    with tg.watch():
        for _ in range(2):
            tg.binary_cross_entropy(network(X), y).backward()
    for p, g in zip(network.parameters(), expected, strict=True):
        assert slope(p).tobytes() == g.tobytes()
        assert slope(p).base is None


def test_the_users_own_locals_stay_as_they_are() -> None:
    x = leaf([1.0])
    own = locals()
    with tg.watch() as graph:
        x * 2
    assert own["x"] is x
    assert names(graph)[0] == "x"


def test_transforms_and_checkpoints_are_seen_and_change_nothing() -> None:
    def f(x: Any) -> Any:
        return (tg.checkpoint(lambda v: tg.exp(v) * v)(x) ** 2).sum()

    x = np.array([0.3, 0.5])
    expected = [tg.grad(f)(x).data, tg.jvp(f, (x,), (x,))[1].data, tg.hessian(f)(x).data]
    with tg.watch() as graph:
        found = [tg.grad(f)(x).data, tg.jvp(f, (x,), (x,))[1].data, tg.hessian(f)(x).data]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(graph) > 10
    assert len(str(graph).splitlines()) == len(graph) + 1
    graph.to_svg()


def test_an_error_in_the_body_leaves_a_graph_and_ends_the_watching() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError), tg.watch() as graph:
        y = x * 2
        y + np.ones(3)
    assert [node.operation for node in graph] == ["", "multiply"]
    x * 3
    assert len(graph) == 2


def test_a_recorded_graph_has_the_names_of_the_callers_variables() -> None:
    W1, W2 = leaf(np.ones((2, 2))), leaf(np.ones((2, 2)))
    loss = (W1 @ W2).sum()
    assert names(tg.graph(loss)) == ["W1", "W2", "matmul1", "loss"]


@pytest.mark.parametrize("recorded", [True, False])
def test_an_output_does_not_take_anothers_name(recorded: bool) -> None:
    w = tg.tensor([[3.0, 1.0], [1.0, 2.0]], requires_grad=recorded)
    with tg.watch() as graph:
        u, s, v = tg.linalg.svd(w)
        total = s.sum()
    assert names(graph) == ["w", "svd1", "s", "total" if recorded else "sum1"]
    assert graph["s"].parents == [graph["svd1"]]
    np.testing.assert_array_equal(graph["s"].value, s.data)
    assert graph.get(u) is graph.get(v) is None
    assert total.requires_grad == recorded


def test_of_two_passes_the_last_one_is_told() -> None:
    x = leaf([1.0, 2.0])
    with tg.watch() as graph:
        y = tg.exp(x)
        first = y.sum()
        first.backward(retain_graph=True)
        (y * y).sum().backward()
    assert graph[first].adjoint is None
    assert "first" not in graph.to_latex()
    assert graph.to_latex().count("&=1 ") == 1
    assert len(graph["y"].contributions) == 2
