import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from bflmec.errors import ConfigError
from bflmec.learning import dense_training
from bflmec.learning.dense import DenseNetwork
from bflmec.learning.evaluation import accuracy, loss
from bflmec.learning.models import Model, create_model, models
from bflmec.learning.schedule import Schedule

NETWORKS = {
    "logistic": DenseNetwork("logistic", 12, 11),
    "one hidden": DenseNetwork("one hidden", 12, 11, (9,)),
    "two hidden": DenseNetwork("two hidden", 12, 11, (9, 5)),
}
BUILT_IN = ["logistic", "mlp-200", "mlp-200-200"]
FORMS: list[dense_training.FirstLayerForm] = ["gram", "direct"]


def world(model: Model, clients: int, samples: int, epochs: int = 2, batch_size: int = 10) -> dict:
    rng = np.random.default_rng(samples)
    drawn = [Schedule.draw(rng, samples, epochs, batch_size) for _ in range(clients)]
    return {
        "base": np.stack([model.init(rng) + rng.normal(0, 0.1, model.spec.size).astype(np.float32) for _ in drawn]),
        "x": rng.random((clients, samples, model.features), np.float32),
        "y": rng.integers(0, model.classes, (clients, samples)),
        "schedule": Schedule.stack(drawn),
        "learning_rate": 0.1,
    }


def some(task: dict, part: slice) -> dict:
    cut = {name: task[name][part] for name in ("base", "x", "y")}
    return {**task, **cut, "schedule": Schedule(task["schedule"].orders[part], task["schedule"].batch_size)}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(dense_training, "cheaper_form", lambda *_, **__: request.param)
    return str(request.param)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("samples", [1, 7, 20, 21], ids=lambda samples: f"{samples} samples")
@pytest.mark.parametrize("proximal", [0.0, 0.5])
def test_a_client_gets_the_same_bits_in_every_batch_of_clients(network: Model, samples: int, proximal: float) -> None:
    task = world(network, 20, samples)
    together = network.train(**task, proximal=proximal)
    for size in (1, 2, 7):
        for start in range(0, 20, size):
            part = slice(start, start + size)
            assert np.array_equal(network.train(**some(task, part), proximal=proximal), together[part])


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_models_get_the_same_bits_alone_and_together(name: str) -> None:
    model = create_model(name, 784, 10)
    task = world(model, 8, 75)
    together = model.train(**task)
    alone = [model.train(**some(task, slice(client, client + 1)))[0] for client in range(8)]
    assert np.array_equal(np.stack(alone), together)


@pytest.mark.parametrize("name", BUILT_IN)
def test_training_does_not_depend_on_the_number_of_blas_threads(name: str) -> None:
    model = create_model(name, 784, 10)
    task = world(model, 2, 75)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            results.append(model.train(**task))
    assert np.array_equal(*results)


@pytest.mark.usefixtures("form")
def test_training_does_not_depend_on_memory_layout() -> None:
    network = NETWORKS["one hidden"]
    task = world(network, 3, 21)
    odd = {**task, "x": np.asfortranarray(task["x"]), "base": np.asfortranarray(task["base"])}
    assert np.array_equal(network.train(**task), network.train(**odd))


@pytest.mark.usefixtures("form")
def test_training_leaves_its_arguments_alone() -> None:
    network = NETWORKS["two hidden"]
    task = world(network, 3, 21)
    for name in ("base", "x", "y"):
        task[name].flags.writeable = False
    network.train(**task, proximal=0.5)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@given(
    samples=st.integers(1, 30),
    epochs=st.integers(1, 3),
    batch_size=st.integers(1, 12),
    proximal=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=25, deadline=None)
def test_both_forms_of_the_first_layer_agree(
    network: DenseNetwork, samples: int, epochs: int, batch_size: int, proximal: float
) -> None:
    task = world(network, 2, samples, epochs, batch_size)
    results = []
    for form in FORMS:
        trained = np.empty_like(task["base"])
        layers, new_layers = network._layers(task["base"]), network._layers(trained)
        dense_training.train(layers, new_layers, task["x"], task["y"], task["schedule"], 0.1, proximal, form)
        results.append(trained)
    np.testing.assert_allclose(*results, rtol=0, atol=2e-5)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_step_follows_the_gradient_that_autograd_finds(network: Model) -> None:
    torch = pytest.importorskip("torch")
    task = world(network, 1, 15, epochs=1, batch_size=15)
    weights = torch.tensor(task["base"][0], dtype=torch.float64, requires_grad=True)
    start, parts = 0, {}
    for name, shape in network.spec.tensors:
        parts[name] = weights[start : start + math.prod(shape)].reshape(shape)
        start += math.prod(shape)
    z = torch.tensor(task["x"][0], dtype=torch.float64)
    for index in range(len(parts) // 2):
        z = torch.nn.functional.linear(
            z.relu() if index else z, parts[f"{2 * index}.weight"], parts[f"{2 * index}.bias"]
        )
    torch.nn.functional.cross_entropy(z, torch.tensor(task["y"][0])).backward()
    step = task["base"][0] - network.train(**task)[0]
    np.testing.assert_allclose(step / 0.1, weights.grad.numpy(), rtol=0, atol=5e-6)


@pytest.mark.usefixtures("form")
def test_one_step_lowers_the_loss_as_its_slope_says() -> None:
    network = NETWORKS["two hidden"]
    task = {**world(network, 1, 15, epochs=1, batch_size=15), "learning_rate": 1e-3}
    before, after = task["base"][0], network.train(**task)[0]
    slope = float(np.sum(((before - after) / 1e-3) ** 2)) * 1e-3
    x, y = task["x"][0], task["y"][0]
    assert loss(network, before, x, y) - loss(network, after, x, y) == pytest.approx(slope, rel=0.05)


@pytest.mark.usefixtures("form")
def test_the_proximal_term_holds_clients_near_their_start() -> None:
    network = NETWORKS["one hidden"]
    task = world(network, 2, 20, epochs=10)
    distances = [
        float(np.linalg.norm(network.train(**task, proximal=proximal) - task["base"])) for proximal in (0, 1, 5)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[2] < distances[0] / 2


@pytest.mark.usefixtures("form")
def test_diverged_training_says_so_by_numbers_that_are_not_finite() -> None:
    network = NETWORKS["two hidden"]
    task = {**world(network, 1, 20), "learning_rate": 1e30}
    assert not np.isfinite(network.train(**task)).all()


def test_logits_survive_huge_weights() -> None:
    network = NETWORKS["logistic"]
    task = {**world(network, 1, 20), "base": np.full((1, network.spec.size), 1e4, np.float32)}
    assert np.isfinite(network.train(**task)).all()


@pytest.mark.parametrize("name", BUILT_IN)
def test_digits_are_learnt(name: str) -> None:
    data = load_digits()
    x, y = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    model = create_model(name, 64, 10)
    rng = np.random.default_rng(0)
    trained = model.train(model.init(rng)[None], x[None, :1400], y[None, :1400], Schedule.draw(rng, 1400, 5, 10), 0.1)
    assert accuracy(model, trained[0], x[1400:], y[1400:]) > 0.88


@pytest.mark.parametrize(("name", "parameters"), [("logistic", 7850), ("mlp-200", 159_010), ("mlp-200-200", 199_210)])
def test_sizes_on_mnist(name: str, parameters: int) -> None:
    model = create_model(name, 784, 10)
    assert model.spec.size == parameters
    assert model.init(np.random.default_rng(0)).shape == (parameters,)


def test_logistic_regression_starts_at_zero_and_networks_as_their_seed_says() -> None:
    assert not create_model("logistic", 64, 10).init(np.random.default_rng(0)).any()
    network = create_model("mlp-200", 64, 10)
    first, again, other = (network.init(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_blob_loads_into_the_same_network_of_torch() -> None:
    torch = pytest.importorskip("torch")
    network = NETWORKS["two hidden"]
    weights = network.init(np.random.default_rng(0))
    module = torch.nn.Sequential(
        torch.nn.Linear(12, 9), torch.nn.ReLU(), torch.nn.Linear(9, 5), torch.nn.ReLU(), torch.nn.Linear(5, 11)
    )
    module.load_state_dict({name: torch.tensor(part) for name, part in network.spec.unflatten(weights).items()})
    x = np.random.default_rng(1).random((6, 12), np.float32)
    np.testing.assert_allclose(network.logits(weights, x), module(torch.tensor(x)).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(("features", "classes", "hidden"), [(0, 10, ()), (4, 1, ()), (4, 2, (0,))])
def test_impossible_sizes_are_refused(features: int, classes: int, hidden: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError):
        DenseNetwork("impossible", features, classes, hidden)


def test_an_unknown_model_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mlp-200'"):
        create_model("mlp200", 4, 2)
    assert set(BUILT_IN) <= set(models.names())


def test_the_cheaper_form_depends_on_the_client_alone() -> None:
    assert dense_training.cheaper_form(75, 5, inputs=784, units=10) == "gram"
    assert dense_training.cheaper_form(600, 5, inputs=784, units=10) == "direct"
    assert dense_training.cheaper_form(75, 5, inputs=784, units=200) == "gram"
    assert dense_training.cheaper_form(75, 5, inputs=64, units=10) == "direct"
