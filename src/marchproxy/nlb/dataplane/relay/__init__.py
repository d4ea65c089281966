"""Relay: listens on ports, tells protocols from clients' first bytes, then relays untouched.

`session` decides what happens to a connection (pure); `arrival` is its client until there is a target, `link` carries the
rest out on two transports; `listener` owns those of a port. `switch` says whose a connection is, `lane` who may come and who takes it. `carrier` owns all ports.
"""

from marchproxy.nlb.dataplane.relay.carrier import Carrier
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.listener import RelayListener
from marchproxy.nlb.dataplane.relay.messages import Outcome

__all__ = ["Carrier", "Outcome", "RelayLimits", "RelayListener"]
