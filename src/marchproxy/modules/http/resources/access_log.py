"""Access log: one JSON line for each request that ended. Its fields are in our words: routes by id, pools by name.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marchproxy.engines.envoy.access_log import any_of, json_lines, share, slower_than, status_from
from marchproxy.modules.http.log_fields import USUAL

_KEY = "marchproxy.access_log"


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Where lines go, what is in them, and of which requests: `percent`, and all that are as bad as the last two say.

    `fields` are names and texts with Envoy's %COMMANDS%. `slower_than` in seconds.
    """

    path: str
    fields: tuple[tuple[str, str], ...] = tuple(USUAL.items())
    percent: float = 100.0
    status_from: int | None = None
    slower_than: float | None = None


def access_logs(log: AccessLog | None) -> Iterator[Any]:
    """The log of a listener, or none."""
    if log is not None:
        yield json_lines(log.path, dict(log.fields), any_of(*_wanted(log)))


def _wanted(log: AccessLog) -> Iterator[Any]:
    yield share(log.percent, _KEY)
    if log.status_from is not None:
        yield status_from(log.status_from, f"{_KEY}.status_from")
    if log.slower_than is not None:
        yield slower_than(log.slower_than, f"{_KEY}.slower_than_ms")
