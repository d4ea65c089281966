"""Observing: what is told of requests while they are served."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from marchproxy.engines.envoy.tracing import RequestTracing, collector_cluster
from marchproxy.modules.http.resources.access_log import AccessLog, access_logs
from marchproxy.modules.http.resources.tracing import set_tracing


@dataclass(frozen=True, slots=True)
class Observing:
    """A log line and spans for each request, or for a share of them; by default neither."""

    log: AccessLog | None = None
    tracing: RequestTracing | None = None


NOTHING_OBSERVED = Observing()


class Observed(Protocol):
    """A listener, as far as it matters here."""

    @property
    def observing(self) -> Observing:
        """What is told of its requests."""
        ...


def observe(manager: Any, observing: Observing) -> None:
    """Have an HTTP connection manager tell it."""
    manager.access_log.extend(access_logs(observing.log))
    set_tracing(manager, observing.tracing)


def collectors(listeners: Iterable[Observed]) -> Iterator[Any]:
    """The clusters that their spans are sent to: one, or none."""
    tracing = next((item.observing.tracing for item in listeners if item.observing.tracing is not None), None)
    if tracing is not None:
        yield collector_cluster(tracing)
