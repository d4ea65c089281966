"""From YAML and environment to a validated model; pydantic's errors become Problems with path and line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from marchproxy.kit.settings.environment import DEFAULT_PREFIX, Names, merge, overrides
from marchproxy.kit.settings.located import Located, parse_yaml
from marchproxy.kit.settings.problems import KeyPath, Problem, SettingsError, dotted, suggestion
from marchproxy.kit.settings.schema import Shape


class Section(BaseModel):
    """Base of all settings: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


M = TypeVar("M", bound=BaseModel)
_NO_ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def read(text_or_path: str | Path) -> Located:
    """Parse YAML text (str) or a YAML file (Path). Raises SettingsError; an unreadable file is named with the reason."""
    if isinstance(text_or_path, str):
        return parse_yaml(text_or_path)
    try:
        return parse_yaml(text_or_path.read_text(encoding="utf-8"), str(text_or_path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError([Problem("", f"cannot be read: {reason}", None, str(text_or_path))]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([Problem("", f"is not UTF-8 text: {error}", None, str(text_or_path))]) from error


def load(
    model: type[M],
    text_or_path: str | Path,
    *,
    environ: Mapping[str, str],
    prefix: str = DEFAULT_PREFIX,
    aliases: Mapping[str, tuple[str, ...]] = _NO_ALIASES,
) -> M:
    """Read YAML text (str) or file (Path), lay the environment over it, validate.

    Raises SettingsError with every problem of the document and the environment. How variables are read:
    `environment.overrides`. Precedence: YAML < alias < prefixed variable.
    """
    document = read(text_or_path)
    found, unknown = overrides(Shape.of(model), environ, Names(prefix, aliases))
    value, sources, unfit = merge(document.value, found)
    problems = [*unknown, *unfit]
    try:
        settings = model.model_validate(value)
    except ValidationError as error:
        problems += _sorted(_translate(model, error, Located(value, document.lines, document.file), sources))
        raise SettingsError(problems) from error
    if problems:
        raise SettingsError(problems)
    return settings


def parse(model: type[M], value: object, positions: Mapping[KeyPath, int], file: str | None = None) -> M:
    """Validate a tree that is already parsed. `positions` gives lines by path. Raises SettingsError."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise SettingsError(_sorted(_translate(model, error, Located(value, positions, file), {}))) from error


def _translate(
    model: type[BaseModel], error: ValidationError, document: Located, sources: Mapping[KeyPath, str]
) -> Iterator[Problem]:
    shape = Shape.of(model)
    for detail in error.errors(include_url=False, include_context=False):
        path = _document_path(document.value, detail)
        variable = next((sources[path[:n]] for n in range(len(path), 0, -1) if path[:n] in sources), None)
        message = _message(detail, shape, path)
        if variable is not None:
            yield Problem(dotted(path), message, None, f"${variable}")
        else:
            yield document.problem(path, message)


def _document_path(value: Any, detail: ErrorDetails) -> KeyPath:
    """Drop from pydantic's location what is not in the document: tags of unions, names of validators."""
    path: list[str | int] = []
    for key in detail["loc"]:
        if _holds(value, key):
            path.append(key)
            value = value[key]
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return tuple(path)


def _holds(value: object, key: str | int) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list | tuple) and isinstance(key, int) and key < len(value)


def _message(detail: ErrorDetails, shape: Shape, path: KeyPath) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key{suggestion(str(path[-1]), shape.at(path[:-1]).keys())}"
        case "missing":
            return "required, but not given"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "must be a mapping of keys to values"
        case "tuple_type" | "list_type":
            return "must be a list"
        case "int_parsing" | "int_type":
            return "must be a whole number"
        case _:
            text = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            given = detail["input"]
            # numbers help the reader; text is not echoed, it may be a password
            return f"{text}, not {given!r}" if isinstance(given, int | float) else text


def _sorted(problems: Iterator[Problem]) -> list[Problem]:
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda problem: (problem.file or "", problem.line or 0))
