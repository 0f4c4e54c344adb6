"""What a configuration consists of, read off its dataclasses: sections, keys, types, ranges and help."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bflmec.configuration.sections import Config
from bflmec.errors import ConfigError

DERIVED = frozenset({("aggregation", "base_reward")})
"""Fields of a section that other keys determine; they can't be set."""

LARGEST = 10**30
"""No key takes a greater whole number; nothing overflows up to here."""

NONE = "none"
"""How a key without a value is written in TOML."""


@cache
def sections() -> dict[str, type]:
    """Section names and their dataclasses, in order."""
    hints = get_type_hints(Config)
    return {field.name: hints[field.name] for field in fields(Config) if is_dataclass(hints[field.name])}


@cache
def keys(section: str) -> dict[str, Any]:
    """Names and types of a section's keys, in order."""
    kind = sections()[section]
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if (section, field.name) not in DERIVED}


@cache
def help_texts(section: str) -> dict[str, str]:
    """The docstring below each key."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(sections()[section]))).body
    assert isinstance(definition, ast.ClassDef)
    texts: dict[str, str] = {}
    name = None
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[name] = " ".join(str(node.value.value).split())
            name = None
        else:
            name = None
    return texts


def bounds(section: str, name: str) -> tuple[float, float] | None:
    """The range of a key, both ends included, or None."""
    (field,) = (field for field in fields(sections()[section]) if field.name == name)
    return (field.metadata["least"], field.metadata["most"]) if "least" in field.metadata else None


def convert(section: str, name: str, value: Any) -> Any:
    """`value`, as TOML gave it, for that key. Raises ConfigError if type or range are wrong."""
    converted = _convert(f"{section}.{name}", keys(section)[name], value)
    limits = bounds(section, name)
    if limits and not limits[0] <= converted <= limits[1]:
        least, most = limits
        allowed = f"at least {least:g}" if most == float("inf") else f"between {least:g} and {most:g}"
        raise ConfigError(f"{section}.{name} must be {allowed}, not {value!r}")
    return converted


def _convert(path: str, kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if value == NONE:
            return None
        (kind,) = (part for part in get_args(kind) if part is not type(None))
        return _convert(path, kind, value)
    if origin is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{path} must be one of {', '.join(map(repr, get_args(kind)))}, not {value!r}")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path} must be a finite number, not {value!r}")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ConfigError(f"{path} must be at most {LARGEST:.0e}")
    expected = kind if isinstance(kind, type) else dict
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise ConfigError(f"{path} must be {_NAMES.get(expected, expected.__name__)}, not {value!r}")
    return value


_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a string", dict: "a table"}
