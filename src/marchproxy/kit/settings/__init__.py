"""Settings: YAML and environment into typed, frozen values; every error with its place, all of them at once."""

from marchproxy.kit.settings.environment import DEFAULT_PREFIX
from marchproxy.kit.settings.load import Section, load, parse, read
from marchproxy.kit.settings.located import Located, parse_yaml
from marchproxy.kit.settings.problems import KeyPath, Problem, SettingsError, dotted
from marchproxy.kit.settings.types import HostPort, Seconds

__all__ = [
    "DEFAULT_PREFIX",
    "HostPort",
    "KeyPath",
    "Located",
    "Problem",
    "Seconds",
    "Section",
    "SettingsError",
    "dotted",
    "load",
    "parse",
    "parse_yaml",
    "read",
]
