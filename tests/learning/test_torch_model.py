import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bflmec.errors import ConfigError, MissingExtraError
from bflmec.learning.evaluation import accuracy
from bflmec.learning.models import create_model
from bflmec.learning.schedule import Schedule
from bflmec.learning.torch_model import TorchModel

torch = pytest.importorskip("torch")
nn = torch.nn


def linear(features: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, classes))


def mlp(features: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 200), nn.ReLU(), nn.Linear(200, classes))


def cnn(features: int, classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, classes)
    )


def with_dropout(features: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 32), nn.Dropout(0.5), nn.Linear(32, classes))


def with_batch_norm(features: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(features), nn.Linear(features, classes))


def in_float64(features: int, classes: int) -> nn.Module:
    return linear(features, classes).double()


class Counting(nn.Module):
    """Its result depends on how often it was called, through a buffer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        self.calls += 1
        return self.linear(x) * self.calls


def world(clients: int, samples: int = 23, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Schedule]:
    rng = np.random.default_rng(seed)
    schedule = Schedule.stack([Schedule.draw(rng, samples, 2, 10) for _ in range(clients)])
    return rng.random((clients, samples, 64), np.float32), rng.integers(0, 10, (clients, samples)), schedule


@pytest.mark.parametrize(("name", "factory"), [("logistic", linear), ("mlp-200", mlp)])
@pytest.mark.parametrize("proximal", [0.0, 0.7])
def test_torch_and_numpy_agree(name: str, factory: object, proximal: float) -> None:
    ours, theirs = create_model(name, 64, 10), TorchModel(name, factory, 64, 10)
    assert ours.spec == theirs.spec
    x, y, schedule = world(3)
    base = np.stack([ours.init(np.random.default_rng(client)) for client in range(3)])
    trained = [model.train(base, x, y, schedule, 0.05, proximal) for model in (ours, theirs)]
    np.testing.assert_allclose(*trained, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.logits(base[0], x[0]), theirs.logits(base[0], x[0]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("factory", [cnn, with_dropout, Counting])
def test_a_client_gets_the_same_bits_alone_and_together(factory: object) -> None:
    model = TorchModel("mine", factory, 64, 10)
    x, y, schedule = world(3)
    base = np.stack([model.init(np.random.default_rng(client)) for client in range(3)])
    together = model.train(base, x, y, schedule, 0.05)
    for client in (2, 0, 1):
        one = slice(client, client + 1)
        alone = model.train(base[one], x[one], y[one], Schedule(schedule.orders[one], 10), 0.05)
        assert np.array_equal(alone, together[one])


def test_a_cnn_learns_digits() -> None:
    data = load_digits()
    x, y = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    model, rng = TorchModel("cnn", cnn, 64, 10), np.random.default_rng(0)
    schedule = Schedule.draw(rng, 1400, 4, 10)
    trained = model.train(model.init(rng)[None], x[None, :1400], y[None, :1400], schedule, 0.1)
    assert accuracy(model, trained[0], x[1400:], y[1400:]) > 0.88


def test_init_depends_on_the_seed_alone() -> None:
    model = TorchModel("cnn", cnn, 64, 10)
    first, again, other = (model.init(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_global_state_of_torch_is_left_as_it_was() -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    model = TorchModel("dropout", with_dropout, 64, 10)
    x, y, schedule = world(1)
    model.train(model.init(np.random.default_rng(0))[None], x, y, schedule, 0.05)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_works_inside_no_grad() -> None:
    model = TorchModel("linear", linear, 64, 10)
    x, y, schedule = world(1)
    base = model.init(np.random.default_rng(0))[None]
    with torch.no_grad():
        assert not np.array_equal(model.train(base, x, y, schedule, 0.05), base)


def test_arguments_are_left_alone() -> None:
    model = TorchModel("linear", linear, 64, 10)
    x, y, schedule = world(1)
    base = model.init(np.random.default_rng(0))[None]
    for array in (base, x, y):
        array.flags.writeable = False
    trained = model.train(base, x, y, schedule, 0.05, proximal=0.1)
    kept = trained.copy()
    model.logits(base[0], x[0])
    assert np.array_equal(trained, kept)
    assert np.array_equal(model.train(base, x, y, schedule, 0.05, proximal=0.1), kept)


def test_a_model_is_found_by_its_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import torch\n\ndef net(features, classes):\n    return torch.nn.Linear(features, classes)\n"
    (tmp_path / "nets_of_a_user.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    model = create_model("torch:nets_of_a_user:net", 4, 3)
    assert model.name == "torch:nets_of_a_user:net"
    assert model.spec.tensors == (("bias", (3,)), ("weight", (3, 4)))


@pytest.mark.parametrize("path", ["", ":", "nowhere:net", "json:nothing", "json", "json:dumps"])
def test_an_import_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        create_model(f"torch:{path}", 4, 3)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (with_batch_norm, "running statistics"),
        (in_float64, "does not map|float32"),
        (lambda features, classes: linear(features, classes + 1), r"to \(2, 11\)"),
        (lambda features, classes: linear(features + 1, classes), "does not map"),
        (lambda features, classes: None, "does not map"),
        (lambda features, classes: nn.Flatten(), r"to \(2, 64\)"),
    ],
)
def test_modules_that_do_not_fit_are_refused(factory: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TorchModel("bad", factory, 64, 10)


def test_a_module_without_parameters_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one tensor"):
        TorchModel("empty", lambda features, classes: nn.Flatten(), 10, 10)


def test_missing_torch_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bflmec\[torch\]'"):
        TorchModel("linear", linear, 64, 10)
