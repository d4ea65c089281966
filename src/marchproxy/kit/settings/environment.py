"""Environment variables laid over a document: `MARCHPROXY_NLB__GRPC=…` sets `nlb.grpc`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from marchproxy.kit.settings.located import parse_yaml
from marchproxy.kit.settings.problems import KeyPath, Problem, SettingsError, dotted, suggestion
from marchproxy.kit.settings.schema import Shape

DEFAULT_PREFIX = "MARCHPROXY_"


@dataclass(frozen=True, slots=True)
class Override:
    """One variable and the setting it stands for."""

    variable: str
    path: KeyPath
    value: object


@dataclass(frozen=True, slots=True)
class Names:
    """How variable names are read: the prefix, and further names mapped to paths (`()`: known, but read elsewhere)."""

    prefix: str
    aliases: Mapping[str, tuple[str, ...]]


def overrides(shape: Shape, environ: Mapping[str, str], names: Names) -> tuple[list[Override], list[Problem]]:
    """Return what the environment sets, aliases first so that prefixed names win, and the names nobody knows.

    `__` descends, a number picks an item of a list, empty counts as not set. A value that starts with `[` or `{` is
    YAML, one for a list is split at commas; any other is text for the model to convert.
    """
    found: list[Override] = []
    problems: list[Problem] = []
    for variable, path in _addressed(environ, names):
        target = shape.at(path)
        if not target.types:
            problems.append(
                Problem("", f"unknown variable{_nearest(shape, variable, names)}", None, f"${variable}")
            )
            continue
        try:
            found.append(Override(variable, path, _value(environ[variable], target, variable)))
        except SettingsError as error:
            problems.extend(replace(problem, line=None) for problem in error.problems)
    return found, problems


def merge(value: object, found: list[Override]) -> tuple[object, dict[KeyPath, str], list[Problem]]:
    """Return a copy of `value` with the overrides in it, which variable set which path, and what does not fit."""
    sources: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    for override in found:
        try:
            value = _with(value, override.path, override.value)
            sources[override.path] = override.variable
        except (TypeError, IndexError):
            message = "the document has no such section or item to set this in"
            problems.append(Problem(dotted(override.path), message, None, f"${override.variable}"))
    return value, sources, problems


def _addressed(environ: Mapping[str, str], names: Names) -> Iterator[tuple[str, KeyPath]]:
    for variable, alias_path in names.aliases.items():
        if environ.get(variable) and alias_path:
            yield variable, alias_path
    for variable in sorted(environ):
        if variable.startswith(names.prefix) and environ[variable] and variable not in names.aliases:
            segments = variable.removeprefix(names.prefix).lower().split("__")
            yield variable, tuple(int(part) if part.isdigit() else part for part in segments)


def _value(text: str, target: Shape, variable: str) -> object:
    if text.startswith(("[", "{")) and not target.is_text_only():
        return parse_yaml(text, f"${variable}").value
    if target.is_list():
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _with(value: object, path: KeyPath, new: object) -> object:
    if not path:
        return new
    key, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(key, int):
        return [
            _with(item, rest, new) if index == key else item for index, item in enumerate(_long(value, key))
        ]
    if value is None or isinstance(value, dict):
        section: dict[Any, object] = value or {}
        return {**section, str(key): _with(section.get(str(key)), rest, new)}
    raise TypeError(key)


def _long(items: list[object], index: int) -> list[object]:
    # one past the end appends; further out would leave holes
    if index > len(items):
        raise IndexError(index)
    return [*items, None] if index == len(items) else items


def _nearest(shape: Shape, variable: str, names: Names) -> str:
    known = [names.prefix + "__".join(str(key) for key in path).upper() for path in shape.leaves()]
    return suggestion(variable, [*known, *names.aliases])
