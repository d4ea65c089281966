"""Settings of one ALB instance: an entry of `modules` with `type: alb`."""

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, field_validator

from marchproxy.engines.envoy.section import EnvoySection
from marchproxy.kit.settings import HostPort
from marchproxy.modules.base.settings import ModuleSettings


class AlbSettings(ModuleSettings):
    """One instance of the ALB. A port of 0 anywhere is chosen by the system."""

    type: Literal["alb"] = "alb"
    traffic: HostPort | None = HostPort("127.0.0.1", 10000)
    """Plain HTTP: clients, or an NLB that keeps the client's address by itself; none: closed."""
    proxy_traffic: HostPort | None = None
    """HTTP behind a PROXY protocol v2 header, which every connection must begin with; none: closed."""
    proxy_sources: Annotated[tuple[str, ...], Field(min_length=1)] = ("127.0.0.0/8", "::1/128")
    """The networks of the NLBs: only they may connect to `proxy_traffic`, or a client could forge its address."""
    resolvers: tuple[HostPort, ...] = ()
    """The DNS servers that are asked for endpoints of pools; none: those of the system."""
    envoy: EnvoySection = EnvoySection()
    stats_window: Annotated[int, Field(ge=1, le=300)] = 5
    """Seconds over which latency percentiles are taken."""

    @field_validator("proxy_sources")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network, strict=False)
        return networks
