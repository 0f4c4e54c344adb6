import numpy as np
import pytest

from bflmec.errors import DataError
from bflmec.learning import evaluation
from bflmec.learning.evaluation import HeldOut, accuracy, client_accuracies, loss
from bflmec.learning.models import create_model

MODEL = create_model("mlp-200", 6, 3)
RNG = np.random.default_rng(0)
WEIGHTS = [MODEL.init(RNG) for _ in range(3)]
X, Y = RNG.random((50, 6), np.float32), RNG.integers(0, 3, 50)


def test_accuracy_counts_the_largest_logits() -> None:
    expected = float(np.mean(MODEL.logits(WEIGHTS[0], X).argmax(1) == Y))
    assert accuracy(MODEL, WEIGHTS[0], X, Y) == expected


def test_loss_is_the_mean_cross_entropy() -> None:
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.cross_entropy(torch.tensor(MODEL.logits(WEIGHTS[0], X)), torch.tensor(Y))
    assert loss(MODEL, WEIGHTS[0], X, Y) == pytest.approx(float(expected), abs=1e-6)


def test_the_loss_of_an_untrained_logistic_regression_is_the_entropy_of_guessing() -> None:
    model = create_model("logistic", 6, 3)
    assert loss(model, model.init(RNG), X, Y) == pytest.approx(np.log(3))


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = accuracy(MODEL, WEIGHTS[0], X, Y), loss(MODEL, WEIGHTS[0], X, Y)
    monkeypatch.setattr(evaluation, "SAMPLES_AT_ONCE", 7)
    assert (accuracy(MODEL, WEIGHTS[0], X, Y), loss(MODEL, WEIGHTS[0], X, Y)) == pytest.approx(whole)


def test_each_client_is_measured_on_its_own_samples_with_the_model_that_it_holds() -> None:
    owned = [np.array([3, 1]), np.array([40]), np.arange(10, 30)]
    found = client_accuracies(MODEL, WEIGHTS, HeldOut.of(X, Y, owned))
    expected = [accuracy(MODEL, own, X[rows], Y[rows]) for own, rows in zip(WEIGHTS, owned, strict=True)]
    assert found.tolist() == expected


def test_a_client_without_held_out_samples_is_refused() -> None:
    with pytest.raises(DataError, match="hold out"):
        HeldOut.of(X, Y, [np.arange(3), np.arange(0)])


@pytest.mark.parametrize(("x", "y"), [(X[:0], Y[:0]), (X, Y[:-1])])
def test_nothing_to_evaluate_is_refused(x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(DataError, match="as many labels as samples"):
        accuracy(MODEL, WEIGHTS[0], x, y)
    with pytest.raises(DataError, match="as many labels as samples"):
        loss(MODEL, WEIGHTS[0], x, y)
