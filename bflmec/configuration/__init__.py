"""The one configuration object: defaults, presets, a TOML file, and single settings from the command line."""

from bflmec.configuration.loading import load, parse_settings
from bflmec.configuration.sections import Config
from bflmec.configuration.writing import as_toml

__all__ = ["Config", "as_toml", "load", "parse_settings"]
