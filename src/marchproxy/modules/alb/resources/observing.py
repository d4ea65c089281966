"""Observing: what is told of requests while they are served."""

from dataclasses import dataclass
from typing import Any

from marchproxy.engines.envoy.tracing import RequestTracing
from marchproxy.modules.alb.resources.access_log import AccessLog, access_logs
from marchproxy.modules.alb.resources.tracing import set_tracing


@dataclass(frozen=True, slots=True)
class Observing:
    """A log line and spans for each request, or for a share of them; by default neither."""

    log: AccessLog | None = None
    tracing: RequestTracing | None = None


NOTHING_OBSERVED = Observing()


def observe(manager: Any, observing: Observing) -> None:
    """Have an HTTP connection manager tell it."""
    manager.access_log.extend(access_logs(observing.log))
    set_tracing(manager, observing.tracing)
