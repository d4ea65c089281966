"""Rules: what the module cannot do of a sound state, which of its routes takes a stream, and whether there is room. No I/O."""

from collections.abc import Collection, Iterator, Mapping

from marchproxy.model.glob import is_glob
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rtmp import STREAMING_PROTOCOLS, RtmpRoute
from marchproxy.model.state import DesiredState
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.load import Load
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan, Who, compile_plan, is_own
from marchproxy.modules.rtmp.told import details_of, match_of, stream_of

_PLAIN = BackendPool(name="")  # type: ignore[arg-type]
#: What of a pool would be silently ignored here, and why.
_MEANINGLESS = {
    "balance": "rtmp.pick says which origin a new stream goes to",
    "breakers": "it is for HTTP; limits of the routes say how many streams there may be",
    "slow_start": "it is for HTTP; a stream that is there stays where it is",
    "hash_table": "it is for HTTP",
}
_NOTHING = Load()
_NOBODY = StreamKey("", "", "")


def faults(state: DesiredState) -> Iterator[Problem]:
    """What the module cannot do of a sound state, as far as that shows without its files."""
    wanted = {ref.pool for route in state.routes if is_own(route) for ref in route.backends}
    for index, pool in enumerate(state.pools):
        if pool.name in wanted:
            yield from _pool_faults(pool, f"pools[{index}]")


def _pool_faults(pool: BackendPool, path: str) -> Iterator[Problem]:
    for key in ("dns", "srv", "file"):
        if getattr(pool.discovery, key):
            yield Problem(
                f"{path}.discovery.{key}", "the module does not look for origins; list them in `endpoints`"
            )
    for key, why in _MEANINGLESS.items():
        if getattr(pool, key) != getattr(_PLAIN, key):
            yield Problem(f"{path}.{key}", f"means nothing for origins: {why}; remove it")


class Plans:
    """The plan of a state without its files, worked out once: an NLB asks about thousands of routes, one by one."""

    def __init__(self) -> None:
        self._last: tuple[DesiredState, RtmpPlan] = (DesiredState(), RtmpPlan())

    def of(self, state: DesiredState) -> RtmpPlan:
        """That of `state`; at once, where it is the same object as before."""
        if state is not self._last[0]:
            self._last = (state, compile_plan(state, {})[0])
        return self._last[1]


def answer(
    plan: RtmpPlan,
    served: Collection[Protocol],
    route: Route,
    context: Mapping[str, str],
    load: Load = _NOTHING,
) -> Verdict:
    """Whether an instance with ports for the protocols `served` takes traffic of `route`, and which of its routes does.

    A route of the same id is its own. One that names no host, app, stream or client, and a context that does not either, ask
    about a listener as a whole. Otherwise it is read as a stream: what the context says (`vhost`, `app`, `stream`, `client`,
    `port`; `action` publish or play, `bitrate` in kbit/s), else the route's first names that are no patterns.
    """
    obstacle = _obstacle(served, route)
    if obstacle:
        return _no(obstacle)
    same = next((item for item in plan.routes if item.route_id == route.route_id), None)
    if same is not None:
        return _yes(same, "its route of that id", load)
    if route.protocol not in served:
        return _no(f"no port for {route.protocol.value} is open here")
    return _answer_stream(plan, route, context, load)


def _answer_stream(plan: RtmpPlan, route: Route, context: Mapping[str, str], load: Load) -> Verdict:
    who = who_of(route, context)
    if who.key == _NOBODY and not who.address:
        words = f"serves {route.protocol.value}"
        return Verdict(can_handle=True, reason=words, details={"routes": str(len(plan.routes))})
    found = plan.route(who)
    if found is None:
        return _no(f"no route for {stream_of(who)}")
    obstacle = _unpackaged(found, route.protocol) or _fullness(found, who.key, context, load)
    if obstacle:
        return _no(f'route "{found.route_id}" {obstacle}')
    return _yes(found, f"{match_of(found)} takes {stream_of(who)}", load)


def _obstacle(served: Collection[Protocol], route: Route) -> str:
    """Why no such module takes anything of such a route; empty: it may."""
    if route.protocol not in STREAMING_PROTOCOLS:
        return f"an RTMP module serves streams, not {route.protocol.value}"
    if route.only_for is not ModuleType.RTMP:
        return f"the route is meant for {route.only_for.value if route.only_for else 'others'}"
    return "" if served else "no port is open here"


def _unpackaged(found: RoutePlan, protocol: Protocol) -> str:
    """Why nobody can watch a route's streams by a protocol; empty: by this one that is possible."""
    packaging = found.options.packaging
    made = {
        Protocol.HLS: packaging is not None and packaging.hls,
        Protocol.DASH: packaging is not None and packaging.dash,
    }
    return "" if made.get(protocol, True) else f"packages no {protocol.name}"


def _fullness(found: RoutePlan, key: StreamKey, context: Mapping[str, str], load: Load) -> str:
    """Why there is no room for one more; empty: there is, as far as that is known."""
    limits, name = found.options.limits, str(found.route_id)
    streams, players = load.streams.get(name, frozenset()), load.players.get(name, 0)
    if context.get("action") == "play":
        if limits.players and players >= limits.players:
            return f"has its {limits.players} players"
    elif limits.streams and len(streams) >= limits.streams and found.known_as(key).text not in streams:
        return f"has its {limits.streams} streams"
    rate = _number(context.get("bitrate", ""))
    if limits.bitrate and rate > limits.bitrate:
        return f"lets a stream have {limits.bitrate} kbit/s, not {rate}"
    if load.free is not None and load.free < max(rate, 1):
        return f"has {load.free} kbit/s left of the {load.bandwidth} that may be sent"
    return ""


def _no(reason: str) -> Verdict:
    return Verdict(can_handle=False, reason=reason)


def _yes(found: RoutePlan, reason: str, load: Load) -> Verdict:
    details = details_of(found)
    if load.free is not None:
        details["free_bandwidth"] = str(load.free)
    return Verdict(can_handle=True, priority=found.route.priority, reason=reason, details=details)


def who_of(route: Route, context: Mapping[str, str]) -> Who:
    """The client and the stream that a route and a context ask about; see `answer`."""
    options = route.rtmp or RtmpRoute()
    key = StreamKey(
        (context.get("vhost") or _first(options.vhosts)).lower(),
        context.get("app") or _first(options.apps),
        context.get("stream") or _first(options.streams),
    )
    return Who(key, context.get("client", ""), _number(context.get("port", "")) or route.destination_port)


def _first(names: tuple[str, ...]) -> str:
    return next((name for name in names if not is_glob(name)), "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
