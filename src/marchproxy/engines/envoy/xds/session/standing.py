"""How far one resource has come on one stream."""

from dataclasses import dataclass
from enum import Enum

from marchproxy.engines.envoy.xds.resource import Resource


class Stage(Enum):
    """What became of a resource that the client asked for."""

    NOT_SENT = "not sent"
    SENT = "sent"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Standing:
    """A resource as the client should hold it. `reason`: the client's words when it refused it."""

    resource: Resource
    stage: Stage
    reason: str = ""
