"""The rules of a ledger and the digest that it commits to."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from bflmec.errors import ConfigError, RulesMismatchError
from bflmec.learning.rules import PAPER_RULES, AggregationRules
from bflmec.protocol.messages import Mode
from bflmec.protocol.rules import Rules

RULES = Rules(model="logistic", parameters=7850)
OTHER: dict[str, Any] = {
    "model": "mlp-200",
    "parameters": 7851,
    "schemes": ("ML-DSA-65",),
    "aggregation_threshold": 11,
    "per_client": 3,
    "omission_limit": 9,
    "aggregation": AggregationRules(history=59),
}


def test_the_digest_of_the_defaults_is_golden() -> None:
    assert RULES.digest.hex() == "40f9073774f37f7ff803279f8127f5f907d42196c5c505d02cce0295f26a8124"


def test_every_field_has_another_value_here() -> None:
    # Whether there is a quorum is no rule that it could disagree about.
    assert OTHER.keys() == {field.name for field in fields(Rules)} - {"quorum"}


@pytest.mark.parametrize("name", OTHER)
def test_every_field_changes_the_digest(name: str) -> None:
    assert replace(RULES, **{name: OTHER[name]}).digest != RULES.digest


def test_the_order_of_schemes_does_not_matter() -> None:
    both = replace(RULES, schemes=("ML-DSA-44", "ML-DSA-65"))
    assert both.digest == replace(RULES, schemes=("ML-DSA-65", "ML-DSA-44")).digest


def test_other_rules_than_the_ledgers_are_refused() -> None:
    RULES.require(RULES.digest)
    with pytest.raises(RulesMismatchError, match="committed to"):
        RULES.require(replace(RULES, per_client=3).digest)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aggregation_threshold": 0}, "aggregation_threshold"),
        ({"per_client": 0}, "per_client"),
        ({"omission_limit": 0}, "omission_limit"),
        ({"schemes": ()}, "scheme"),
        ({"aggregation_threshold": 2}, "k_min"),
        ({"aggregation": AggregationRules(clustering="linkage-gab")}, "linkage-gap"),
    ],
)
def test_impossible_rules_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(RULES, **changes)


def test_the_mode_follows_the_aggregation() -> None:
    assert RULES.mode is Mode.DELTA
    assert replace(RULES, aggregation=PAPER_RULES).mode is Mode.WEIGHTS
