"""An object of a request that is read member by member, so that what nobody has read is refused."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.fields import BadField

_T = TypeVar("_T")


class Untranslatable(Exception):
    """The other API cannot say what `field` does. The words say why, or what to do."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why

    def failure(self) -> Failure:
        """As the client is told."""
        message = f"The model is served over another API, which cannot carry '{self.field}': {self.why}."
        return Failure(Reason.BAD_REQUEST, message, self.field, "unsupported_parameter")


class Record:
    """One object. `notes` has what was left out, and why; null is as good as nothing."""

    __slots__ = ("_left", "_path", "notes")

    def __init__(self, members: Mapping[str, Any], path: str = "", notes: list[str] | None = None) -> None:
        self._left = dict(members)
        self._path = path
        self.notes: list[str] = [] if notes is None else notes

    def place(self, name: str) -> str:
        """The member as errors call it."""
        return f"{self._path}.{name}" if self._path else name

    def take(self, name: str) -> Any:
        """The member, whatever it is; from now on it is read."""
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        """A string. Raises BadField."""
        return self._typed(name, str, "a string")

    def some_text(self, name: str) -> str:
        """A string that must be there. Raises BadField."""
        return self._sure(name, self.text(name))

    def flag(self, name: str) -> bool | None:
        """A boolean. Raises BadField."""
        return self._typed(name, bool, "a boolean")

    def number(self, name: str) -> float | None:
        """A number. Raises BadField."""
        value = self.take(name)
        if not isinstance(value, int | float | None) or isinstance(value, bool):
            raise BadField(self.place(name), "a number", value)
        return value

    def record(self, name: str) -> "Record | None":
        """An object. Raises BadField."""
        value = self._typed(name, dict, "an object")
        return None if value is None else Record(value, self.place(name), self.notes)

    def some_record(self, name: str) -> "Record":
        """An object that must be there. Raises BadField."""
        return self._sure(name, self.record(name))

    def records(self, name: str) -> "list[Record]":
        """An array of objects, empty where there is none. Raises BadField."""
        return self._each(
            name, lambda item, path: Record(_sure_type(item, dict, "an object", path), path, self.notes)
        )

    def texts(self, name: str) -> list[str]:
        """An array of strings, or one string; empty where there is none. Raises BadField."""
        if isinstance(self._left.get(name), str):
            return [self.take(name)]
        return self._each(name, lambda item, path: _sure_type(item, str, "a string", path))

    def is_text(self, name: str) -> bool:
        """Whether the member is a string."""
        return isinstance(self._left.get(name), str)

    def note(self, name: str, why: str) -> None:
        """The member is left out, if it is there."""
        if self.take(name) is not None:
            self.notes.append(f"{self.place(name)}: {why}")

    def refuse(self, name: str, why: str, *, unless: tuple[object, ...] = ()) -> None:
        """The member cannot be carried, if it is there and none of `unless`, which say nothing. Raises Untranslatable."""
        value = self.take(name)
        if value is not None and value not in unless:
            raise Untranslatable(self.place(name), why)

    def rest(self) -> dict[str, Any]:
        """All that is left, as it is: a schema, say."""
        rest, self._left = self._left, {}
        return rest

    def end(self) -> None:
        """All has been read. Raises Untranslatable for what has not."""
        for name, value in self._left.items():
            if value is not None:
                raise Untranslatable(self.place(name), "it has no counterpart there")

    def _typed(self, name: str, kind: type[_T], expected: str) -> _T | None:
        value = self.take(name)
        return None if value is None else _sure_type(value, kind, expected, self.place(name))

    def _each(self, name: str, read: Callable[[Any, str], _T]) -> list[_T]:
        items = self._typed(name, list, "an array") or []
        return [read(item, f"{self.place(name)}[{at}]") for at, item in enumerate(items)]

    def _sure(self, name: str, value: _T | None) -> _T:
        if value is None:
            raise BadField(self.place(name), None)
        return value


def _sure_type(value: Any, kind: type[_T], expected: str, path: str) -> _T:
    if not isinstance(value, kind):
        raise BadField(path, expected, value)
    return value
