"""Observer: live counts of the data plane, and the recent past of the NLB and its modules, in bounded memory."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import InstanceId
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.series import Frame, Point, Series
from marchproxy.nlb.dataplane.plane import ConnectionCounts, DataPlane, PlaneUnavailable, TrafficCounts
from marchproxy.nlb.rules.connects import Record, begin, look
from marchproxy.nlb.service.core import Core
from marchproxy.nlb.state.member import Member, Stats, Trouble

_log = get_logger(__name__)
SAMPLE_SECONDS = 5.0

_STAT_POINTS = (
    "total_requests",
    "successful_requests",
    "failed_requests",
    "active_connections",
    "total_connections",
    "avg_latency_ms",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "bytes_received",
    "bytes_sent",
    "cpu_usage_percent",
    "memory_usage_mb",
)

_OWN_FRAMES = 720  # an hour
_MODULE_FRAMES = 360
_MODULE_POINTS = 1_000_000  # of all modules together, about 100 MB
_LEAST_MODULE_POINTS = 2 * len(_STAT_POINTS)
_MOST_POINTS = 200  # of one report: what a module may make us keep
_MOST_GONE = 100
_GONE_SECONDS = 3600.0
_LATEST_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Window:
    """Which points are asked for: Unix seconds, None is open; no names are all names."""

    start: float | None = None
    end: float | None = None
    names: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Gone:
    """A member that left, as it last was, and when (monotonic seconds)."""

    member: Member
    at: float


class Observer:
    """Asks the data plane, and keeps what it and the modules said."""

    def __init__(self, plane: DataPlane, core: Core, clock: Clock) -> None:
        self.last = TrafficCounts()
        self._connects: dict[InstanceId, Record] = {}
        self._sampled = False
        self._members: Mapping[InstanceId, Member] = {}
        self._gone: deque[Gone] = deque(maxlen=_MOST_GONE)
        self._plane = plane
        self._core = core
        self._clock = clock
        self._own = Series(_OWN_FRAMES)
        self._modules: dict[InstanceId, Series] = {}

    async def counts(self, *, max_age: float = 1.0) -> TrafficCounts:
        """What the data plane carries, `max_age` in seconds; what it last said when it does not answer now."""
        try:
            self.last = await self._plane.counts(max_age=max_age)
        except PlaneUnavailable as error:
            _log.warning("data plane's counts are unknown", plane=self._plane.name, reason=str(error))
        return self.last

    async def connections(self) -> dict[InstanceId, int]:
        """Open connections by instance: the data plane's count, or the last heartbeat's where it has none."""
        live = (await self.counts()).by_instance()
        return {
            key: live[key].active if key in live else member.instance.current_connections
            for key, member in self._core.world.registry.members.items()
        }

    async def sample(self) -> None:
        """Record a frame of the NLB's own metrics, look for endpoints that fail, and let go of modules that are gone."""
        counts = await self.counts()
        self._own.record(Frame(self._clock.now().timestamp(), tuple(self._points(counts))))
        self._note_troubles(counts)
        members = self._core.world.registry.members
        now = self._clock.monotonic()
        self._gone.extend(Gone(self._members[key], now) for key in self._members.keys() - members.keys())
        self._members = members
        self._modules = {key: series for key, series in self._modules.items() if key in members}

    def gone(self) -> list[Member]:
        """Members that left within the last hour, as they last were; so many are remembered, and none twice."""
        now, members = self._clock.monotonic(), self._core.world.registry.members
        recent = {
            gone.member.instance.instance_id: gone.member
            for gone in self._gone
            if now - gone.at < _GONE_SECONDS
        }
        return [member for key, member in recent.items() if key not in members]

    def heard(self, instance_id: InstanceId, stats: Stats) -> None:
        """Record the stats of a heartbeat."""
        points = tuple(Point(name, float(getattr(stats, name))) for name in _STAT_POINTS)
        self._series(instance_id).record(Frame(self._clock.now().timestamp(), points))

    def reported(self, instance_id: InstanceId, points: Collection[tuple[float, Point]]) -> None:
        """Record pushed points with their times. Raises Refused when there are too many at once."""
        if len(points) > _MOST_POINTS:
            message = f"metrics: {len(points)} points; a report holds at most {_MOST_POINTS}"
            raise Refused(RefusalCode.RESOURCE_EXHAUSTED, message)
        by_time: dict[float, list[Point]] = {}
        for at, point in points:
            by_time.setdefault(at, []).append(point)
        for at, together in sorted(by_time.items()):
            self._series(instance_id).record(Frame(at, tuple(together)))

    def own(self, window: Window) -> list[tuple[float, Point]]:
        """The NLB's own points."""
        return list(self._own.between(window.start, window.end, window.names))

    def of_module(self, instance_id: InstanceId, window: Window) -> list[tuple[float, Point]]:
        """A module's points."""
        series = self._modules.get(instance_id)
        return list(series.between(window.start, window.end, window.names)) if series else []

    async def newest(self, names: Collection[str] = ()) -> tuple[Point, ...]:
        """The NLB's own points as they are now; nothing is recorded."""
        points = self._points(await self.counts())
        return tuple(point for point in points if not names or point.name in names)

    def newest_of_modules(self, names: Collection[str] = ()) -> Mapping[InstanceId, tuple[Point, ...]]:
        """What each module last said under each name: heartbeats and reports may name different things."""
        return {key: series.newest(names, frames=_LATEST_FRAMES) for key, series in self._modules.items()}

    def _series(self, instance_id: InstanceId) -> Series:
        series = self._modules.setdefault(instance_id, Series(_MODULE_FRAMES))
        series.most_points = max(_LEAST_MODULE_POINTS, _MODULE_POINTS // len(self._modules))
        return series

    def _note_troubles(self, counts: TrafficCounts) -> None:
        """Mark the instances whose endpoints the data plane cannot reach."""
        now, known = self._clock.monotonic(), self._connects
        self._connects = {}
        members = self._core.world.registry.members
        for key, seen in counts.by_instance().items():
            if key in members:
                # a newcomer's counts begin with it; at our first look there may be those of a process before this one
                record = known.get(key) or begin(ConnectionCounts() if self._sampled else seen, now)
                self._connects[key], words = look(record, seen, now)
                self._core.note_trouble(key, Trouble.CONNECTS, words)
        for key in known.keys() - self._connects.keys():
            self._core.note_trouble(key, Trouble.CONNECTS, "")  # nobody connects to it any more
        self._sampled = True

    def _points(self, counts: TrafficCounts) -> Iterator[Point]:
        for name, listener in counts.listeners.items():
            labels = (("listener", name),)
            yield Point("connections_active", listener.active, labels)
            yield Point("connections_total", listener.total, labels)
            yield Point("connections_failed_total", listener.failed, labels)
            yield Point("connections_denied_total", listener.denied, labels)
            yield Point("bytes_received_total", listener.received, labels)
            yield Point("bytes_sent_total", listener.sent, labels)
        for (name, instance), endpoint in counts.endpoints.items():
            pair = (("instance", str(instance)), ("listener", name))
            yield Point("instance_connections_active", endpoint.active, pair)
            yield Point("instance_connections_total", endpoint.total, pair)
            yield Point("instance_connect_failures_total", endpoint.failed, pair)
        for (name, outcome), count in counts.closes.items():
            yield Point("connections_closed_total", count, (("listener", name), ("outcome", outcome)))
        for limit, passed in counts.limits.items():
            label = (("limit", str(limit)),)
            yield Point("limit_allowed_total", passed.allowed, label)
            yield Point("limit_denied_total", passed.denied, label)
        yield Point("modules_registered", len(self._core.world.registry.members))
        yield Point("routes", len(self._core.world.table.entries))
