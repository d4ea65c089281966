"""Listeners: the ports that the NLB opens to clients."""

from dataclasses import dataclass

from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import VersionWeight


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of the NLB and the module type behind it.

    `version_weights` splits new connections between versions of the module, in percent; empty: every instance
    gets its share whatever its version. `idle_timeout` in seconds, 0: none.
    """

    name: str
    host: str
    port: int
    protocol: Protocol = Protocol.HTTP
    module_type: ModuleType = ModuleType.ALB
    balance: BalancePolicy = BalancePolicy.LEAST_CONNECTIONS
    version_weights: tuple[VersionWeight, ...] = ()
    idle_timeout: float = 3600.0

    @property
    def address(self) -> str:
        """Host and port as one text; an IPv6 host stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
