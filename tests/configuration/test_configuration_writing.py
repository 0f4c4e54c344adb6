"""A configuration as a commented TOML file: every key explained, and loading gives the same configuration back."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bflmec.configuration import Config, as_toml, load
from bflmec.configuration.presets import PRESETS
from bflmec.configuration.schema import bounds, help_texts, keys, sections

KEYS = [(section, name) for section in sections() for name in keys(section)]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def reloaded(config: Config, folder: Path) -> Config:
    path = folder / "config.toml"
    path.write_text(as_toml(config), encoding="utf-8")
    return load(path)


def values_of(section: str, name: str) -> st.SearchStrategy[Any]:
    """Values that fit the key's type and range."""
    kind = keys(section)[name]
    least, most = bounds(section, name) or (0, 10**6)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(int(least), int(min(most, 10**6)))
    if kind is float:
        return st.floats(least, min(most, 1e30))
    return TEXT if kind is str else st.nothing()


COUPLED = {
    *("clients", "samples_per_client", "holdout", "data_threshold", "strict_threshold", "batch_size", "per_client"),
    *("aggregation_threshold", "after_training", "sliding_window", "speed_least", "speed_most"),
    *("max_transactions", "archive"),
}
"""Keys whose values have to fit each other."""

changeable = [
    (section, name)
    for section, name in KEYS
    if section != "aggregation" and name not in COUPLED and name != "base_reward"
]
changes = st.lists(
    st.sampled_from(changeable).flatmap(lambda key: st.tuples(st.just(key), values_of(*key))), max_size=12
)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_its_file(name: str, tmp_path: Path) -> None:
    assert reloaded(PRESETS[name], tmp_path) == PRESETS[name]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
def test_any_configuration_survives_its_file(tmp_path: Path, changed: list[tuple[tuple[str, str], Any]]) -> None:
    config = Config()
    for (section, name), value in changed:
        config = replace(config, **{section: replace(getattr(config, section), **{name: value})})
    assert reloaded(config, tmp_path) == config


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(TEXT, st.integers(-(10**20), 10**20) | TEXT | st.floats(-1e30, 1e30), max_size=4))
def test_any_options_of_plug_ins_survive_their_file(tmp_path: Path, options: dict[str, Any]) -> None:
    config = replace(Config(), aggregation=replace(Config().aggregation, options=options))
    assert reloaded(config, tmp_path) == config


@pytest.mark.parametrize(("section", "name"), KEYS)
def test_every_key_has_its_meaning_and_its_range(section: str, name: str) -> None:
    text = help_texts(section)[name]
    assert text.endswith(".")
    limits = bounds(section, name)
    if limits is not None:
        assert limits[0] <= getattr(getattr(Config(), section), name) <= limits[1]


@pytest.mark.parametrize("section", sections())
def test_every_section_has_a_heading(section: str) -> None:
    heading = (sections()[section].__doc__ or "").split("\n")[0]
    assert heading.endswith(".")
    assert f"# {heading[:40]}" in as_toml(Config())


def test_every_number_outside_of_the_rules_has_a_range() -> None:
    for section, name in KEYS:
        if section != "aggregation" and keys(section)[name] in (int, float):
            assert bounds(section, name) is not None, f"{section}.{name}"


def test_the_file_names_every_key_once() -> None:
    document = tomllib.loads(as_toml(Config()))
    assert document.pop("preset") == "default"
    assert [(section, name) for section, table in document.items() for name in table] == KEYS
    assert list(document) == [field.name for field in fields(Config) if field.name != "preset"]


def test_lines_of_the_file_stay_short() -> None:
    assert max(map(len, as_toml(Config()).splitlines())) <= 100
