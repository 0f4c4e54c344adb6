"""torchvision's data sets, transforms and models fit in, and what doesn't fit is told."""

from __future__ import annotations

import struct
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from bflmec.errors import ConfigError, DataError, MissingExtraError
from bflmec.learning.datasets import DataFolders, load_dataset
from bflmec.learning.models import create_model
from bflmec.learning.schedule import Schedule
from bflmec.learning.torch_model import TorchModel
from bflmec.learning.vision import (
    colour_model,
    dataset_of,
    import_torchvision,
    in_training,
    load_by_name,
    without_running_statistics,
)

torchvision = import_torchvision()
v2 = import_module("torchvision.transforms.v2")
FakeData = torchvision.datasets.FakeData


def idx(values: np.ndarray) -> bytes:
    """The file format of MNIST."""
    return struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.fixture
def tiny_mnist(tmp_path: Path) -> dict[str, np.ndarray]:
    """Twelve images for training and six for testing, in the files that torchvision looks for."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 12), ("t10k", 6)):
        parts[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
        parts[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, count, np.uint8)
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, values in parts.items():
        (folder / name).write_bytes(idx(values))
    return parts


def test_a_data_set_by_name_is_read_from_the_data_folder(tiny_mnist: dict[str, np.ndarray], tmp_path: Path) -> None:
    data = load_dataset("torchvision:MNIST", tmp_path)
    assert (data.name, data.classes, data.shape) == ("torchvision:MNIST", 10, (28, 28))
    images = tiny_mnist["t10k-images-idx3-ubyte"].reshape(6, 784)
    np.testing.assert_array_equal(data.test_x, images.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(data.train_y, tiny_mnist["train-labels-idx1-ubyte"])


def test_what_can_not_be_downloaded_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(DataError, match=str(tmp_path)):
        load_by_name("KMNIST", DataFolders((tmp_path,), tmp_path), lambda line: None)


@pytest.mark.parametrize("name", ["FakeData", "Nothing", "ImageFolder", "__name__", "VisionDataset"])
def test_a_data_set_without_two_parts_by_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set"):
        load_dataset(f"torchvision:{name}", tmp_path)


def test_colour_images_lie_channel_by_channel() -> None:
    fake = FakeData(4, (3, 8, 6), num_classes=5)
    data = dataset_of("fake", fake, FakeData(2, (3, 8, 6), num_classes=5), classes=5)
    assert (data.shape, data.features) == ((3, 8, 6), 144)
    image = np.asarray(fake[1][0])
    np.testing.assert_array_equal(data.train_x[1].reshape(3, 8, 6)[2], image[:, :, 2].astype(np.float32) / 255)
    assert data.train_y[1] == int(fake[1][1])


def test_transforms_are_applied_to_each_image() -> None:
    transform = v2.Compose([v2.Grayscale(), v2.Resize((8, 8)), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
    data = dataset_of("fake", FakeData(4, (3, 20, 20)), FakeData(2, (3, 20, 20)), 10, transform)
    assert data.shape == (8, 8)


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        pytest.param([], [(np.zeros((4, 4), np.uint8), 0)], "no samples", id="nothing"),
        pytest.param([(np.zeros(4, np.uint8), 0)], [], "no image", id="a row"),
        pytest.param([("text", 0)], [], "no image", id="text"),
        pytest.param([(np.zeros((4, 4), np.int64), 0)], [], "no image of bytes", id="whole numbers"),
        pytest.param([(np.zeros((4, 4), np.uint8), "cat")], [], "label", id="a word as label"),
        pytest.param(
            [(np.zeros((4, 4), np.uint8), 0), (np.zeros((4, 5), np.uint8), 0)], [], "resizes", id="several sizes"
        ),
        pytest.param(
            [(np.zeros((4, 4), np.uint8), 0)], [(np.zeros((5, 5), np.uint8), 0)], "give a transform", id="two sizes"
        ),
        pytest.param([(np.full((4, 4), 2.0), 0)], [(np.zeros((4, 4)), 0)], "between 0 and 1", id="beyond 1"),
        pytest.param([(np.full((4, 4), np.nan), 0)], [(np.zeros((4, 4)), 0)], "finite", id="not a number"),
        pytest.param(
            [(np.zeros((4, 4), np.uint8), 7)], [(np.zeros((4, 4), np.uint8), 0)], r"\[0, 3\)", id="a label too high"
        ),
    ],
)
def test_data_that_does_not_fit_is_refused(train: list, test: list, says: str) -> None:
    with pytest.raises(DataError, match=says):
        dataset_of("mine", train, test, classes=3)


def world(features: int) -> tuple[np.ndarray, np.ndarray, Schedule]:
    rng = np.random.default_rng(0)
    x, y = rng.random((1, 12, features), np.float32), rng.integers(0, 10, (1, 12))
    return x, y, Schedule.draw(rng, 12, 1, 4)


@pytest.mark.parametrize(("name", "features"), [("resnet18", 256), ("mobilenet_v3_small", 3 * 32 * 32)])
def test_a_model_by_name_trains_with_the_same_bits_again(name: str, features: int) -> None:
    x, y, schedule = world(features)
    results = []
    for _ in range(2):
        model = create_model(f"torchvision:{name}", features, 10)
        base = model.init(np.random.default_rng(1))[None]
        results.append(model.train(base, x, y, schedule, 0.01))
    assert model.name == f"torchvision:{name}"
    assert np.isfinite(results[0]).all()
    assert not np.array_equal(results[0], base)
    assert np.array_equal(*results)
    assert np.array_equal(model.logits(results[0][0], x[0]), model.logits(results[0][0], x[0]))


@pytest.mark.parametrize("name", ["nothing", "resnet", "", "raft_small"])
def test_an_unknown_model_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        create_model(f"torchvision:{name}", 784, 10)


def test_a_model_that_does_not_take_small_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not map"):
        create_model("torchvision:alexnet", 64, 10)


def test_nothing_with_running_statistics_is_left() -> None:
    module = without_running_statistics(torchvision.models.get_model("resnet18", weights=None))
    assert not [part for part in module.modules() if getattr(part, "track_running_stats", False)]


def test_a_random_transform_acts_in_training_alone_and_follows_from_the_schedule() -> None:
    crop = v2.RandomCrop(8, padding=2)

    def factory(features: int, classes: int, transform: torch.nn.Module) -> torch.nn.Module:
        nn = torch.nn
        return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), transform, nn.Flatten(), nn.Linear(features, classes))

    x, y, schedule = world(64)
    plain = TorchModel("plain", lambda f, c: factory(f, c, torch.nn.Identity()), 64, 10)
    models = [TorchModel("crop", lambda f, c: factory(f, c, in_training(crop)), 64, 10) for _ in range(2)]
    base = np.ones((1, plain.spec.size), np.float32) * np.linspace(0, 1, plain.spec.size, dtype=np.float32)
    assert np.array_equal(plain.logits(base[0], x[0]), models[0].logits(base[0], x[0]))
    first, second = (model.train(base, x, y, schedule, 0.1) for model in models)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, plain.train(base, x, y, schedule, 0.1))


def test_grey_images_become_colour_images() -> None:
    module = colour_model(torch.nn.Conv2d(3, 1, 1, bias=False), 64)
    assert module(torch.ones(2, 64)).shape == (2, 1, 8, 8)


def test_missing_torchvision_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bflmec\[vision\]'"):
        create_model("torchvision:resnet18", 784, 10)
