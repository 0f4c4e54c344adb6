"""A configuration as a commented TOML file."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from bflmec.configuration.schema import NONE, bounds, help_texts, keys, sections
from bflmec.configuration.sections import Config

WIDTH = 96


def as_toml(config: Config) -> str:
    """The whole configuration, every key with its meaning; loading it gives `config` back."""
    lines = [*_comment("Where the defaults come from: default, or paper for the paper's literal reading.")]
    lines += [f"preset = {_literal(config.preset)}", ""]
    for section, kind in sections().items():
        lines += [*_comment((kind.__doc__ or "").split("\n")[0]), f"[{section}]", ""]
        for name in keys(section):
            lines += _comment(_help(section, name))
            lines += [f"{name} = {_literal(getattr(getattr(config, section), name))}", ""]
    return "\n".join(lines)


def _help(section: str, name: str) -> str:
    text = help_texts(section).get(name, "")
    limits = bounds(section, name)
    if limits is None:
        return text
    least, most = limits
    return f"{text} At least {least:g}." if most == float("inf") else f"{text} {least:g} to {most:g}."


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _literal(value: Any) -> str:
    if value is None:
        return json.dumps(NONE)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_string(name)} = {_literal(item)}" for name, item in value.items()) + "}"
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text or "e" in text else text + ".0"
    return _string(value) if isinstance(value, str) else repr(value)


def _string(value: str) -> str:
    # TOML's basic strings are JSON's, but for one control character that JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
