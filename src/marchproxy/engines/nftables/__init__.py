"""nftables: the kernel forwards connections by weighted DNAT; this package decides the rules and hands them over."""

from marchproxy.engines.nftables.conntrack import EndpointId
from marchproxy.engines.nftables.counters import Counters, EndpointCounters, FrontendCounters, LimitCounters
from marchproxy.engines.nftables.engine import NftablesEngine, NftablesRefused
from marchproxy.engines.nftables.host import NftablesSettings
from marchproxy.engines.nftables.plan import (
    Backend,
    Frontend,
    Limit,
    Period,
    Plan,
    Policy,
    Protocol,
    Rate,
    find_problems,
)
from marchproxy.engines.nftables.process import NftablesError

__all__ = [
    "Backend",
    "Counters",
    "EndpointCounters",
    "EndpointId",
    "Frontend",
    "FrontendCounters",
    "Limit",
    "LimitCounters",
    "NftablesEngine",
    "NftablesError",
    "NftablesRefused",
    "NftablesSettings",
    "Period",
    "Plan",
    "Policy",
    "Protocol",
    "Rate",
    "find_problems",
]
