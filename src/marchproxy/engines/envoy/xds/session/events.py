"""What a session tells its owner."""

from dataclasses import dataclass

from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.verdicts import Rejection


@dataclass(frozen=True, slots=True)
class Acked:
    """The client accepted the last response of this type."""

    type: ResourceType
    nonce: str


@dataclass(frozen=True, slots=True)
class Nacked:
    """The client refused the last response of this type; `rejection` says what is blamed and why."""

    type: ResourceType
    nonce: str
    rejection: Rejection


Event = Acked | Nacked


class ProtocolViolation(Exception):
    """The client broke a rule or a limit of the protocol; its stream has to end."""
