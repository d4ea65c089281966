"""Host: what the engine asks of the machine beside nft: tools, capabilities, forwarding, own addresses, connections."""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from marchproxy.engines.nftables.conntrack import Flow, parse_flows
from marchproxy.engines.nftables.expressions import Family
from marchproxy.engines.nftables.plan import Protocol
from marchproxy.engines.nftables.process import Lines, NftablesError, read_output, run_tool

_CAP_NET_ADMIN = 12
_FORWARDING = {
    Family.IP: "/proc/sys/net/ipv4/ip_forward",
    Family.IP6: "/proc/sys/net/ipv6/conf/all/forwarding",
}
_CONNTRACK_FAMILY = {Family.IP: "ipv4", Family.IP6: "ipv6"}


@dataclass(frozen=True, slots=True)
class NftablesSettings:
    """Where the tools are and in which network namespace they work (None: this process's own).

    `deadline` in seconds for each run of a tool. `flows_max_age` in seconds: how old an answer about live connections may
    be. `mark_bit`: the bit of the packet mark that says "masquerade"; no other program may use it for another purpose.
    """

    nft: str = "nft"
    conntrack: str = "conntrack"
    ip: str = "ip"
    netns: str | None = None
    deadline: float = 30.0
    flows_max_age: float = 2.0
    mark_bit: int = 0x2000


class Host:
    """One network namespace of this machine."""

    def __init__(self, settings: NftablesSettings) -> None:
        self._settings = settings

    def command(self, tool: str, *arguments: str) -> list[str]:
        """The command line that runs a tool in the namespace."""
        netns = self._settings.netns
        inside = [self._settings.ip, "netns", "exec", netns] if netns is not None else []
        return [*inside, tool, *arguments]

    def find_obstacle(self) -> str | None:
        """Why no rule can be set here, or None. Looks only; whether the kernel takes rules is for nft to say."""
        for tool in (self._settings.nft, self._settings.conntrack, self._settings.ip):
            if shutil.which(tool) is None:
                return f"{tool}: no such program; install the packages nftables, conntrack and iproute2"
        if not _has_net_admin():
            return "the process lacks CAP_NET_ADMIN"
        return None

    async def forwards(self, family: Family) -> bool:
        """Whether the kernel forwards packets of this family between interfaces."""
        path = _FORWARDING[family]
        if self._settings.netns is None:
            try:
                return Path(path).read_text().strip() != "0"
            except OSError as error:
                raise NftablesError(f"{path} cannot be read: {error}") from error
        text = await read_output(self.command("cat", path), timeout=self._settings.deadline, limit=64)
        return text.strip() != b"0"

    async def own_addresses(self) -> frozenset[str]:
        """Every address of every interface."""
        if self._settings.netns is None:
            return _own_addresses()
        command = self.command(self._settings.ip, "-j", "addr", "show")
        output = await read_output(command, timeout=self._settings.deadline)
        try:
            links = json.loads(output)
            return frozenset(
                entry["local"] for link in links for entry in link.get("addr_info", ()) if "local" in entry
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NftablesError(f"`{' '.join(command)}` printed something unexpected: {error!r}") from error

    async def list_flows(
        self, family: Family, protocol: Protocol, take: Callable[[Iterable[Flow]], object]
    ) -> None:
        """Hand the kernel's flows to `take`, batch by batch; never holds the whole listing. Raises NftablesError."""
        listing = ("-L", "-f", _CONNTRACK_FAMILY[family], "-p", protocol.value)
        command = self.command(self._settings.conntrack, *listing)
        lines = Lines(lambda batch: take(parse_flows(batch, protocol)))
        finished = await run_tool(command, timeout=self._settings.deadline, take=lines)
        if finished.code:
            raise NftablesError(f"`{' '.join(command)}` failed: {finished.complaint}")

    async def delete_udp_flows(self, asked: tuple[str, int], answering: tuple[str, int]) -> None:
        """Forget every UDP flow from whomever to `asked` that `answering` answers. Raises NftablesError."""
        family = Family.IP6 if ":" in asked[0] else Family.IP
        command = self.command(
            *(self._settings.conntrack, "-D", "-f", _CONNTRACK_FAMILY[family], "-p", "udp"),
            *("--orig-dst", asked[0], "--orig-port-dst", str(asked[1])),
            *("--reply-src", answering[0], "--reply-port-src", str(answering[1])),
        )
        finished = await run_tool(command, timeout=self._settings.deadline)
        # conntrack fails when there was none: the flow may have ended by itself
        if finished.code and "0 flow entries" not in finished.complaint:
            raise NftablesError(f"`{' '.join(command)}` failed: {finished.complaint}")


def _own_addresses() -> frozenset[str]:
    return frozenset(
        entry.address.partition("%")[0]  # a link-local one comes with its interface
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in {socket.AF_INET, socket.AF_INET6}
    )


def _has_net_admin() -> bool:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return os.geteuid() == 0
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _CAP_NET_ADMIN & 1)
