"""What is wrong with a document of settings, and where."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One error. `path` as people write it (`nlb.listeners[0].port`), `line` from 1; `file` may be a `$VARIABLE`."""

    path: str
    message: str
    line: int | None = None
    file: str | None = None

    def render(self) -> str:
        """Return one line such as `first-light.yaml:12: nlb.listeners[0].prot: unknown key; did you mean …`."""
        if self.line is None:
            place = self.file
        else:
            place = f"{self.file}:{self.line}" if self.file else f"line {self.line}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


class SettingsError(Exception):
    """A document that cannot be used. `problems` holds every error found, in the order of the document."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.render())

    def render(self) -> str:
        """Return all problems, one per line."""
        return "\n".join(problem.render() for problem in self.problems)


def dotted(path: KeyPath) -> str:
    """Return a path as people write it: `("nlb", "listeners", 0)` is `nlb.listeners[0]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def suggestion(unknown: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?`, or the known names when none is near, or nothing when there are none."""
    names = sorted(known)
    by_folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(unknown.lower(), by_folded, n=1, cutoff=0.5)
    if near:
        return f'; did you mean "{by_folded[near[0]]}"?'
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; known: {shown}"
