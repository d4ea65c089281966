"""TCP through the NLB's Envoy: who may connect, how often, and what becomes of those who say nothing or nonsense."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.nlb.dataplane.plane import LimitCounts, PlaneRefused
from tests.ports import free_port
from tests.real.plane_rig import Server, envoy_plane, greeting, hello, talk, tcp

ELSEWHERE = "127.0.0.2"


def limit(target: str, name: str = "few", **rates: int) -> RateLimit:
    return RateLimit(LimitId(name), target, **rates)


async def passed(port: int, times: int, **more) -> int:
    """How many of so many connections were answered."""
    return sum([bool(await greeting(port, **more)) for _ in range(times)])


async def test_networks_are_let_in_or_turned_away_and_a_change_of_them_ends_nobody(tmp_path):
    a, raw = Server("a"), tcp()
    async with envoy_plane(tmp_path, a) as plane, AsyncExitStack() as open_ones:
        await plane.carry((raw, a))
        kept = await open_ones.enter_async_context(talk(raw.port))
        assert (await kept.line()).startswith("a 127.0.0.1:")

        await plane.carry((replace(raw, deny=(f"{ELSEWHERE}/32",)), a))
        assert await passed(raw.port, 3, source=ELSEWHERE) == 0
        assert await passed(raw.port, 2) == 2
        await plane.carry((replace(raw, allow=("127.0.0.0/24",), deny=("127.0.0.2/31",)), a))
        assert await passed(raw.port, 1, source="127.0.0.3") == 0
        assert await passed(raw.port, 1, source="127.0.1.1") == 0
        assert await passed(raw.port, 1, source="127.0.0.4") == 1

        seen = await plane.until("raw", lambda seen: seen.active == 1)
        assert (seen.denied, seen.total) == (5, 9)
        assert len(a.seen) == 4
        assert await kept.echoes()
        stats = await plane.admin.stats(r"^listener_manager\.")
        assert stats.gauge("listener_manager.total_filter_chains_draining") == 0
        assert stats.counter("listener_manager.listener_in_place_updated") == 2


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_limit_denies_exactly_the_excess_and_keeps_its_bucket_when_something_else_changes(
    tmp_path, workers
):
    a, raw = Server("a"), tcp()
    few = limit("listener:raw", per_second=1000, per_hour=5)
    async with envoy_plane(tmp_path, a, workers=workers) as plane:
        await plane.carry((raw, a))
        assert await passed(raw.port, 4) == 4  # from before the limit: not of its counts
        await plane.carry((raw, a), limits=(few,))
        assert await passed(raw.port, 3) == 3
        await plane.carry((replace(raw, idle_timeout=60.0), a), limits=(few,))  # a new filter chain
        assert await passed(raw.port, 4) == 2
        await plane.carry((replace(raw, server_names=("a.example",)), a), (tcp("more"), a), limits=(few,))
        await plane.carry((replace(raw, idle_timeout=0.0), a), limits=(few,))  # a new listener
        assert await passed(raw.port, 2) == 0

        counts = await plane.counts()
        assert counts.limits == {"few": LimitCounts(allowed=5, denied=4)}
        assert counts.listeners["raw"].denied == 4
        await plane.carry((raw, a), limits=(replace(few, per_hour=6),))  # another bucket, a full one
        assert await passed(raw.port, 7) == 6


async def test_listeners_of_a_module_share_its_limit_and_networks_one_inside_the_other_keep_both(tmp_path):
    a, one, two, other = Server("a"), tcp("one"), tcp("two"), tcp("other", module_type=ModuleType.AILB)
    limits = (
        limit("module:alb", "of-module", per_hour=10),
        limit("source:127.0.0.0/8", "around", per_hour=6),
        limit("source:127.0.0.2/32", "inside", per_hour=2),
    )
    async with envoy_plane(tmp_path, a) as plane:
        await plane.carry((one, a), (two, a), (other, a), limits=limits)
        assert (
            await passed(one.port, 2, source=ELSEWHERE) + await passed(other.port, 2, source=ELSEWHERE) == 2
        )
        assert (
            await passed(one.port, 2) + await passed(two.port, 3) == 4
        )  # 6 of the whole network are through
        counts = await plane.counts()
        assert counts.limits["inside"] == LimitCounts(allowed=2, denied=2)
        assert counts.limits["around"] == LimitCounts(allowed=6, denied=1)
        assert counts.limits["of-module"].denied == 0
        assert counts.listeners["other"].denied == 2


async def test_no_change_of_its_listener_s_settings_ends_a_connection(tmp_path):
    a, raw = Server("a"), tcp()
    async with envoy_plane(tmp_path, a, drain_seconds=1) as plane:
        await plane.carry((raw, a))
        async with talk(raw.port) as kept:
            assert await kept.line()
            for changed, limits in (
                (replace(raw, idle_timeout=60.0), ()),
                (replace(raw, max_connections=7, allow=("127.0.0.0/8",)), ()),
                (raw, (limit("listener:raw", per_hour=3),)),
            ):
                await plane.carry((changed, a), limits=limits)
            await asyncio.sleep(1.5)  # longer than Envoy's drain would let it be
            assert await kept.echoes()
            assert await passed(raw.port, 4) == 3  # and new ones go by the newest settings
            stats = await plane.admin.stats(r"^listener_manager\.")
            assert stats.gauge("listener_manager.total_filter_chains_draining") == 0


async def test_max_connections_are_those_of_all_who_share_the_address(tmp_path):
    one, two, port = Server("one"), Server("two"), free_port()
    listeners = [
        Listener(name, "127.0.0.1", port, Protocol.HTTPS, server_names=(f"{name}.test",), max_connections=2)
        for name in ("one", "two")
    ]
    around = limit("source:127.0.0.0/8", per_hour=100)
    async with envoy_plane(tmp_path, one, two) as plane:
        await plane.carry(*zip(listeners, (one, two), strict=True), limits=(around,))
        async with talk(port, send=hello("one.test")) as first, talk(port, send=hello("two.test")) as second:
            assert (await first.line()).startswith("one ")
            assert (await second.line()).startswith("two ")
            assert await greeting(port, send=hello("two.test")) == ""
            more = [replace(listener, max_connections=3) for listener in listeners]
            await plane.carry(*zip(more, (one, two), strict=True), limits=(around,))
            async with asyncio.timeout(20):  # Envoy's workers learn of it a moment after its main thread
                while not await greeting(port, send=hello("two.test")):
                    await asyncio.sleep(0.02)
            assert not first.reader.at_eof()
        counts = await plane.counts()
        assert sum(seen.denied for seen in counts.listeners.values()) >= 1
        assert counts.limits == {"few": LimitCounts(allowed=3)}
        assert (await plane.admin.stats("listener_modified")).values == {
            "listener_manager.listener_modified": 0
        }


@pytest.mark.parametrize("workers", [1, 2])
async def test_max_connections_are_those_open_at_once(tmp_path, workers):
    a, raw = Server("a"), tcp(max_connections=2)
    async with envoy_plane(tmp_path, a, workers=workers) as plane:
        await plane.carry((raw, a))
        async with talk(raw.port) as first, talk(raw.port) as second:
            assert await first.line()
            assert await second.line()
            assert await passed(raw.port, 3) == 0
        await plane.until("raw", lambda seen: seen.active == 0)
        assert await passed(raw.port, 1) == 1
        assert (await plane.of("raw")).denied == 3


@pytest.mark.parametrize(
    ("listener", "limits", "word"),
    [
        (tcp(), (limit("client:127.0.0.0/8", per_second=1),), "each client"),
        (replace(tcp(), protocol=Protocol.UDP), (limit("listener:raw", per_second=1),), "UDP"),
        (tcp(max_connections_per_source=1), (), "by source"),
    ],
)
async def test_what_envoy_cannot_keep_is_refused_with_a_remedy(tmp_path, listener, limits, word):
    async with envoy_plane(tmp_path) as plane:
        with pytest.raises(PlaneRefused, match=f"{word}.*(kernel|detect)"):
            await plane.carry((listener, Server("a", port=1)), limits=limits)


async def test_connections_are_logged_when_they_end_as_many_as_asked_for(tmp_path):
    a, raw, log = Server("a"), tcp(deny=(ELSEWHERE,)), tmp_path / "connections.json"
    for percent in (100, 0):
        async with envoy_plane(
            tmp_path / f"{percent}", a, connection_log={"path": str(log), "sample_percent": percent}
        ) as plane:
            await plane.carry((raw, a))
            async with talk(raw.port) as client:
                await client.line()
                assert await client.echoes("123456789")
            assert await passed(raw.port, 1, source=ELSEWHERE) == 0
            await plane.until("raw", lambda seen: seen.active == 0)
    through, denied = sorted(
        map(json.loads, log.read_text().splitlines()), key=lambda line: -line["received"]
    )
    assert through["client"].startswith("127.0.0.1:")
    assert (through["listener"], through["instance"]) == ("raw", "a")
    assert (through["received"], through["duration_ms"] >= 0) == (10, True)
    assert denied["reason"] == "denied"
    assert (denied["listener"], denied["client"].partition(":")[0], denied["sent"]) == ("raw", ELSEWHERE, 0)
