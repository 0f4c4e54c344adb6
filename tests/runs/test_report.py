"""The report of a run: one file that loads nothing, runs nothing and tells what the metrics tell."""

from __future__ import annotations

import base64
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sample_run import sample_run

from bflmec.configuration import as_toml
from bflmec.errors import RunDirectoryError
from bflmec.runs.directory import RunDirectory
from bflmec.runs.figures import PICTURES
from bflmec.runs.report import write_report


class Page(HTMLParser):
    """Tags in order, their attributes, and the text between them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.style = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data


def page_of(directory: RunDirectory) -> Page:
    return Page(write_report(directory).read_text(encoding="utf-8"))


def run_with_blank_pictures(path: Path, **settings: Any) -> RunDirectory:
    """Drawing takes most of a second, and most tests look at the words."""
    directory = sample_run(path, clients=10, **settings)
    for name in PICTURES:
        (path / name).write_bytes(b"")
    return directory


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return sample_run(tmp_path_factory.mktemp("report") / "digits <&> co", clients=10, updates=12)


@pytest.fixture(scope="module")
def page(directory: RunDirectory) -> Page:
    return page_of(directory)


def test_every_tag_is_closed(page: Page) -> None:
    assert page.open == []


def test_it_loads_and_runs_nothing(page: Page) -> None:
    assert not {"script", "link", "iframe", "object", "form", "a"} & set(page.tags)
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        assert name != "style"
        if name in ("src", "href"):
            assert value.startswith("data:image/png;base64,")
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_its_policy_allows_its_own_style_and_pictures_only(page: Page) -> None:
    (policy,) = (value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    digest = base64.b64encode(sha256(page.style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy


def test_it_holds_the_three_pictures(directory: RunDirectory, page: Page) -> None:
    inlined = [
        base64.b64decode(value.split(",")[1]) for tag, name, value in page.attributes if (tag, name) == ("img", "src")
    ]
    assert inlined == [(directory.path / name).read_bytes() for name in PICTURES]


def test_it_escapes_the_name_of_the_directory(page: Page) -> None:
    assert "co" not in page.tags
    assert page.text.count("digits <&> co") > 1


def test_it_tells_the_headline_numbers(page: Page) -> None:
    for figure in ("12 of 12", "120", "24", "1,200 tokens", "21.4 s", "412 MiB", "16,"):
        assert figure in page.text


def test_it_tells_latencies_and_the_relation_of_delay_and_concurrency(page: Page) -> None:
    for words in ("T_local", "0.191 s", "T_bl", "Theorem 1", "9.410", "9.400"):
        assert words in page.text


def test_it_shows_the_last_twenty_blocks_newest_first(page: Page) -> None:
    assert "The last 20 blocks" in page.text
    body = page.text[page.text.index("The last 20 blocks") :]
    assert body.index("0x") < body.index("Latencies")
    assert page.tags.count("tr") == 1 + 20 + 1 + 6 + 1 + 8


def test_it_holds_configuration_versions_and_commands(directory: RunDirectory, page: Page) -> None:
    assert as_toml(directory.config()) in page.text
    for words in ("bflmec inspect '", "bflmec verify '", "bflmec run --resume '", "cryptography"):
        assert words in page.text


def test_a_run_that_has_not_ended_says_how_to_go_on(tmp_path: Path) -> None:
    page = page_of(run_with_blank_pictures(tmp_path / "run", updates=2, finished=False))
    assert "has not ended: 2 of 2 global updates" in page.text
    assert "Theorem 1" not in page.text


def test_a_run_without_a_block_has_a_report(tmp_path: Path) -> None:
    page = page_of(run_with_blank_pictures(tmp_path / "run", updates=0, finished=False))
    assert "0 of 1 global updates" in page.text
    assert page.tags.count("table") == 0


def test_markup_in_the_metrics_stays_text(tmp_path: Path) -> None:
    directory = run_with_blank_pictures(tmp_path / "run", updates=1)
    text = directory.metrics_file.read_text()
    directory.metrics_file.write_text(text.replace("fair aggregation", "<script>alert(1)</script>"))
    page = page_of(directory)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_damaged_versions_are_refused_by_name(tmp_path: Path) -> None:
    directory = run_with_blank_pictures(tmp_path / "run", updates=1)
    directory.versions_file.write_text("[")
    with pytest.raises(RunDirectoryError, match=r"versions\.json is missing or damaged"):
        write_report(directory)


def test_the_old_report_stays_when_the_new_one_cannot_be_made(tmp_path: Path) -> None:
    directory = run_with_blank_pictures(tmp_path / "run", updates=1)
    before = write_report(directory).read_bytes()
    directory.metrics_file.write_text("torn\n")
    with pytest.raises(RunDirectoryError):
        write_report(directory)
    assert directory.report_file.read_bytes() == before
