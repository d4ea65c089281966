"""Progress: how an apply gets from part to part, as lines; what has been told is not told again. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

_COLOURS = {"validated": "", "applied": "green", "reports": "bold green", "refused": "red"}
_WORDS = {"reports": "runs it"}
_ENDED = {"done", "refused"}


class Told:
    """What of one apply has been told. `parent`: the revision that was in force before it."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._parts: dict[str, str] = {}
        self._phase = ""

    def lines(self, applying: Mapping[str, Any] | None) -> Iterator[Text]:
        """What is new in what the API says of the newest apply, which may be another one."""
        if applying is None or not self._is_ours(applying):
            return
        if applying["phase"] == "taking back" and self._phase != "taking back":
            yield Text("it is taken back everywhere", style="red")
        self._phase = applying["phase"]
        for name, phase in applying["parts"].items():
            if phase != "waiting" and self._parts.get(name) != phase:
                self._parts[name] = phase
                yield Text(f"  {name}: {_WORDS.get(phase, phase)}", style=_COLOURS[phase])

    @property
    def silent(self) -> tuple[str, ...]:
        """The parts that have applied it and not reported it yet."""
        return tuple(name for name, phase in self._parts.items() if phase == "applied")

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self._phase in _ENDED

    def _is_ours(self, applying: Mapping[str, Any]) -> bool:
        number: int | None = applying["revision"]
        return number > self._parent if number is not None else applying["phase"] == "validating"
