"""One ADS stream as a state machine, in both protocol variants."""

from marchproxy.engines.envoy.xds.session.delta import DeltaSession
from marchproxy.engines.envoy.xds.session.events import Acked, Event, Nacked, ProtocolViolation
from marchproxy.engines.envoy.xds.session.session import Session
from marchproxy.engines.envoy.xds.session.sotw import SotwSession
from marchproxy.engines.envoy.xds.session.standing import Stage, Standing

__all__ = [
    "Acked",
    "DeltaSession",
    "Event",
    "Nacked",
    "ProtocolViolation",
    "Session",
    "SotwSession",
    "Stage",
    "Standing",
]
