"""From a TOML file and single settings to a checked configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bflmec.configuration.combinations import check
from bflmec.configuration.presets import preset
from bflmec.configuration.schema import convert, keys, sections
from bflmec.configuration.sections import TOKEN, Config
from bflmec.errors import ConfigError
from bflmec.registry import nearest

Document = Mapping[str, Any]
MAX_FILE = 2**20


def load(path: Path | None = None, settings: Sequence[str] = ()) -> Config:
    """Preset, then the file, then the settings (`key=value`). Raises ConfigError for whatever does not fit."""
    document = _read(path) if path else {}
    changes = parse_settings(settings)
    name = changes.pop("preset", document.get("preset", "default"))
    if not isinstance(name, str):
        raise ConfigError(f"preset must be a string, not {name!r}")
    config = _apply(preset(name), {section: table for section, table in document.items() if section != "preset"})
    config = _apply(config, changes)
    config = replace(config, aggregation=replace(config.aggregation, base_reward=config.ledger.base_reward * TOKEN))
    check(config)
    return config


def _read(path: Path) -> Document:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"can't read {path}: {error.strerror}; `bflmec config` prints a file to start from"
        ) from error
    if len(data) > MAX_FILE:
        raise ConfigError(f"{path} has {len(data)} bytes, which is no configuration")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _apply(config: Config, document: Document) -> Config:
    changed = {}
    for section, table in document.items():
        if section not in sections():
            raise ConfigError(f"unknown section [{section}]; {nearest(section, list(sections()))}")
        if not isinstance(table, Mapping):
            raise ConfigError(f"{section} must be a section, not {table!r}; {_section_hint(section)}")
        for name in table:
            if name not in keys(section):
                raise ConfigError(f"unknown key {section}.{name}; {_key_hint(section, name)}")
        values = {name: convert(section, name, value) for name, value in table.items()}
        changed[section] = replace(getattr(config, section), **values)
    return replace(config, **changed)


def _key_hint(section: str, name: str) -> str:
    homes = _homes(name)
    return f"it belongs to [{homes[0]}]" if homes else nearest(name, list(keys(section)))


def _section_hint(name: str) -> str:
    homes = _homes(name)
    return f"the key {name} belongs to [{homes[0]}]" if homes else f"known sections: {', '.join(sections())}"


def _homes(name: str) -> list[str]:
    return [section for section in sections() if name in keys(section)]


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """A document from settings such as `ledger.difficulty=64` or, where only one section has the key, `clients=20`."""
    document: dict[str, Any] = {}
    for setting in settings:
        path, separator, text = setting.partition("=")
        path = path.strip()
        if not separator:
            raise ConfigError(f"a setting looks like key=value, not {setting!r}")
        if path == "preset":
            document["preset"] = text.strip()
            continue
        section, name = _locate(path)
        document.setdefault(section, {})[name] = _value(text.strip())
    return document


def _locate(path: str) -> tuple[str, str]:
    section, dot, name = path.partition(".")
    if dot:
        return section, name
    homes = _homes(path)
    if not homes:
        everywhere = sorted({name for section in sections() for name in keys(section)})
        raise ConfigError(f"unknown key {path!r}; {nearest(path, everywhere)}")
    if len(homes) > 1:
        raise ConfigError(f"{path!r} is a key of several sections; write {' or '.join(f'{h}.{path}' for h in homes)}")
    return homes[0], path


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
