"""Reading and telling, with an Envoy that answers what the test says."""

from dataclasses import dataclass, field

from marchproxy.engines.envoy.admin import AdminUnreachable
from marchproxy.engines.envoy.metrics.family import counter, gauge, histogram
from marchproxy.engines.envoy.metrics.meter import EnvoyMeter
from marchproxy.engines.envoy.metrics.source import Source, cell
from marchproxy.engines.envoy.stats import EnvoyStats, Histogram
from marchproxy.kit.clock import VirtualClock

TABLE = (
    Source(
        r"s\.<stat>",
        {
            "asked": cell(counter("asked", "Asked.")),
            "open": cell(gauge("open", "Open.")),
            "took": cell(histogram("took_seconds", "Took.")),
        },
    ),
)


@dataclass
class AdminDouble:
    """Counts how often it is asked; `asked` below 0: does not answer."""

    asked: int = 0
    calls: list[bool] = field(default_factory=list)

    async def stats(self, pattern: str, *, detailed: bool = False, used_only: bool = False) -> EnvoyStats:
        self.calls.append(detailed)
        assert used_only
        if self.asked < 0:
            raise AdminUnreachable("nobody there")
        bins = [{"lower_bound": 3.0, "width": 0.1, "count": self.asked}] if detailed and self.asked else []
        return EnvoyStats({"s.asked": self.asked, "s.open": 7}, {}, {"s.took": Histogram(None, None, bins)})


def meter(admin: AdminDouble, clock: VirtualClock) -> EnvoyMeter:
    return EnvoyMeter(admin, TABLE, lambda: 1, clock=clock)


async def told(one: EnvoyMeter) -> dict[str, float]:
    lines = (await one.exposition()).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


async def test_a_scrape_reads_everything_and_a_look_no_bins() -> None:
    admin, clock = AdminDouble(3), VirtualClock()
    one = meter(admin, clock)
    assert (await one.look()).values == {"s.asked": 3, "s.open": 7}
    found = await told(one)
    assert admin.calls == [False, True]
    assert (
        found["marchproxy_envoy_up"],
        found["marchproxy_envoy_asked_total"],
        found["marchproxy_envoy_open"],
    ) == (1, 3, 7)
    assert found["marchproxy_envoy_took_seconds_count"] == 3


async def test_scrapes_within_a_second_share_a_reading() -> None:
    admin, clock = AdminDouble(1), VirtualClock()
    one = meter(admin, clock)
    await told(one)
    admin.asked = 2
    assert (await told(one))["marchproxy_envoy_asked_total"] == 1
    clock.advance(1.5)
    assert (await told(one))["marchproxy_envoy_asked_total"] == 2
    assert len(admin.calls) == 2


async def test_without_an_answer_counters_stay_and_gauges_go() -> None:
    admin, clock = AdminDouble(4), VirtualClock()
    one = meter(admin, clock)
    await told(one)
    admin.asked = -1
    clock.advance(2)
    found = await told(one)
    assert (found["marchproxy_envoy_up"], found["marchproxy_envoy_asked_total"]) == (0, 4)
    assert "marchproxy_envoy_open" not in found
    admin.asked = 5
    assert (await told(one))["marchproxy_envoy_up"] == 1


async def test_before_the_first_answer_there_is_something_to_tell() -> None:
    found = await told(meter(AdminDouble(-1), VirtualClock()))
    assert found["marchproxy_envoy_up"] == 0
    assert found["marchproxy_envoy_asked_total"] == 0
