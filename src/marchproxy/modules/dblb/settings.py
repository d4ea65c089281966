"""Settings of one DBLB instance: an entry of `modules` with `type: dblb`."""

import os
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marchproxy.kit.settings import HostPort, Section
from marchproxy.model.database import DATABASE_PROTOCOLS
from marchproxy.model.module import Protocol
from marchproxy.modules.base.settings import ModuleSettings
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.section import LOCAL_SOURCES, ClientTlsSection, ProxySources

#: The settings that are addresses of clients' ports, what is spoken there, and whether behind a PROXY header.
TRAFFIC = {
    name: (protocol, proxied)
    for protocol in sorted(DATABASE_PROTOCOLS, key=lambda one: one.value)
    for name, proxied in ((protocol.value, False), (f"{protocol.value}_proxy", True))
}
#: The settings that are addresses of TCP ports which the DBLB opens.
ADDRESSES = ("grpc", "health", "metrics", *TRAFFIC)
_MOST_WORKERS_BY_DEFAULT = 4
_MIB = 1024 * 1024


class Memory(Section):
    """Bounds of memory, in bytes."""

    longest_message: Annotated[int, Field(ge=64 * 1024, le=1024 * _MIB)] = 64 * _MIB
    """Of a client's or a server's message that is kept whole; rows pass through and have no bound."""
    client_statements: Annotated[int, Field(ge=_MIB)] = 256 * _MIB
    """Of prepared statements, of all clients of the instance together."""
    server_statements: Annotated[int, Field(ge=64 * 1024)] = 4 * _MIB
    """Of prepared statements that are kept on a server connection."""


class DblbSettings(ModuleSettings):
    """One instance of the DBLB. A port of 0 anywhere is chosen by the system."""

    type: Literal["dblb"]
    postgres: HostPort | None = None
    """Where clients of PostgreSQL come, or an NLB that keeps their addresses by itself; none: closed. 6432 is usual."""
    postgres_proxy: HostPort | None = None
    """The same behind a PROXY protocol v2 header, which every connection must begin with; none: closed."""
    mysql: HostPort | None = None
    """Clients of MySQL and MariaDB; none: closed. 6033 is usual."""
    mysql_proxy: HostPort | None = None
    """The same behind a PROXY protocol v2 header; none: closed."""
    mongodb: HostPort | None = None
    """Clients of MongoDB; none: closed."""
    mongodb_proxy: HostPort | None = None
    """The same behind a PROXY protocol v2 header; none: closed."""
    redis: HostPort | None = None
    """Clients of Redis and Valkey; none: closed."""
    redis_proxy: HostPort | None = None
    """The same behind a PROXY protocol v2 header; none: closed."""
    proxy_sources: ProxySources = LOCAL_SOURCES
    """The networks of the NLBs: only they may connect to the ports behind a PROXY header, or a client could forge its
    address."""
    client_tls: ClientTlsSection | None = None
    """TLS with clients; none: plain. Nothing to do with `tls`, which is gRPC's."""
    workers: Annotated[int, Field(ge=1, le=64)] | None = None
    """Processes that share the ports and divide sizes of pools among them; none: one for each core, at most 4."""
    memory: Memory = Memory()

    @model_validator(mode="after")
    def _is_open(self) -> Self:
        if not self.ports():
            raise ValueError(f"no port for clients: give one of {', '.join(TRAFFIC)}")
        return self

    def ports(self) -> tuple[Port, ...]:
        """The ports for clients."""
        found: list[tuple[str, Protocol, HostPort | None, bool]] = [
            (name, protocol, getattr(self, name), proxied) for name, (protocol, proxied) in TRAFFIC.items()
        ]
        return tuple(
            Port(name, protocol, address, proxied)
            for name, protocol, address, proxied in found
            if address is not None
        )

    def worker_count(self) -> int:
        """How many processes there are."""
        return self.workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS_BY_DEFAULT)
