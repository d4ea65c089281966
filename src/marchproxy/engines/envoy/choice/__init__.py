"""Choice: which of a cluster's hosts Envoy would choose, and how likely. Pure; it must say what Envoy 1.40 does."""

from marchproxy.engines.envoy.choice.hashing import xxh64
from marchproxy.engines.envoy.choice.hosts import HostShare, Policy, shares

__all__ = ["HostShare", "Policy", "shares", "xxh64"]
