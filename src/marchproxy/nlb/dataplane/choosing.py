"""Choosing: which data plane carries a listener, and why. Pure; the reasons are in docs/adr/0008."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from marchproxy.kit.settings.types import HostPort
from marchproxy.model.kernel import kernel_limits
from marchproxy.model.listener import DataPlaneKind
from marchproxy.model.plan import ListenerPlan, Target
from marchproxy.nlb.dataplane.plane import Choice, PlaneRefused

_FORWARD_OPTION = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


@dataclass(frozen=True, slots=True)
class Ground:
    """What the kernel's forwarding stands on here.

    `obstacle`: why this process cannot use it at all, or empty. `own`: addresses of this host. `forwards`: IP versions
    whose packets this host sends on. `keep_source`: modules' answers to clients come back through this host.
    `addresses`: the IP address of each host name among the endpoints.
    """

    obstacle: str = ""
    own: frozenset[str] = frozenset()
    forwards: frozenset[int] = frozenset()
    keep_source: bool = False
    addresses: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance takes clients' own packets. `local`: on this host."""

    address: str
    port: int
    local: bool

    @property
    def version(self) -> int:
        """4 or 6."""
        return ipaddress.ip_address(self.address).version

    @property
    def loopback(self) -> bool:
        """Whether nobody else can reach it."""
        return ipaddress.ip_address(self.address).is_loopback


def choose_plane(plan: ListenerPlan, ground: Ground, *, before: DataPlaneKind | None = None) -> Choice:
    """What carries the listener; `before` is what does so now. Raises PlaneRefused when only the kernel may and it cannot."""
    listener = plan.listener
    if listener.data_plane is DataPlaneKind.ENVOY:
        return Choice(DataPlaneKind.ENVOY, "as configured")
    obstacle = ground.obstacle or next((limit.message for limit in kernel_limits(listener)), "")
    if listener.kernel_only:
        why = (
            "as configured" if listener.data_plane is DataPlaneKind.KERNEL else "only the kernel forwards UDP"
        )
        if obstacle:
            raise PlaneRefused(f'listener "{listener.name}" needs the kernel data plane ({why}): {obstacle}')
        return Choice(DataPlaneKind.KERNEL, why)
    if obstacle:
        return Choice(DataPlaneKind.ENVOY, obstacle)
    targets = [target for version in plan.versions for target in version.targets]
    if not targets:
        return Choice(before or DataPlaneKind.ENVOY, "no instance takes connections yet")
    if obstacle := next(_out_of_reach(targets, listener.host, ground), ""):
        return Choice(DataPlaneKind.ENVOY, obstacle)
    return Choice(
        DataPlaneKind.KERNEL, f"the kernel does {listener.balance.value} and reaches every instance"
    )


def place_of(target: Target, ground: Ground) -> Place | None:
    """Where the kernel would send the instance's clients; None without a plain endpoint or an address for its name."""
    if target.plain is None:
        return None
    where = HostPort.parse(target.plain.address)
    address = ground.addresses.get(where.host)
    if address is None:
        return None
    local = address in ground.own or ipaddress.ip_address(address).is_unspecified
    return Place(address, where.port, local)


def _out_of_reach(targets: Iterable[Target], host: str, ground: Ground) -> Iterator[str]:
    version = ipaddress.ip_address(host).version
    for target in targets:
        name = target.instance_id
        place = place_of(target, ground)
        if target.plain is None:
            yield f"{name} offers no endpoint without PROXY protocol"
        elif place is None:
            yield f"{target.plain.address} of {name} has no address now"
        elif place.loopback:
            yield f"{name} listens on a loopback address"
        elif place.version != version:
            yield f"{name} has an IPv{place.version} address, the listener an IPv{version} one"
        elif not place.local and version not in ground.forwards:
            yield f"{name} is on another host, and this one does not forward packets ({_FORWARD_OPTION[version]} is 0)"
        elif not place.local and not ground.keep_source:
            yield f"{name} is on another host and would not see clients' addresses (see nlb.kernel.keep_source)"
