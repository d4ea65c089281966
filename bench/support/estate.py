"""A large estate for bench.plan: 10,000 routes, 500 instances of four kinds of module, two listeners for each kind."""

from collections.abc import Iterator
from datetime import UTC, datetime

from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import PathMatch, Route, RouteId, RouteMatch
from marchproxy.model.state import DesiredState
from marchproxy.nlb.service.memory import Saved
from marchproxy.nlb.state.member import Member, Moment
from marchproxy.nlb.state.verdicts import Answer, about_listener

ROUTES, INSTANCES = 10_000, 500
NETWORK, TRAFFIC_PORT = "10.79.0.0/16", 8000
_KINDS = {
    ModuleType.ALB: Protocol.HTTP,
    ModuleType.AILB: Protocol.HTTP,
    ModuleType.DBLB: Protocol.POSTGRES,
    ModuleType.RTMP: Protocol.RTMP,
}
_LISTENERS_PER_KIND = 2
_ROUTES_PER_HOST = 10


def desired(plane: DataPlaneKind, first_port: int) -> DesiredState:
    """Listeners on this data plane, at ports from `first_port` on, and every route."""
    return DesiredState(tuple(_listeners(plane, first_port)), tuple(route(n) for n in range(ROUTES)))


def route(number: int, *, timeout: float = 15.0) -> Route:
    """One route; another `timeout` makes it another route with the same id."""
    host, path = divmod(number, _ROUTES_PER_HOST)
    match = RouteMatch((f"team-{host}.example",), PathMatch(value=f"/service-{path}"))
    return Route(RouteId(f"route-{number}"), match, timeout=timeout, module_type=ModuleType.ALB)


def instances() -> Iterator[ModuleInstance]:
    """Every instance, healthy; half of each kind is version v1, half v2."""
    kinds = list(_KINDS.items())
    for number in range(INSTANCES):
        kind, protocol = kinds[number % len(kinds)]
        host = f"10.79.{number // 250}.{number % 250 + 1}"
        yield ModuleInstance(
            InstanceId(f"{kind.value}-{number}"),
            kind,
            f"{host}:50051",
            Version("v1" if number // len(kinds) % 2 else "v2"),
            HealthStatus.HEALTHY,
            traffic_endpoints=(
                TrafficEndpoint("plain", protocol, f"{host}:{TRAFFIC_PORT}"),
                TrafficEndpoint("proxied", protocol, f"{host}:8001", proxy_protocol=True),
            ),
        )


def remembered(state: DesiredState, now: float) -> Saved:
    """What an NLB would know of these instances after a restart; `now` in monotonic seconds."""
    moment = Moment(now, datetime.now(UTC))
    members = tuple(Member(one, f"r-{one.instance_id}", moment.wall, moment) for one in instances())
    answers = {
        (member.instance.instance_id, listener.name): Answer(
            Verdict(can_handle=True), "", about_listener(listener)
        )
        for member in members
        for listener in state.listeners
        if listener.module_type is member.instance.module_type
    }
    return Saved(members, answers=answers)


def _listeners(plane: DataPlaneKind, first_port: int) -> Iterator[Listener]:
    names = ((kind, number) for kind in _KINDS for number in range(_LISTENERS_PER_KIND))
    for port, (kind, number) in enumerate(names, first_port):
        yield Listener(
            f"{kind.value}-{number}",
            "0.0.0.0",
            port,
            _KINDS[kind],
            kind,
            balance=BalancePolicy.RANDOM,
            data_plane=plane,
        )
