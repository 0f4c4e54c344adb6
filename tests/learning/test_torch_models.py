"""The convolutional models that come along."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bflmec.errors import ConfigError
from bflmec.learning.evaluation import accuracy
from bflmec.learning.models import create_model, models
from bflmec.learning.schedule import Schedule
from bflmec.learning.torch_models import image_shape

PROGRAM = """
import numpy as np, sys, zlib
from bflmec.learning.models import create_model
from bflmec.learning.schedule import Schedule
model, rng = create_model("cnn-small", 64, 10), np.random.default_rng(1)
base, x, y = model.init(rng)[None], rng.random((1, 30, 64), np.float32), rng.integers(0, 10, (1, 30))
trained = model.train(base, x, y, Schedule.draw(rng, 30, 2, 10), 0.05, 0.1)
print(zlib.crc32(base.tobytes()), zlib.crc32(trained.tobytes()))
"""


@pytest.mark.parametrize(
    ("name", "features", "parameters"),
    [
        ("cnn-mcmahan", 784, 1_663_370),
        ("cnn-small", 784, 11_274),
        ("cnn-small", 64, 4_074),
        ("cnn-small", 3072, 14_074),
    ],
)
def test_parameters_are_counted(name: str, features: int, parameters: int) -> None:
    model = create_model(name, features, 10)
    assert (model.name, model.spec.size) == (name, parameters)
    assert name in models.names()


def test_mcmahans_layers_have_the_papers_shapes() -> None:
    assert dict(create_model("cnn-mcmahan", 784, 10).spec.tensors) == {
        "1.weight": (32, 1, 5, 5),
        "1.bias": (32,),
        "4.weight": (64, 32, 5, 5),
        "4.bias": (64,),
        "8.weight": (512, 3136),
        "8.bias": (512,),
        "10.weight": (10, 512),
        "10.bias": (10,),
    }


@pytest.mark.parametrize("name", ["cnn-small", "cnn-mcmahan"])
def test_they_learn_digits(name: str) -> None:
    data = load_digits()
    x, y = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    model, rng = create_model(name, 64, 10), np.random.default_rng(0)
    schedule = Schedule.draw(rng, 1400, 4, 10)
    trained = model.train(model.init(rng)[None], x[None, :1400], y[None, :1400], schedule, 0.1)
    assert accuracy(model, trained[0], x[1400:], y[1400:]) > 0.85


@pytest.mark.parametrize(
    ("features", "shape"), [(64, (1, 8, 8)), (784, (1, 28, 28)), (3072, (3, 32, 32)), (48, (3, 4, 4)), (16, (1, 4, 4))]
)
def test_an_images_shape_follows_from_its_size(features: int, shape: tuple[int, int, int]) -> None:
    assert image_shape(features) == shape


@pytest.mark.parametrize("features", [1, 13, 9, 27, 785])
def test_what_is_no_image_is_refused(features: int) -> None:
    with pytest.raises(ConfigError, match="square images"):
        create_model("cnn-small", features, 10)


def test_the_same_seed_gives_the_same_bits_in_every_process() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
