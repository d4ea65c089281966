"""SRV records (RFC 2782): hosts and ports of a service, with priorities and weights; each host's addresses with them.

No answer is no statement: a service that has gone and a DNS that has lost it look the same, and a dead endpoint does not
answer anyway.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dns.exception

from marchproxy.kit.settings import HostPort
from marchproxy.modules.http.discovery.found import Found, NothingFound
from marchproxy.modules.http.resources.endpoints import Target

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver
    from dns.rdtypes.IN.SRV import SRV

_SECONDS = 2.0
_MOST_RECORDS = 256


class SrvResolver:
    """Looks services up at `servers`; none: those that the system asks."""

    def __init__(self, servers: Sequence[HostPort] = ()) -> None:
        self._servers = tuple(servers)
        self._resolver: Resolver | None = None

    async def find(self, service: str) -> Found:
        """The endpoints of a service. Raises NothingFound, within a few seconds."""
        records = [record for record in await self._ask(service, "SRV") if str(record.target) != "."]
        if not records:
            raise NothingFound(f"{service} has no SRV record, or one that says that there is no such service")
        hosts = {str(record.target) for record in records[:_MOST_RECORDS]}
        async with asyncio.TaskGroup() as group:
            looks = {host: group.create_task(self._addresses(host)) for host in sorted(hosts)}
        addresses = {host: look.result() for host, look in looks.items()}
        targets = {
            target.address: target
            for record in records[:_MOST_RECORDS]
            for target in _targets(record, addresses[str(record.target)])
        }
        missing = [host for host, found in addresses.items() if not found]
        trouble = f"{service}: {', '.join(missing[:3])} cannot be looked up" if missing else ""
        if not targets:
            raise NothingFound(trouble)
        # servers shuffle their answers; equal endpoints in equal order are no change
        ordered = sorted(targets.values(), key=lambda target: (target.priority, target.address))
        return Found(tuple(ordered), trouble)

    async def _addresses(self, host: str) -> tuple[str, ...]:
        """Every address of a host, IPv4 first; none where it cannot be looked up."""
        found: list[str] = []
        for kind in ("A", "AAAA"):
            try:
                found += [record.address for record in await self._ask(host, kind)]
            except NothingFound:
                continue  # told by the caller, where the other kind brings nothing either
        return tuple(found)

    async def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            answer = await self._configured().resolve(
                name, kind, lifetime=_SECONDS, search=False, raise_on_no_answer=False
            )
        except dns.exception.DNSException as error:
            raise NothingFound(f"{name}: {_reason(error)}") from error
        return list(answer.rrset or ())

    def _configured(self) -> "Resolver":
        if self._resolver is None:
            self._resolver = _make_resolver(self._servers)
        return self._resolver


def _make_resolver(servers: Sequence[HostPort]) -> "Resolver":
    # a tenth of a second where dnspython finds HTTP and QUIC to speak: for who looks services up only
    from dns.asyncresolver import Resolver  # noqa: PLC0415
    from dns.nameserver import Do53Nameserver  # noqa: PLC0415

    try:
        resolver = Resolver(configure=not servers)
    except dns.exception.DNSException as error:
        raise NothingFound(f"the system has no DNS server: {_reason(error)}") from error
    if servers:
        resolver.nameservers = [Do53Nameserver(server.host, server.port) for server in servers]
    return resolver


def _targets(record: "SRV", addresses: Sequence[str]) -> list[Target]:
    host = str(record.target).rstrip(".")
    return [
        Target(
            f"[{address}]:{record.port}" if ":" in address else f"{address}:{record.port}",
            weight=max(1, record.weight),  # RFC 2782: weight 0 is a small chance, not none
            priority=record.priority,
            host=host,
        )
        for address in addresses
    ]


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
