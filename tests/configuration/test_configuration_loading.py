"""From a TOML file and single settings to a checked configuration, or to an error that says what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.configuration import Config, load, parse_settings
from bflmec.configuration.presets import DEFAULT, PAPER
from bflmec.errors import ConfigError

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str | bytes) -> Path:
        path = tmp_path / "config.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


# ---------------------------------------------------------------- what wins over what


def test_nothing_given_is_the_default() -> None:
    assert load() == DEFAULT == Config()


def test_a_file_changes_what_it_names(write: Write) -> None:
    config = load(write("[experiment]\nclients = 20\n[world]\narea = 500\n"))
    assert (config.experiment.clients, config.world.area) == (20, 500.0)
    assert config.learning == DEFAULT.learning


def test_settings_win_over_the_file(write: Write) -> None:
    config = load(write("[experiment]\nclients = 20\nseed = 5\n"), ["clients=30"])
    assert (config.experiment.clients, config.experiment.seed) == (30, 5)


def test_the_last_of_two_settings_wins() -> None:
    assert load(settings=["clients=30", "experiment.clients=40"]).experiment.clients == 40


def test_a_preset_comes_first(write: Write) -> None:
    config = load(write('preset = "paper"\n[learning]\nstart_from = "anchor"\n'))
    assert config.preset == "paper"
    assert config.aggregation.mode == "weights"
    assert (config.learning.start_from, config.learning.after_training) == ("anchor", "accumulate")


def test_a_preset_can_be_a_setting(write: Write) -> None:
    assert load(write('preset = "default"\n'), ["preset=paper"]) == PAPER


def test_the_paper_preset_has_the_papers_figures() -> None:
    experiment, learning, ledger = PAPER.experiment, PAPER.learning, PAPER.ledger
    assert (experiment.clients, experiment.edge_nodes) == (100, 2)
    assert (learning.learning_rate, learning.epochs, learning.batch_size) == (0.01, 5, 10)
    assert (learning.data_threshold, ledger.aggregation_threshold, ledger.base_reward) == (75, 5, 100)
    assert load(settings=["preset=paper"]) == PAPER


def test_the_base_reward_is_counted_in_the_tokens_smallest_unit() -> None:
    assert load(settings=["base_reward=7"]).aggregation.base_reward == 7 * 10**18


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("dataset=digits", "digits"),
        ('dataset="digits"', "digits"),
        ("data.dataset = digits", "digits"),
        ("dataset=", ""),
    ],
)
def test_text_needs_no_quotes(setting: str, value: str) -> None:
    assert load(settings=[setting]).data.dataset == value


def test_a_whole_number_is_a_number() -> None:
    area = load(settings=["area=500"]).world.area
    assert (area, type(area)) == (500.0, float)


def test_none_takes_a_value_away() -> None:
    assert load(settings=["clip=none"]).aggregation.clip is None


def test_options_of_plug_ins_are_a_table() -> None:
    assert load(settings=["options={radius = 2, kind = 'ball'}"]).aggregation.options == {"radius": 2, "kind": "ball"}


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("clinets=5", "did you mean 'clients'"),
        ("experiment.clinets=5", "did you mean 'clients'"),
        ("expermient.clients=5", r"did you mean 'experiment'"),
        ("world.clients=5", r"it belongs to \[experiment\]"),
        ("quux=5", "known: "),
        ("preset=papre", "did you mean 'paper'"),
        ("clients", "key=value"),
        ("mode=5", "aggregation.mode"),
        ("difficulty=5", "ledger.difficulty or chain.difficulty"),
        ("clients=many", "a whole number"),
        ("clients=1.5", "a whole number"),
        ("clients=true", "a whole number"),
        ("area=true", "a number"),
        ("archive=1", "true or false"),
        ("dataset=5", "a string"),
        ("options=5", "a table"),
        ("mobility=flying", "'waypoint', 'static'"),
        ("clients=0", "between 1 and 100000"),
        ("clients=-1", "between"),
        ("seed=-1", "at least 0"),
        ("alpha=nan", "finite"),
        ("hash_rate=inf", "finite"),
        ("horizon=-inf", "finite"),
        ("eps=inf", "finite"),
        (f"seed={10**40}", "at most"),
        (f"area={10**400}", "at most"),
        (f"seed={'9' * 5000}", "a whole number"),
        ("aggregation.base_reward=5", r"it belongs to \[ledger\]"),
        ("clip=0", "clip"),
        ("history=1.5", "a whole number"),
        ("options={radius = [1]}", "radius"),
        ("options={radius = inf}", "radius"),
    ],
)
def test_a_wrong_setting_is_explained(setting: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(settings=[setting])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[expermient]\nclients = 5\n", "did you mean 'experiment'"),
        ("[experiment]\nclinets = 5\n", "did you mean 'clients'"),
        ("clients = 5\n", "clients"),
        ("experiment = 5\n", "must be a section"),
        ("preset = 5\n", "preset must be a string"),
        ("[experiment\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (f"[experiment]\nseed = {'9' * 5000}\n", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        (b"#" * (2**20 + 1), "no configuration"),
    ],
)
def test_a_wrong_file_is_explained(write: Write, text: str | bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(write(text))


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't read .*bflmec config"):
        load(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["samples_per_client=70"], "can never be reached"),
        (["samples_per_client=2", "data_threshold=2", "batch_size=1"], "can never be reached"),
        (["samples_per_client=100", "data_threshold=90", "strict_threshold=true"], "can never be reached"),
        (["batch_size=76"], "batch_size"),
        (["aggregation_threshold=2"], "k_min"),
        (["clients=4"], "aggregation_threshold = 10"),
        (["clients=5", "strict_threshold=true"], "aggregation_threshold = 11"),
        (["speed_least=30"], "speed_least"),
        (["after_training=sliding", "sliding_window=74"], "sliding_window"),
        (["mode=weights"], "clip"),
        (["max_transactions=300"], "archive"),
    ],
)
def test_settings_that_are_impossible_together_are_refused(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(settings=settings)


@given(st.lists(st.text(), max_size=3))
def test_any_settings_give_a_configuration_or_a_config_error(settings: list[str]) -> None:
    try:
        assert isinstance(load(settings=settings), Config)
    except ConfigError:
        return


@given(st.text(max_size=30))
def test_any_value_of_a_text_key_is_taken_or_refused(text: str) -> None:
    try:
        value = parse_settings([f"data.directory={text}"])["data"]["directory"]
        load(settings=[f"data.directory={text}"])
    except ConfigError:
        assert not isinstance(value, str)
