"""Members of a request by the type that they must have; what has another one is a fault in the words of its API."""

from collections.abc import Mapping
from typing import Any

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects.failure import Failure, Reason

Members = Mapping[str, Any]
_ANTHROPICS = {
    "a string": "Input should be a valid string",
    "an integer": "Input should be a valid integer",
    "a boolean": "Input should be a valid boolean",
    "an array": "Input should be a valid list",
    "an object": "Input should be a valid dictionary",
}
_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
}


class BadField(Exception):
    """A member of a request is missing or wrong. `expected`: what it should be; None: it should be there."""

    def __init__(self, path: str, expected: str | None, value: object = None) -> None:
        super().__init__(path)
        self._path = path
        self._expected = expected
        self._value = value

    def failure(self, dialect: Dialect) -> Failure:
        """The fault as the API says it."""
        message, code = self._anthropic() if dialect is Dialect.ANTHROPIC else self._openai()
        return Failure(Reason.BAD_REQUEST, message, self._path, code)

    def _openai(self) -> tuple[str, str]:
        if self._expected is None:
            return f"Missing required parameter: '{self._path}'.", "missing_required_parameter"
        got = _NAMES.get(type(self._value), "an object") if self._value != "" else "an empty string"
        return f"Invalid value for '{self._path}': expected {self._expected}, but got {got}.", "invalid_type"

    def _anthropic(self) -> tuple[str, None]:
        if self._expected is None:
            return "Field required", None
        return _ANTHROPICS.get(self._expected, f"Input should be {self._expected}"), None


def text(members: Members, name: str, *, path: str = "") -> str:
    """A string that must be there and not be empty. Raises BadField."""
    value = members.get(name)
    if value is None:
        raise BadField(path or name, None)
    if not isinstance(value, str):
        raise BadField(path or name, "a string", value)
    if not value:
        raise BadField(path or name, "a string that is not empty", value)
    return value


def whole(members: Members, name: str, *, least: int = 0) -> int | None:
    """An integer, no less than `least`. Raises BadField."""
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadField(name, "an integer", value)
    if value < least:
        raise BadField(name, f"an integer of at least {least}", value)
    return value


def flag(members: Members, name: str, *, path: str = "") -> bool:
    """A boolean; false where there is none. Raises BadField."""
    value = members.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadField(path or name, "a boolean", value)
    return bool(value)


def flags(members: Members, name: str) -> dict[str, bool]:
    """An object of booleans; an empty one where there is none. Raises BadField."""
    value = members.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadField(name, "an object", value)
    return {inner: flag(value, inner, path=f"{name}.{inner}") for inner in value}


def objects(members: Members, name: str, *, path: str = "") -> list[dict[str, Any]]:
    """An array of objects; an empty one where there is none. Raises BadField."""
    value = members.get(name)
    path = path or name
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadField(path, "an array", value)
    for at, item in enumerate(value):
        if not isinstance(item, dict):
            raise BadField(f"{path}[{at}]", "an object", item)
    return value
