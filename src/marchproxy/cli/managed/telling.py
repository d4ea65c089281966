"""Telling: what a manager refused, as lines of `path: message`, and what to do about it. Pure."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from marchproxy.contract.document import as_yaml

_REMEDIES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "log in again: marchproxy login URL",
    HTTPStatus.PRECONDITION_FAILED: "nothing was changed; look at it again: marchproxy diff",
    HTTPStatus.SERVICE_UNAVAILABLE: "try again in a moment",
    HTTPStatus.GATEWAY_TIMEOUT: "what became of it, `marchproxy revisions` tells",
}
_LONGEST = 60


def told(status: int, problem: Mapping[str, Any]) -> Iterator[str]:
    """The lines: every fault with its path, both sides of every conflict, or what else was wrong; then the remedy."""
    problems, conflicts = problem.get("problems") or (), problem.get("conflicts") or ()
    if problems:
        yield from dict.fromkeys(_fault(one) for one in problems)
    else:
        yield str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
    for conflict in conflicts:
        yield f"  {conflict['path']}: here {_brief(conflict['ours'])}, in force {_brief(conflict['theirs'])}"
    if conflicts:
        number = problem.get("revision")
        yield (
            f"nothing was changed; `marchproxy export` has revision {number}: make your change in that, and apply it again"
        )
    elif status in _REMEDIES:
        yield _REMEDIES[HTTPStatus(status)]


def _fault(problem: Mapping[str, Any]) -> str:
    path, message = problem.get("path", ""), problem.get("message", "")
    return f"{path}: {message}" if path else str(message)


def _brief(value: Any) -> str:
    """A value on one line; an item, or a list, by its beginning."""
    if value is None:
        return "nothing"
    line = " ".join(as_yaml({"v": value}).removeprefix("v:").split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
