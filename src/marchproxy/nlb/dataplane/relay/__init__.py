"""Relay: listens on one port, tells the protocol from the client's first bytes, then relays untouched.

`session` decides what happens to a connection (pure); `link` carries it out on two transports; `listener` owns them all.
"""

from marchproxy.nlb.dataplane.relay.counts import RelayCounts, Traffic
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.listener import RelayListener
from marchproxy.nlb.dataplane.relay.messages import Outcome

__all__ = ["Outcome", "RelayCounts", "RelayLimits", "RelayListener", "Traffic"]
