"""The kernel's plane in a whole NLB: limits, endpoints that die, UDP. In network namespaces."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BalancePolicy
from tests.real.nft_rig import CLIENT, LB, Net, ask, close_sockets, connect, datagram, make_socket
from tests.real.nlb_rig import until
from tests.real.planes_rig import Rig, make_controlled_net, running

WEB, OTHER, DNS = 8001, 8002, 8053


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with make_controlled_net() as made:
        yield made


@pytest.fixture(autouse=True)
def sockets() -> Iterator[None]:
    yield
    close_sockets()


def listening(port: int, protocol: Protocol = Protocol.HTTP, **more) -> Listener:
    name = f"port-{port}"
    return Listener(name, "0.0.0.0", port, protocol, ModuleType.ALB, BalancePolicy.RANDOM, **more)


async def tried(net: Net, port: int, count: int) -> int:
    """How many of so many connections were taken; the others were refused."""
    taken = 0
    for _ in range(count):
        try:
            await ask(net.client, LB, port)
        except ConnectionRefusedError:
            continue
        taken += 1
    return taken


def metric(rig: Rig, name: str, **labels: str) -> float:
    page = rig.net.run(rig.net.lb, "curl", "-s", f"http://127.0.0.1:{rig.process.metrics_port}/metrics")
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in page.splitlines()
        if line.startswith(f"marchproxy_nlb_{name}{{") and all(label in line for label in wanted)
    )


async def _told(rig: Rig, name: str, value: int, **labels: str) -> bool:
    return metric(rig, name, **labels) == value


async def test_limits_deny_the_excess_and_keep_what_they_counted_over_changes(net, tmp_path):
    web, other = listening(WEB), listening(OTHER)
    limits = (
        RateLimit("each", f"client:{CLIENT}/24", per_hour=100),
        RateLimit("all", "module:alb", per_hour=140),
    )
    async with running(net, tmp_path, web, other) as rig:
        await rig.configure(web, other, limits=limits)
        assert set((await rig.carriers()).values()) == {"kernel"}
        assert await tried(net, WEB, 60) == 60
        await rig.configure(listening(WEB, deny=("192.0.2.0/24",)), other, limits=limits)
        # a bucket of 100 gets one back every 36 s
        more = await tried(net, OTHER, 100)
        assert 40 <= more <= 42
        taken = 60 + more
        await until(lambda: _told(rig, "limit_allowed_total", taken, limit="each"))
        await until(lambda: _told(rig, "limit_denied_total", 100 - more, limit="each"))
        await until(lambda: _told(rig, "denied_connections_total", 100 - more, listener=other.name))
        await until(lambda: _told(rig, "accepted_connections_total", 60, listener=web.name))
        assert metric(rig, "received_bytes_total", listener=web.name) > 60 * 40
        await rig.configure(web, other, limits=limits[1:])
        taken += await tried(net, OTHER, 100)
        assert 140 <= taken <= 143


async def test_networks_and_connections_at_once_by_source(net, tmp_path):
    web = listening(WEB, max_connections_per_source=20)
    other = listening(OTHER, allow=("10.77.0.0/24",), deny=(f"{CLIENT}/32",))
    async with running(net, tmp_path, web, other) as rig:
        kept = [await connect(net.client, LB, WEB) for _ in range(20)]
        assert await tried(net, WEB, 10) == 0
        assert await tried(net, OTHER, 10) == 0
        for connection in kept:
            connection.abort()
        await until(lambda: _taken(net, WEB))
        assert set((await rig.carriers()).values()) == {"kernel"}


async def _taken(net: Net, port: int) -> bool:
    return await tried(net, port, 1) == 1


async def test_an_endpoint_that_dies_is_left_out_long_before_its_heartbeats_are_missed(net, tmp_path):
    async with running(net, tmp_path, listening(WEB)) as rig:
        kept = await connect(net.client, LB, WEB)

        async def serving(*names: str) -> bool:
            seen = Counter()
            for _ in range(40):
                try:
                    seen[await ask(net.client, LB, WEB)] += 1
                except ConnectionRefusedError:
                    return False
            return set(seen) == set(names)

        await until(lambda: serving("a", "b"))
        rig.b.plain.close()
        await until(lambda: serving("a"))
        assert await kept.echo()
        # nobody left: rather tried than refused by us, so that whoever comes back is found
        rig.a.plain.close()
        await asyncio.sleep(0)
        assert await tried(net, WEB, 5) == 0
        await rig.b.open_plain()
        await until(lambda: serving("b"))
        await rig.a.open_plain()
        await until(lambda: serving("a", "b"))
        kept.abort()


async def _answers(socks: list[socket.socket]) -> list[str]:
    return [await datagram(sock, LB, DNS) for sock in socks]


async def test_udp_requests_and_long_flows_survive_changes_a_drain_and_a_killed_nlb(net, tmp_path):
    dns = listening(DNS, Protocol.UDP)
    async with running(net, tmp_path, dns, listening(WEB)) as rig:
        assert (await rig.carriers())[dns.name] == "kernel"
        socks = [make_socket(net.client, CLIENT, udp=True) for _ in range(30)]
        first = await _answers(socks)
        assert set(first) == {f"a {CLIENT}", f"b {CLIENT}"}

        await rig.configure(dns, listening(WEB, deny=("192.0.2.0/24",)))
        assert await _answers(socks) == first
        await rig.process.kill()
        assert await _answers(socks) == first
        await rig.process.start()
        await rig.a.register(rig.stub)
        await rig.b.register(rig.stub)
        await until(rig.serving)
        assert await _answers(socks) == first

        await rig.leave(rig.a, seconds=1)  # UDP has no end to wait for

        async def moved() -> bool:
            return set(await _answers(socks)) == {f"b {CLIENT}"}

        await until(moved)
        assert "marchproxy" in rig.tables()
        await rig.process.stop()
        assert "marchproxy" not in rig.tables()
