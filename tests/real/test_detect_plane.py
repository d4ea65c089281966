"""The detect data plane through its relay workers: limits, PROXY protocol, balance, changes under way, shedding."""

import asyncio
import contextlib
import os
import signal
import struct
from collections import Counter
from dataclasses import replace

import pytest

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.module import InstanceId, Protocol, Version
from marchproxy.model.plan import ListenerPlan, VersionTargets
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.plane import ConnectionCounts, PlaneRefused
from tests.ports import free_port
from tests.real.detect_rig import detect_plane, raw
from tests.real.plane_rig import Server, greeting, talk

PING = b"PING\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2_header(source: str = "192.0.2.7", port: int = 4321) -> bytes:
    packed = bytes(map(int, source.split("."))) + bytes((10, 0, 0, 1)) + struct.pack("!HH", port, 80)
    return V2 + b"\x21\x11\x00\x0c" + packed


async def held(stack, port, count, **more):
    """So many connections that are kept open; how many of them were let in."""
    talks = [await stack.enter_async_context(talk(port, **more)) for _ in range(count)]
    return sum([bool(await conversation.line()) for conversation in talks])


async def refuses(port):
    """Whether nobody listens there."""
    try:
        async with talk(port):
            return False
    except ConnectionRefusedError:
        return True


async def test_nothing_runs_before_it_is_needed(tmp_path):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane:
        await plane.apply()
        assert await plane.detect.health() == {}
        listener = raw()
        await plane.carry((listener, server))
        assert (await greeting(listener.port)).startswith("a 127.0.0.1:")
        assert plane.detect.addresses()
        assert set(await plane.detect.health()) == {"relay_0_pid"}


async def test_open_connections_are_limited_exactly(tmp_path):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane, contextlib.AsyncExitStack() as stack:
        listener = raw(max_connections=7)
        await plane.carry((listener, server))
        assert await held(stack, listener.port, 12) == 7
        counts = await plane.until(lambda seen: seen.listeners["raw"].denied == 5)
        assert (counts.listeners["raw"].active, counts.closes["raw", "denied"]) == (7, 5)
        await stack.aclose()
        await plane.until(lambda seen: not seen.listeners["raw"].active)
        assert await greeting(listener.port)


async def test_open_connections_of_all_who_share_a_port_are_limited_together(tmp_path):
    server = Server("a", greets=False)
    async with detect_plane(tmp_path, server) as plane, contextlib.AsyncExitStack() as stack:
        more = {"max_connections": 4, "max_connections_per_source": 2}
        web = raw("web", protocol=Protocol.HTTP, **more)
        cache = raw("cache", protocol=Protocol.REDIS, port=web.port, **more)
        await plane.carry((web, server), (cache, server))
        silent = await stack.enter_async_context(talk(web.port, source="127.0.0.2"))
        first = await stack.enter_async_context(talk(web.port, source="127.0.0.2", send=PING))
        assert await first.line() == "PING"
        for source, let_in in (
            ("127.0.0.2", False),
            ("127.0.0.3", True),
            ("127.0.0.4", True),
            ("127.0.0.5", False),
        ):
            with contextlib.suppress(ConnectionError):
                conversation = await stack.enter_async_context(talk(web.port, source=source, send=PING))
                assert bool(await conversation.line()) == let_in, source
        await silent.close()
        await plane.until(lambda seen: seen.closes["web", "client_gone"] == 1)
        assert await greeting(web.port, source="127.0.0.5", send=PING)


async def test_open_connections_of_a_source_are_limited_exactly(tmp_path):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane, contextlib.AsyncExitStack() as stack:
        listener = raw(max_connections_per_source=3)
        await plane.carry((listener, server))
        assert await held(stack, listener.port, 5, source="127.0.0.2") == 3
        assert await held(stack, listener.port, 5, source="127.0.0.3") == 3
        await plane.until(lambda seen: seen.listeners["raw"].denied == 4)


@pytest.mark.parametrize(
    ("limit", "let_in"),
    [
        (RateLimit(LimitId("r"), "listener:raw", per_minute=5), {"127.0.0.2": 5, "127.0.0.3": 0}),
        (RateLimit(LimitId("r"), "module:alb", per_minute=5), {"127.0.0.2": 5, "127.0.0.3": 0}),
        (RateLimit(LimitId("r"), "source:127.0.0.2/31", per_hour=6), {"127.0.0.2": 6, "127.0.0.3": 0}),
        (RateLimit(LimitId("r"), "source:127.0.0.2", per_hour=6), {"127.0.0.2": 6, "127.0.0.3": 8}),
        (RateLimit(LimitId("r"), "client:127.0.0.0/8", per_hour=6), {"127.0.0.2": 6, "127.0.0.3": 6}),
    ],
    ids=lambda value: value.target if isinstance(value, RateLimit) else "",
)
async def test_new_connections_are_limited_exactly(tmp_path, limit, let_in):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane:
        listener = raw()
        await plane.carry((listener, server), limits=(limit,))
        found = {}
        for source in let_in:
            found[source] = sum([bool(await greeting(listener.port, source=source)) for _ in range(8)])
        assert found == let_in
        counts = (await plane.counts()).limits["r"]
        counted = 16 if limit.target != "source:127.0.0.2" else 8
        assert (counts.allowed + counts.denied, counts.denied) == (counted, 16 - sum(let_in.values()))


async def test_a_limit_that_stays_keeps_what_it_counted(tmp_path):
    server = Server("a")
    limit = RateLimit(LimitId("r"), "listener:raw", per_hour=2)
    async with detect_plane(tmp_path, server) as plane:
        listener = raw()
        await plane.carry((listener, server), limits=(limit,))
        assert await greeting(listener.port)
        await plane.carry((replace(listener, max_connections=9), server), limits=(limit,))
        assert [bool(await greeting(listener.port)) for _ in range(2)] == [True, False]
        await plane.carry((listener, server), limits=(replace(limit, per_hour=3),))
        assert [bool(await greeting(listener.port)) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("rules", "let_in"),
    [
        ({"allow": ("127.0.0.2/32",)}, {"127.0.0.2": True, "127.0.0.3": False}),
        ({"deny": ("127.0.0.2/32",)}, {"127.0.0.2": False, "127.0.0.3": True}),
        ({"allow": ("127.0.0.0/8",), "deny": ("127.0.0.2",)}, {"127.0.0.2": False, "127.0.0.3": True}),
        ({"allow": ("::/0",)}, {"127.0.0.2": False}),
    ],
)
async def test_who_may_come(tmp_path, rules, let_in):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane:
        listener = raw(**rules)
        await plane.carry((listener, server))
        found = {source: bool(await greeting(listener.port, source=source)) for source in let_in}
        assert found == let_in
        assert (await plane.of()).denied == Counter(let_in.values())[False]


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (v2_header(), "192.0.2.7:4321"),
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 4321 80\r\n", "192.0.2.7:4321"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4321 80\r\n", "2001:0db8:0000:0000:0000:0000:0000:0007:4321"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
async def test_clients_that_a_proxy_introduces(tmp_path, header, client, whole):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane:
        listener = raw(proxy_protocol=True, allow=("192.0.2.0/24", "2001:db8::/32"))
        await plane.carry((listener, server))
        async with talk(listener.port, send=header + b"hello\n" if whole else b"") as conversation:
            if not whole:
                for byte in header + b"hello\n":
                    conversation.writer.write(bytes((byte,)))
                    await conversation.writer.drain()
            assert await conversation.line() == f"a {client}"
            assert await conversation.line() == "hello"
        # the header is no byte of the client's
        await plane.until(lambda seen: seen.listeners["raw"].received == len(b"hello\n"))


@pytest.mark.parametrize(
    ("first", "more", "outcome"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", {}, "malformed"),
        (v2_header()[:14], {"finish": True}, "malformed"),
        (v2_header(), {"deny": ("192.0.2.7",)}, "denied"),
        (v2_header(), {"trusted_proxies": ("127.0.0.9",)}, "denied"),
    ],
)
async def test_introductions_that_are_refused(tmp_path, first, more, outcome):
    server = Server("a")
    finish = more.pop("finish", False) if "finish" in (more := dict(more)) else False
    async with detect_plane(tmp_path, server) as plane:
        listener = raw(proxy_protocol=True, **more)
        await plane.carry((listener, server))
        with contextlib.suppress(ConnectionError):
            async with talk(listener.port, send=first) as conversation:
                if finish:
                    conversation.writer.write_eof()
                assert await conversation.ended()
        await plane.until(lambda seen: seen.closes == {("raw", outcome): 1})
        assert not server.seen


@pytest.mark.parametrize(
    ("policy", "shares"),
    [(BalancePolicy.LEAST_CONNECTIONS, {"a": 10, "b": 20}), (BalancePolicy.ROUND_ROBIN, {"a": 10, "b": 20})],
)
async def test_instances_have_their_shares(tmp_path, policy, shares):
    a, b = Server("a"), Server("b")
    async with detect_plane(tmp_path, a, b) as plane, contextlib.AsyncExitStack() as stack:
        listener = raw(balance=policy)
        targets = (replace(a.target(), weight=50), replace(b.target(), weight=100))
        await plane.apply(ListenerPlan(listener, (VersionTargets(Version("v1"), 100, targets),)))
        assert await held(stack, listener.port, 30) == 30
        assert {name: (await plane.counts()).endpoints["raw", name].active for name in shares} == shares


async def test_a_source_keeps_its_instance(tmp_path):
    servers = tuple(Server(name) for name in "abcd")
    async with detect_plane(tmp_path, *servers) as plane:
        listener = raw(balance=BalancePolicy.SOURCE_HASH)
        versions = [VersionTargets(Version(s.name), 50, (s.target(),)) for s in servers]
        sources = [f"127.0.1.{number}" for number in range(1, 40)]

        async def takers():
            return {source: (await greeting(listener.port, source=source)).split()[0] for source in sources}

        await plane.apply(ListenerPlan(listener, tuple(versions)))
        before = await takers()
        assert before == await takers()
        assert set(before.values()) == set("abcd")
        await plane.apply(ListenerPlan(listener, tuple(versions[1:])))
        after = await takers()
        assert {s: t for s, t in before.items() if t != "a"}.items() <= after.items()


async def test_versions_have_their_shares_while_they_change(tmp_path):
    blue, green = Server("blue"), Server("green")
    async with detect_plane(tmp_path, blue, green) as plane:
        listener = raw()

        async def split(percent):
            weights = ((blue, 100 - percent), (green, percent))
            versions = [VersionTargets(Version(s.name), w, (s.target(),)) for s, w in weights if w]
            await plane.apply(ListenerPlan(listener, tuple(versions)))

        await split(5)
        async with talk(listener.port) as kept:
            assert await kept.line()
            for percent in (5, 25, 50, 100):
                await split(percent)
                names = Counter([(await greeting(listener.port)).split()[0] for _ in range(100)])
                # exact, but for the one turn that a change may cut in two
                assert abs(names["green"] - percent) <= 1
            assert await kept.echoes()


async def test_nobody_is_refused_while_one_of_two_is_dead(tmp_path):
    alive, dead = Server("alive"), Server("dead")
    async with detect_plane(tmp_path, alive, dead) as plane:
        listener = raw(balance=BalancePolicy.ROUND_ROBIN)
        gone = replace(
            dead.target(), endpoint=replace(dead.target().endpoint, address=f"127.0.0.1:{free_port()}")
        )
        await plane.apply(
            ListenerPlan(listener, (VersionTargets(Version("v1"), 100, (gone, alive.target())),))
        )
        answers = Counter([(await greeting(listener.port)).split()[0] for _ in range(50)])
        assert answers == {"alive": 50}
        endpoints = (await plane.counts()).endpoints
        assert endpoints["raw", "dead"].total == 0
        # it was left out most of the time
        assert 1 <= endpoints["raw", "dead"].failed < 25
        await plane.apply(ListenerPlan(listener, (VersionTargets(Version("v1"), 100, (gone,)),)))
        assert await greeting(listener.port) == ""
        await plane.until(lambda seen: seen.listeners["raw"].failed == 1)


async def test_a_parked_instance_finishes_what_it_has(tmp_path):
    old, new = Server("old"), Server("new")
    async with detect_plane(tmp_path, old, new) as plane:
        listener = raw()
        await plane.carry((listener, old))
        async with talk(listener.port) as kept:
            assert await kept.line()
            plan = ListenerPlan(listener, (VersionTargets(Version("v1"), 100, (new.target(),)),))
            await plane.apply(plan, parked={"raw": (replace(old.target(), weight=0),)})
            for _ in range(10):
                assert (await greeting(listener.port)).startswith("new ")
            assert await kept.echoes()
            assert (await plane.counts()).endpoints["raw", "old"].active == 1
        await plane.until(lambda seen: not seen.endpoints["raw", "old"].active)


async def test_the_longest_quiet_are_shed_first_and_politely(tmp_path):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane, contextlib.AsyncExitStack() as stack:
        listener = raw()
        await plane.carry((listener, server))
        talks = [await stack.enter_async_context(talk(listener.port)) for _ in range(6)]
        for conversation in talks:
            assert await conversation.line()
        assert await plane.detect.shed(InstanceId("a"), 2) == 2
        assert await plane.detect.shed(InstanceId("b"), 2) == 0
        assert await plane.detect.shed(InstanceId("a"), 2, listener="other") == 0
        assert [await conversation.line() for conversation in talks[:2]] == ["", ""]
        for conversation in talks[2:]:
            assert await conversation.echoes()
        counts = await plane.until(lambda seen: seen.listeners["raw"].active == 4)
        assert counts.closes == {("raw", "shed"): 2}


async def test_a_port_that_is_gone_lets_its_connections_end(tmp_path):
    server = Server("a")
    async with detect_plane(tmp_path, server, drain_seconds=4) as plane:
        listener, other = raw(), raw("other")
        await plane.carry((listener, server), (other, server))
        async with talk(listener.port) as leaves, talk(listener.port) as stays:
            assert await leaves.line()
            assert await stays.line()
            await plane.carry((other, server))
            assert await refuses(listener.port)
            assert await leaves.echoes()
            await leaves.close()
            assert await stays.ended()  # its seconds have passed
        assert await greeting(other.port)
        await plane.until(lambda seen: "raw" not in seen.listeners)


async def test_a_taken_port_is_refused_and_changes_nothing(tmp_path):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane:
        listener, free = raw(), raw("free")
        await plane.carry((listener, server))
        with pytest.raises(PlaneRefused, match="already in use"):
            await plane.carry((raw("taken", port=server.port), server), (free, server))
        assert await greeting(listener.port)
        assert await refuses(free.port)


async def test_workers_share_ports_but_not_limits(tmp_path):
    server = Server("a")
    async with (
        detect_plane(tmp_path, server, relay={"workers": 2}) as plane,
        contextlib.AsyncExitStack() as stack,
    ):
        listener, limited = raw(), raw("limited", max_connections=10)
        await plane.carry((listener, server), (limited, server))
        pids = {int(pid) for pid in (await plane.detect.health()).values()}
        assert len(pids) == 2
        assert await held(stack, limited.port, 15) == 10
        assert await held(stack, listener.port, 40) == 40
        counts = await plane.counts()
        assert counts.listeners["raw"] == ConnectionCounts(40, 40, 0, 0, 0, counts.listeners["raw"].sent)
        assert counts.listeners["limited"].denied == 5
        with pytest.raises(PlaneRefused, match="already in use"):
            await plane.carry((raw("taken", port=server.port), server))


async def test_a_worker_that_dies_is_replaced(tmp_path):
    server = Server("a")
    async with detect_plane(tmp_path, server) as plane:
        listener = raw()
        await plane.carry((listener, server))
        (pid,) = (await plane.detect.health()).values()
        os.kill(int(pid), signal.SIGKILL)
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(ConnectionError):
                    if await greeting(listener.port):
                        break
                await asyncio.sleep(0.05)
        assert (await plane.detect.health())["relay_0_pid"] != pid


@pytest.mark.parametrize(
    ("first", "finish", "outcome"),
    [
        (b"\xff" * 64, False, "unknown"),
        (b"*1\r\n$4", True, "unknown"),
        (b"", True, "client_gone"),
        (b"GET /" + b"a" * 20_000, False, "unknown"),
        (b"*1\r\n$4\r\n", False, None),
    ],
)
async def test_only_what_is_recognised_is_taken(tmp_path, first, finish, outcome):
    server = Server("a", greets=False, proxied=False)
    async with detect_plane(tmp_path, server) as plane:
        listener = raw("redis", protocol=Protocol.REDIS)
        await plane.carry((listener, server))
        with contextlib.suppress(ConnectionError):
            async with talk(listener.port, send=first) as conversation:
                if finish:
                    conversation.writer.write_eof()
                if outcome is None:
                    assert await conversation.line() == "*1"
                else:
                    assert await conversation.ended()
        await plane.until(lambda seen: seen.closes == {("redis", outcome or "finished"): 1})
