"""Choosing: which data plane carries a port, and why. Pure; the reasons are in docs/adr/0008."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.kit.addresses import ip_address
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.kernel import kernel_limits
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target
from marchproxy.model.planes import plane_limits, wanted_planes
from marchproxy.model.sharing import Port, Sharing
from marchproxy.nlb.dataplane.envoy_limits import refused
from marchproxy.nlb.dataplane.plane import Choice, Forwarding, PlaneRefused

_TOLD_APART: Mapping[Sharing, str] = {
    Sharing.ALONE: "of which there is one",
    Sharing.HELLO: "by the client's TLS hello",
    Sharing.REQUEST: "by each HTTP request",
    Sharing.BYTES: "by the client's first bytes",
}
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
class Situation:
    """What a choice rests on besides the plan: the kernel's ground and the rate limits that the NLB keeps."""

    ground: Ground = Ground()
    limits: tuple[RateLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance takes clients' own packets. `local`: on this host."""

    address: str
    port: int
    local: bool

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(self.address).version

    @property
    def loopback(self) -> bool:
        """Whether nobody else can reach it."""
        return ip_address(self.address).is_loopback


def choose_plane(
    port: Port, plans: Sequence[ListenerPlan], situation: Situation, *, before: DataPlaneKind | None = None
) -> Choice:
    """What carries a port; `plans` are its listeners', `before` is what does so now. Raises PlaneRefused when nothing can."""
    if not (kinds := wanted_planes(port)):
        raise PlaneRefused(
            f"{_names(port)}: data_plane {port.first.data_plane.value} cannot tell apart listeners "
            f"{_TOLD_APART[port.sharing]}"
        )
    if DataPlaneKind.KERNEL in kinds:
        choice = _choose_with_kernel(plans[0], situation.ground, before)
    elif len(kinds) == 1 and port.first.data_plane is kinds[0]:
        choice = Choice(kinds[0], "as configured")
    else:
        choice = Choice(kinds[0], f"the address is shared {_TOLD_APART[port.sharing]}")
    if choice.plane is DataPlaneKind.ENVOY and DataPlaneKind.DETECT in kinds:
        return _unless_refused(choice, port, plans, situation)
    if choice.plane is DataPlaneKind.DETECT and (obstacle := _relay_obstacle(port)):
        raise PlaneRefused(f"{_names(port)}: {obstacle}")
    return choice


def _choose_with_kernel(plan: ListenerPlan, ground: Ground, before: DataPlaneKind | None) -> Choice:
    listener = plan.listener
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
    if obstacle := next(_out_of_reach(targets, listener, ground), ""):
        return Choice(DataPlaneKind.ENVOY, obstacle)
    return Choice(
        DataPlaneKind.KERNEL, f"the kernel does {listener.balance.value} and reaches every instance"
    )


def _unless_refused(
    choice: Choice, port: Port, plans: Sequence[ListenerPlan], situation: Situation
) -> Choice:
    """Envoy, or the relay where only that keeps what the port's listeners and limits ask for."""
    obstacle = refused(Forwarding(ForwardingPlan(tuple(plans)), limits=situation.limits))
    if not obstacle or _relay_obstacle(port):
        return choice
    return Choice(DataPlaneKind.DETECT, obstacle)


def _relay_obstacle(port: Port) -> str:
    limits = (limit for item in port.listeners for limit in plane_limits(DataPlaneKind.DETECT, item))
    return next((limit.message for limit in limits), "")


def _names(port: Port) -> str:
    return ", ".join(f'listener "{listener.name}"' for listener in port.listeners)


def place_of(target: Target, ground: Ground) -> Place | None:
    """Where the kernel would send the instance's clients; None without a plain endpoint or an address for its name."""
    if target.plain is None:
        return None
    where = HostPort.parse(target.plain.address)
    address = ground.addresses.get(where.host)
    if address is None:
        return None
    local = address in ground.own or ip_address(address).is_unspecified
    return Place(address, where.port, local)


def _out_of_reach(targets: Iterable[Target], listener: Listener, ground: Ground) -> Iterator[str]:
    version = ip_address(listener.host).version
    shows_clients = ground.keep_source or listener.over_udp  # over UDP Envoy does not show them either
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
        elif not place.local and not shows_clients:
            yield f"{name} is on another host and would not see clients' addresses (see nlb.kernel.keep_source)"
