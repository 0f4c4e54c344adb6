"""The rules that a ledger commits to."""

import json

import pytest

from bflmec.errors import ConfigError
from bflmec.learning.pipeline import Pipeline
from bflmec.learning.rules import DEFAULT_RULES, PAPER_RULES, PRESETS, AggregationRules


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k_min", 0),
        ("k_min", 2.5),
        ("history", -1),
        ("history", 1001),
        ("clip", 0),
        ("clip", float("nan")),
        ("gap", 0.9),
        ("eps", float("inf")),
        ("min_samples", 0),
        ("norm_weight", -1),
        ("norm_cap", 0),
        ("base_reward", -1),
        ("base_reward", 2**96),
        ("mode", "gradient"),
        ("options", {"x": float("nan")}),
        ("options", {"x": [1]}),
    ],
)
def test_an_impossible_value_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError):
        AggregationRules(**{name: value})


def test_weights_are_not_clipped() -> None:
    with pytest.raises(ConfigError, match="clip"):
        AggregationRules(mode="weights")
    assert AggregationRules(mode="weights", clip=None).clip is None


@pytest.mark.parametrize("name", ["features", "clustering", "reference", "theta", "strategy"])
def test_an_unknown_plug_in_is_refused_when_the_rules_are_put_to_use(name: str) -> None:
    with pytest.raises(ConfigError, match="no-such-thing"):
        Pipeline.of(AggregationRules(**{name: "no-such-thing"}))


def test_the_canonical_form_is_plain_json_of_integers_and_strings() -> None:
    plain = DEFAULT_RULES.canonical()
    assert all(type(value) in (int, str) for value in plain.values())
    assert json.loads(json.dumps(plain)) == plain


def test_the_canonical_form_of_the_defaults_is_the_committed_one() -> None:
    assert DEFAULT_RULES.canonical() == {
        "version": 1,
        "mode": "delta",
        "strategy": "discard",
        "theta": "mean-cosine",
        "features": "direction-and-norm",
        "norm_weight": "4.0",
        "norm_cap": "1.1",
        "clustering": "linkage-gap",
        "gap": "1.2",
        "eps": "none",
        "min_samples": "none",
        "reference": "median",
        "require_majority": 1,
        "history": 60,
        "clip": "1.5",
        "k_min": 3,
        "base_reward": 100 * 10**18,
    }


def test_equal_rules_have_one_canonical_form() -> None:
    one = AggregationRules(norm_weight=4, options={"b": 1, "a": "x"})
    other = AggregationRules(norm_weight=4.0, options={"a": "x", "b": 1})
    assert json.dumps(one.canonical()) == json.dumps(other.canonical())


@pytest.mark.parametrize(
    "changed",
    [{"gap": 1.25}, {"k_min": 4}, {"clip": None}, {"theta": "uniform"}, {"options": {"a": 1}}, {"options": {"a": "1"}}],
)
def test_other_rules_have_another_canonical_form(changed: dict) -> None:
    assert AggregationRules(**changed).canonical() != DEFAULT_RULES.canonical()


def test_an_option_and_its_text_differ() -> None:
    forms = [AggregationRules(options={"a": value}).canonical()["options.a"] for value in (1, 1.0, "1", "1.0")]
    assert len(set(forms)) == 4


def test_the_paper_preset_is_the_literal_reading() -> None:
    assert PRESETS["paper"] is PAPER_RULES
    assert (PAPER_RULES.mode, PAPER_RULES.features, PAPER_RULES.clustering) == ("weights", "euclidean", "dbscan")
    assert (PAPER_RULES.eps, PAPER_RULES.min_samples, PAPER_RULES.reference) == (0.5, 5, "mean")
    assert (PAPER_RULES.theta, PAPER_RULES.history, PAPER_RULES.clip) == ("reference-distance", 0, None)


@pytest.mark.parametrize("rules", PRESETS.values(), ids=PRESETS)
def test_presets_may_serve_a_quorum(rules: AggregationRules) -> None:
    Pipeline.of(rules).require_deterministic()
