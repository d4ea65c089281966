"""NftablesEngine with the real kernel, in network namespaces: client, load balancer, two module hosts."""

import asyncio
import json
import random
import re
import stat
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from marchproxy.engines.nftables import (
    Backend,
    EndpointId,
    Frontend,
    Limit,
    LimitCounters,
    NftablesEngine,
    NftablesError,
    NftablesRefused,
    NftablesSettings,
    Period,
    Plan,
    Policy,
    Protocol,
    Rate,
)
from tests.real.nft_rig import (
    CLIENT,
    CLIENT6,
    LB,
    LB6,
    M1,
    M1_6,
    M2,
    M2_6,
    VIP,
    VIP6,
    Modules,
    Net,
    ask,
    close_sockets,
    connect,
    datagram,
    flooding,
    make_net,
    make_socket,
)

PORT = 8000
ONE, TWO = Backend(M1, PORT), Backend(M2, PORT)
WEB = Frontend("web", Protocol.TCP, VIP, 80, (ONE, TWO))
DNS = Frontend("dns", Protocol.UDP, VIP, 53, (ONE, TWO))


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with make_net() as made:
        yield made


@pytest.fixture
async def modules(net: Net) -> AsyncIterator[Modules]:
    made = Modules(net)
    for namespace, name in ((net.m1, "m1"), (net.m2, "m2"), (net.lb, "lb")):
        await made.tcp(namespace, name, PORT)
        await made.udp(namespace, name, PORT)
    yield made
    await made.close()
    close_sockets()


@pytest.fixture
async def engine(net: Net, modules: Modules) -> AsyncIterator[NftablesEngine]:
    made = NftablesEngine(NftablesSettings(netns=net.lb, flows_max_age=0.0))
    yield made
    await made.remove()
    net.run(net.lb, "conntrack", "-F")


async def split(net: Net, count: int, address: str = VIP, port: int = 80) -> Counter[str]:
    return Counter([await ask(net.client, address, port) for _ in range(count)])


def chi_square(seen: Counter[str], weights: dict[str, int]) -> float:
    total, parts = seen.total(), sum(weights.values())
    assert set(seen) <= set(weights)
    return sum((seen[name] - total * w / parts) ** 2 / (total * w / parts) for name, w in weights.items())


async def test_the_kernel_takes_every_kind_of_rule(engine: NftablesEngine, net: Net):
    assert await engine.available() is None
    assert net.nft("list ruleset") == ""


async def test_available_says_what_is_missing(net: Net):
    reason = await NftablesEngine(NftablesSettings(nft="no-such-nft", netns=net.lb)).available()
    assert reason is not None
    assert "no-such-nft" in reason


async def test_random_split_follows_the_weights(engine: NftablesEngine, net: Net):
    local = Backend(LB, PORT, weight=7, local=True)
    await engine.apply(Plan((replace(WEB, backends=(ONE, replace(TWO, weight=2), local)),)))
    seen = await split(net, 2500)
    assert chi_square(seen, {"m1": 1, "m2": 2, "lb": 7}) < 23.0, seen  # 2 degrees of freedom, p = 1e-5
    counted = (await engine.counters()).endpoints
    assert {i.address: c.connections for i, c in counted.items()} == {
        M1: seen["m1"],
        M2: seen["m2"],
        LB: seen["lb"],
    }


async def test_round_robin_is_exact(engine: NftablesEngine, net: Net):
    await engine.apply(
        Plan((replace(WEB, policy=Policy.ROUND_ROBIN, backends=(ONE, replace(TWO, weight=3))),))
    )
    assert await split(net, 40) == {"m1": 10, "m2": 30}


async def test_source_hash_keeps_a_client_and_follows_the_weights(engine: NftablesEngine, net: Net):
    await engine.apply(
        Plan((replace(WEB, policy=Policy.SOURCE_HASH, backends=(ONE, replace(TWO, weight=3))),))
    )
    assert len(await split(net, 50)) == 1
    sources = [f"10.77.0.{last}" for last in range(10, 130)]
    for source in sources:
        net.run(net.client, "ip", "addr", "add", f"{source}/24", "dev", "up0")
    first = {source: await _server_of(net, source) for source in sources}
    assert 0.6 < Counter(first.values())["m2"] / len(sources) < 0.9
    await engine.apply(
        Plan((replace(WEB, policy=Policy.SOURCE_HASH, backends=(ONE, replace(TWO, weight=0))),))
    )
    await engine.apply(
        Plan((replace(WEB, policy=Policy.SOURCE_HASH, backends=(ONE, replace(TWO, weight=3))),))
    )
    assert {source: await _server_of(net, source) for source in sources} == first


async def _server_of(net: Net, source: str) -> str:
    connection = await connect(net.client, VIP, 80, source=source)
    connection.abort()
    return connection.server


async def test_established_connections_survive_weights_drains_and_the_end_of_the_frontend(
    engine: NftablesEngine, net: Net
):
    await engine.apply(Plan((replace(WEB, backends=(ONE,)),)))
    kept = await connect(net.client, VIP, 80)
    identity = EndpointId("web", M1, PORT)
    for backends in ((replace(ONE, weight=5), TWO), (replace(ONE, weight=0), TWO), (TWO,)):
        await engine.apply(Plan((replace(WEB, backends=backends),)))
        assert await kept.echo()
    assert set(await split(net, 20)) == {"m2"}
    await engine.apply(Plan((replace(WEB, backends=(replace(ONE, weight=0), TWO)),)))
    assert (await engine.active_connections())[identity] == 1
    before = (await engine.counters()).endpoints[identity]
    assert await kept.echo()
    after = (await engine.counters()).endpoints[identity]
    assert after.connections == before.connections
    assert after.bytes_in > before.bytes_in
    assert after.bytes_out > before.bytes_out
    for rest in (Plan((DNS,)), Plan()):
        await engine.apply(rest)
        assert await kept.echo()
    kept.abort()


@pytest.mark.parametrize(
    ("asked", "address", "backend"),
    [
        (VIP, VIP, ONE),
        (VIP, VIP, Backend(LB, PORT, local=True)),
        (LB, LB, Backend("0.0.0.0", PORT, local=True)),
        (LB, "0.0.0.0", ONE),
        (LB, "0.0.0.0", Backend(LB, PORT, local=True)),
        (LB, "0.0.0.0", Backend("0.0.0.0", PORT, local=True)),
    ],
)
async def test_bytes_are_counted_both_ways(
    engine: NftablesEngine, net: Net, asked: str, address: str, backend: Backend
):
    await engine.apply(Plan((replace(WEB, address=address, backends=(backend,)),)))
    connection = await connect(net.client, asked, 80)
    before = (await engine.counters()).endpoints[EndpointId("web", backend.address, PORT)]
    assert before.connections == 1
    data = b"x" * 1000
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection.sock, data)
    echoed = 0
    while echoed < len(data):
        echoed += len(await loop.sock_recv(connection.sock, len(data)))
    after = (await engine.counters()).endpoints[EndpointId("web", backend.address, PORT)]
    connection.abort()
    # payload, one IP and TCP header per packet, and the acknowledgement of the other side's payload
    assert 1040 <= after.bytes_in - before.bytes_in <= 1300
    assert 1040 <= after.bytes_out - before.bytes_out <= 1300


@pytest.mark.parametrize(
    ("backend", "seen"),
    [
        (ONE, "10.77.1.1"),
        (replace(ONE, keep_source=True), CLIENT),
        (Backend(LB, PORT, local=True), CLIENT),
    ],
    ids=["masqueraded", "routed", "local"],
)
async def test_client_address(engine: NftablesEngine, net: Net, backend: Backend, seen: str):
    await engine.apply(Plan((replace(WEB, backends=(backend,)),)))
    connection = await connect(net.client, VIP, 80)
    connection.abort()
    assert connection.seen == seen


async def test_a_module_reaches_itself_through_the_frontend(engine: NftablesEngine, net: Net):
    await engine.apply(Plan((replace(WEB, backends=(replace(ONE, keep_source=True),)),)))
    assert await ask(net.m1, VIP, 80) == "m1"


async def test_connections_from_the_load_balancer_itself(engine: NftablesEngine, net: Net):
    await engine.apply(
        Plan(
            (
                WEB,
                replace(WEB, name="own", address="0.0.0.0", backends=(Backend("0.0.0.0", PORT, local=True),)),
            )
        )
    )
    # no route leads to the VIP without an address or a default route: a load balancer owns the addresses it serves
    net.run(net.lb, "ip", "addr", "add", f"{VIP}/32", "dev", "lo")
    try:
        assert await ask(net.lb, VIP, 80) in {"m1", "m2"}
        assert await ask(net.lb, LB, 80) == "lb"
    finally:
        net.run(net.lb, "ip", "addr", "del", f"{VIP}/32", "dev", "lo")


@pytest.mark.parametrize("address", [LB, "0.0.0.0"])
async def test_a_connection_to_a_program_of_this_host_outlives_a_frontend_at_its_address(
    engine: NftablesEngine, net: Net, address: str
):
    kept = await connect(net.client, LB, PORT)
    assert kept.server == "lb"
    # tracking begins with the first table, and calls this connection's next packet new
    await engine.apply(Plan((replace(WEB, address=address, port=PORT, backends=(ONE,)),)))
    assert await kept.echo()
    assert await ask(net.client, LB, PORT) == "m1"
    assert await kept.echo()
    kept.abort()


async def test_redirect_and_wildcard(engine: NftablesEngine, net: Net):
    own = Frontend("own", Protocol.TCP, "0.0.0.0", 80, (Backend("0.0.0.0", PORT, local=True),))
    await engine.apply(Plan((own,)))
    for address in (LB, "10.77.1.1"):
        assert await ask(net.client, address, 80) == "lb"
    # what is only routed through us is not ours
    with pytest.raises(ConnectionRefusedError):
        await connect(net.client, M1, 80)


async def test_ipv6(engine: NftablesEngine, net: Net):
    backends = (Backend(M1_6, PORT, keep_source=True), Backend(M2_6, PORT))
    six = Frontend(
        "six",
        Protocol.TCP,
        VIP6,
        80,
        backends,
        limits=(
            Limit("six", (Rate(1000, Period.SECOND),)),
            Limit("each", (Rate(1000, Period.HOUR),), each=True),
        ),
        concurrent=100,
    )
    own = Frontend("own6", Protocol.TCP, "::", 81, (Backend("::", PORT, local=True),))
    await engine.apply(Plan((six, own, WEB)))
    seen = {(c.server, c.seen) for c in [await _dropped(net, VIP6) for _ in range(40)]}
    assert seen == {("m1", CLIENT6), ("m2", "fd77:2::1")}
    assert await ask(net.client, LB6, 81) == "lb"
    assert await ask(net.client, VIP, 80) in {"m1", "m2"}
    kept = await connect(net.client, VIP6, 80)
    assert (await engine.active_connections()).items() >= {
        (EndpointId("six", M1_6 if kept.server == "m1" else M2_6, PORT), 1)
    }
    kept.abort()
    counted = (await engine.counters()).endpoints
    assert counted[EndpointId("six", M1_6, PORT)].bytes_out > 0


async def _dropped(net: Net, address: str):
    connection = await connect(net.client, address, 80)
    connection.abort()
    return connection


async def test_nobody_to_serve_refuses_at_once(engine: NftablesEngine, net: Net):
    await engine.apply(Plan((replace(WEB, backends=()), replace(DNS, backends=(replace(ONE, weight=0),)))))
    with pytest.raises(ConnectionRefusedError):
        await connect(net.client, VIP, 80)
    sock = make_socket(net.client, CLIENT, udp=True)
    sock.connect((VIP, 53))
    loop = asyncio.get_running_loop()
    sock.send(b"?")
    with pytest.raises(ConnectionRefusedError):
        async with asyncio.timeout(2):
            await loop.sock_recv(sock, 64)
    sock.close()
    counted = (await engine.counters()).frontends
    assert (counted["web"].unserved, counted["dns"].unserved) == (1, 1)


async def test_allow_and_deny(engine: NftablesEngine, net: Net):
    for lists, allowed in (
        ({"deny": (f"{CLIENT}/32",)}, False),
        ({"allow": ("192.0.2.0/24",)}, False),
        ({"allow": ("10.77.0.0/16", "10.77.0.0/24")}, True),
        ({"allow": ("10.77.0.0/16",), "deny": ("10.77.0.0/30",)}, False),
    ):
        await engine.apply(Plan((replace(WEB, **lists),)))
        if allowed:
            await ask(net.client, VIP, 80)
        else:
            with pytest.raises(ConnectionRefusedError):
                await connect(net.client, VIP, 80)
    assert (await engine.counters()).frontends["web"].denied == 3


def slow(burst: int) -> tuple[Rate, ...]:
    """A bucket that gets nothing back while a test runs."""
    return (Rate(1, Period.HOUR, burst),)


async def tried(net: Net, count: int, *, port: int = 80, source: str | None = None) -> Counter[str]:
    seen = Counter()
    for _ in range(count):
        try:
            (await connect(net.client, VIP, port, source=source)).abort()
            seen["taken"] += 1
        except ConnectionRefusedError:
            seen["refused"] += 1
    return seen


async def test_a_limit_denies_exactly_the_excess_over_all_its_frontends_and_plans(
    engine: NftablesEngine, net: Net
):
    own, shared = Limit("own", slow(60)), Limit("shared", slow(100))
    web = replace(WEB, limits=(own, shared))
    other = replace(WEB, name="other", port=81, limits=(shared,))
    await engine.apply(Plan((web, other)))
    assert await tried(net, 40) == {"taken": 40}
    # neither a change nor a time without backends fills the bucket
    for backends in ((ONE,), (), (replace(ONE, weight=5), TWO)):
        await engine.apply(Plan((replace(web, backends=backends), other)))
    assert await tried(net, 50) == {"taken": 20, "refused": 30}
    assert await tried(net, 60, port=81) == {"taken": 40, "refused": 20}
    counted = await engine.counters()
    assert counted.limits == {"own": LimitCounters(60, 30), "shared": LimitCounters(100, 20)}
    assert (counted.frontends["web"].limited, counted.frontends["other"].limited) == (30, 20)
    # another rate is another bucket; the counters go on
    await engine.apply(Plan((replace(web, limits=(Limit("own", slow(7)),)), other)))
    assert await tried(net, 10) == {"taken": 7, "refused": 3}
    assert (await engine.counters()).limits["own"] == LimitCounters(67, 33)


async def test_a_limit_for_a_network_and_for_each_client(engine: NftablesEngine, net: Net):
    sources = [f"10.77.0.{last}" for last in (201, 202, 249)]
    for source in sources:
        net.run(net.client, "ip", "addr", "replace", f"{source}/24", "dev", "up0")
    each = Limit("each", slow(20), "10.77.0.200/29", each=True)
    together = Limit("together", slow(30), "10.77.0.200/30")
    wide = Limit("wide", slow(25), "10.77.0.248/29")
    await engine.apply(Plan((replace(WEB, limits=(each, together, wide)),)))
    seen = [(await tried(net, 30, source=source))["taken"] for source in (*sources, None)]
    assert seen == [20, 10, 25, 30]
    assert (await engine.counters()).limits == {
        "each": LimitCounters(40, 20),
        "together": LimitCounters(30, 10),
        "wide": LimitCounters(25, 5),
    }


async def test_all_rates_of_a_limit_hold(engine: NftablesEngine, net: Net):
    rates = (Rate(1, Period.HOUR, 50), Rate(1, Period.MINUTE, 1000), Rate(2**32 - 1, Period.SECOND))
    await engine.apply(Plan((replace(WEB, limits=(Limit("many", rates),)),)))
    assert await tried(net, 100) == {"taken": 50, "refused": 50}


async def test_a_limit_over_udp_drops(engine: NftablesEngine, net: Net):
    await engine.apply(Plan((replace(DNS, limits=(Limit("dns", slow(5)),)),)))
    socks = [make_socket(net.client, CLIENT, udp=True) for _ in range(8)]
    assert all([await datagram(sock, VIP, 53) for sock in socks[:5]])
    for sock in socks[5:]:
        with pytest.raises(TimeoutError):
            await datagram(sock, VIP, 53, timeout=0.2)
    assert all([await datagram(sock, VIP, 53) for sock in socks[:5]])  # flows that were let in go on
    assert (await engine.counters()).limits["dns"] == LimitCounters(5, 3)


async def test_concurrent_limit_denies_the_excess_and_forgets_what_ended(engine: NftablesEngine, net: Net):
    limited = replace(WEB, concurrent=20)
    await engine.apply(Plan((limited,)))
    open_now = [await connect(net.client, VIP, 80) for _ in range(20)]
    for _ in range(30):
        with pytest.raises(ConnectionRefusedError):
            await connect(net.client, VIP, 80)
    # a change of weights does not forget who is connected
    await engine.apply(Plan((replace(limited, backends=(ONE, replace(TWO, weight=9))),)))
    with pytest.raises(ConnectionRefusedError):
        await connect(net.client, VIP, 80)
    for connection in open_now[:5]:
        connection.close()
    async with asyncio.timeout(20):
        while net.run(net.lb, "conntrack", "-L", "-p", "tcp").count("TIME_WAIT") < 5:
            await asyncio.sleep(0.02)
    more = [await connect(net.client, VIP, 80) for _ in range(5)]
    with pytest.raises(ConnectionRefusedError):
        await connect(net.client, VIP, 80)
    for connection in (*open_now[5:], *more):
        connection.abort()


async def test_udp_request_and_response(engine: NftablesEngine, net: Net):
    await engine.apply(Plan((DNS,)))
    # all open at once: a port that comes twice is the same flow, not a new one
    socks = [make_socket(net.client, CLIENT, udp=True) for _ in range(60)]
    answers = Counter([(await datagram(sock, VIP, 53)).split()[0] for sock in socks])
    assert set(answers) == {"m1", "m2"}
    counted = (await engine.counters()).endpoints
    assert counted[EndpointId("dns", M1, PORT)].connections == answers["m1"]


async def test_udp_flows_to_a_removed_backend_move_and_others_stay(engine: NftablesEngine, net: Net):
    await engine.apply(Plan((DNS,)))
    socks = [make_socket(net.client, CLIENT, udp=True) for _ in range(20)]
    first = [(await datagram(sock, VIP, 53)).split()[0] for sock in socks]
    assert set(first) == {"m1", "m2"}
    drained = Plan((replace(DNS, backends=(replace(ONE, weight=0), TWO)),))
    await engine.apply(drained)
    assert await engine.conntrack_reconcile(drained) == 0
    assert [(await datagram(sock, VIP, 53)).split()[0] for sock in socks] == first
    gone = Plan((replace(DNS, backends=(TWO,)),))
    await engine.apply(gone)
    assert await engine.conntrack_reconcile(gone) == 1
    assert {(await datagram(sock, VIP, 53)).split()[0] for sock in socks} == {"m2"}
    for sock in socks:
        sock.close()


async def test_udp_flow_from_before_the_frontend_is_not_a_black_hole(engine: NftablesEngine, net: Net):
    sock = make_socket(net.client, CLIENT, udp=True)
    wild = Frontend("wild", Protocol.UDP, "0.0.0.0", 5353, (ONE,))
    # tracking begins with the first NAT table in the namespace
    await engine.apply(Plan((WEB,)))
    with pytest.raises((TimeoutError, ConnectionRefusedError)):
        await datagram(sock, LB, 5353, timeout=0.3)
    await engine.apply(Plan((wild,)))
    assert await engine.conntrack_reconcile(Plan((wild,))) == 1
    assert (await datagram(sock, LB, 5353)).startswith("m1")
    sock.close()


async def test_a_plan_that_is_refused_leaves_the_old_rules(
    engine: NftablesEngine, net: Net, monkeypatch: pytest.MonkeyPatch
):
    good = Plan((replace(WEB, backends=(ONE,)),))
    await engine.apply(good)
    before = net.nft("list ruleset")
    with pytest.raises(NftablesRefused, match="loopback"):
        await engine.apply(Plan((replace(WEB, backends=(Backend("127.0.0.1", 1, local=True),)),)))
    with monkeypatch.context() as patch:
        # a fault that our own checks would miss: nft has to find it
        patch.setattr("marchproxy.engines.nftables.engine.find_problems", lambda plan: ())
        mixed = replace(WEB, name="mixed", port=81, backends=(Backend(M1_6, PORT),))
        with pytest.raises(NftablesRefused, match="Error"):
            await engine.apply(Plan((replace(WEB, backends=(TWO,)), DNS, mixed)))
    assert _without_counts(net.nft("list ruleset")) == _without_counts(before)
    assert await ask(net.client, VIP, 80) == "m1"
    await engine.apply(Plan((replace(WEB, backends=(TWO,)),)))
    assert await ask(net.client, VIP, 80) == "m2"


def _without_counts(ruleset: str) -> list[str]:
    return [line for line in ruleset.splitlines() if "packets" not in line]


async def test_an_nft_that_hangs_is_killed_and_the_next_plan_replaces_everything(
    engine: NftablesEngine, net: Net, tmp_path: Path
):
    fake = tmp_path / "nft"
    flag = tmp_path / "hang"
    fake.write_text(f'#!/bin/sh\n[ -e {flag} ] && exec sleep 60\nexec nft "$@"\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    slow = NftablesEngine(NftablesSettings(nft=str(fake), netns=net.lb, deadline=0.5))
    await slow.apply(Plan((replace(WEB, backends=(ONE,)),)))
    flag.touch()
    with pytest.raises(NftablesError, match="killed"):
        await slow.apply(Plan((replace(WEB, backends=(TWO,)),)))
    assert await ask(net.client, VIP, 80) == "m1"
    flag.unlink()
    await slow.apply(Plan((replace(WEB, backends=(TWO,)),)))
    assert await ask(net.client, VIP, 80) == "m2"


async def test_a_later_process_takes_the_table_over(engine: NftablesEngine, net: Net):
    await engine.apply(Plan((WEB, replace(DNS, name="old"), Frontend("six", Protocol.TCP, VIP6, 80))))
    kept = await connect(net.client, VIP, 80)
    later = NftablesEngine(NftablesSettings(netns=net.lb))
    await later.apply(Plan((replace(WEB, backends=(TWO,)),)))
    assert await kept.echo()
    kept.abort()
    assert set(await split(net, 10)) == {"m2"}
    listed = net.nft("list ruleset")
    assert "fe-old" not in listed
    assert "fe-six" not in listed


async def test_a_takeover_that_was_cut_short_is_finished_by_the_next_process(
    engine: NftablesEngine, net: Net
):
    await engine.apply(Plan((replace(WEB, backends=(ONE,)),)))
    net.nft("add table ip marchproxy-b; add chain ip marchproxy-b half")
    await NftablesEngine(NftablesSettings(netns=net.lb)).apply(Plan((replace(WEB, backends=(TWO,)),)))
    assert set(await split(net, 10)) == {"m2"}
    assert net.nft("list tables").split() == ["table", "ip", "marchproxy-b"]
    assert "half" not in net.nft("list ruleset")


async def test_a_table_that_somebody_flushed_is_built_again(engine: NftablesEngine, net: Net):
    await engine.apply(Plan((WEB,)))
    net.nft("flush ruleset")
    await engine.apply(Plan((replace(WEB, backends=(TWO,)),)))
    assert set(await split(net, 10)) == {"m2"}


async def test_remove_leaves_other_tables_alone(engine: NftablesEngine, net: Net):
    net.nft("add table inet theirs; add chain inet theirs input { type filter hook input priority 0; }")
    try:
        theirs = net.nft("list table inet theirs")
        await engine.apply(Plan((WEB, DNS)))
        await engine.apply(Plan((DNS,)))
        await engine.remove()
        await engine.remove()
        assert net.nft("list ruleset") == theirs
    finally:
        net.nft("delete table inet theirs")


async def test_a_change_leaves_other_frontends_and_their_counters_alone(engine: NftablesEngine, net: Net):
    other = replace(WEB, name="other", port=81)
    await engine.apply(Plan((WEB, other)))
    await split(net, 10)
    handles = _handles(net, "fe-web")
    for weight in (2, 3, 4):
        await engine.apply(Plan((WEB, replace(other, backends=(ONE, replace(TWO, weight=weight))))))
    await engine.apply(Plan((WEB,)))
    await engine.tidy()
    assert _handles(net, "fe-web") == handles
    assert not _handles(net, "fe-other")
    assert sum(c.connections for c in (await engine.counters()).endpoints.values()) == 10


def _handles(net: Net, prefix: str) -> dict[str, list[int]]:
    listed = json.loads(net.run(net.lb, "nft", "-j", "list", "table", "ip", "marchproxy"))["nftables"]
    found: dict[str, list[int]] = {}
    for item in listed:
        for kind in ("rule", "counter"):
            name = item.get(kind, {}).get("chain" if kind == "rule" else "name", "")
            if name.startswith(prefix):
                found.setdefault(name, []).append(item[kind]["handle"])
    return found


async def test_no_connection_is_lost_while_plans_change(engine: NftablesEngine, net: Net):
    await engine.apply(Plan((WEB,)))
    done = asyncio.Event()

    async def change() -> None:
        for weight in range(2, 22):
            await engine.apply(Plan((replace(WEB, backends=(ONE, replace(TWO, weight=weight))),)))
        done.set()

    count = 0
    async with asyncio.TaskGroup() as group:
        group.create_task(change())
        while not done.is_set():
            assert await ask(net.client, VIP, 80) in {"m1", "m2"}
            count += 1
    assert count > 10


FLOODED = replace(DNS, backends=(ONE, replace(TWO, weight=2)))
CHANGES = {
    "slots": lambda n: replace(FLOODED, backends=(ONE, replace(TWO, weight=2 + n))),
    "intervals": lambda n: replace(FLOODED, backends=(ONE, replace(TWO, weight=5000 + n))),
    "turns": lambda n: replace(
        FLOODED, policy=Policy.ROUND_ROBIN, backends=(ONE, replace(TWO, weight=2 + n))
    ),
    "ring": lambda n: replace(FLOODED, policy=Policy.SOURCE_HASH, backends=(ONE, replace(TWO, weight=2 + n))),
    "allowed": lambda n: replace(FLOODED, allow=("10.77.0.0/16", f"10.{n}.0.0/16")),
    "renamed": lambda n: replace(FLOODED, name=f"dns{n}"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_no_packet_under_way_misses_the_rules(engine: NftablesEngine, net: Net, change: str):
    await engine.apply(Plan((CHANGES[change](0),)))
    with flooding(net, VIP, 53) as flood:
        for number in range(1, 31):
            await engine.apply(Plan((CHANGES[change](number),)))
        translated, missed = flood.seen()
        refused = (await engine.counters()).frontends.values()
    assert missed == 0
    assert translated > 1000
    assert [counted for counted in refused if counted.denied or counted.unserved] == []


async def test_no_packet_under_way_misses_the_rules_when_another_process_takes_over(
    engine: NftablesEngine, net: Net
):
    plan = Plan((replace(FLOODED, allow=("10.77.0.0/16", "10.78.0.0/16")),))
    await engine.apply(plan)
    with flooding(net, VIP, 53) as flood:
        for _ in range(10):
            await NftablesEngine(NftablesSettings(netns=net.lb)).apply(plan)
        translated, missed = flood.seen()
    assert missed == 0
    assert translated > 1000


async def test_the_kernel_takes_every_change_as_a_change(
    engine: NftablesEngine, net: Net, monkeypatch: pytest.MonkeyPatch
):
    dice = random.Random(7)
    await engine.apply(Plan((WEB,)))

    def unexpected(wanted, table) -> None:
        raise AssertionError("a change was refused and everything replaced")

    monkeypatch.setattr("marchproxy.engines.nftables.engine.create", unexpected)
    backends = (ONE, TWO, Backend(LB, PORT, local=True), Backend("0.0.0.0", PORT, local=True))
    for _ in range(25):
        ports = dice.sample((80, 81, 82), 3)
        await engine.apply(
            Plan(tuple(_random_frontend(dice, f"f{n}", ports[n], backends) for n in dice.sample(range(3), 2)))
        )
    await engine.apply(Plan())
    await engine.tidy()
    left = json.loads(net.run(net.lb, "nft", "-j", "list", "table", "ip", "marchproxy"))["nftables"]
    assert not [item for item in left if re.search(r"\b(fe|at|limit)-", json.dumps(item))]
    monkeypatch.undo()


FIVE = Limit("five", (Rate(5, Period.SECOND), Rate(5, Period.HOUR)))
EACH = Limit("each", (Rate(5, Period.MINUTE, 2),), "10.77.0.0/16", each=True)


def _random_frontend(dice: random.Random, name: str, port: int, backends: tuple[Backend, ...]) -> Frontend:
    return Frontend(
        name,
        dice.choice((Protocol.TCP, Protocol.UDP)),
        dice.choice((VIP, "0.0.0.0")),
        port,
        tuple(
            replace(backend, weight=dice.choice((0, 1, 5)))
            for backend in dice.sample(backends, dice.randint(0, 4))
        ),
        dice.choice((Policy.RANDOM, Policy.ROUND_ROBIN, Policy.SOURCE_HASH)),
        limits=dice.choice(((), (FIVE,), (FIVE, EACH))),
        concurrent=dice.choice((0, 3)),
    )


async def test_remote_backends_need_forwarding(engine: NftablesEngine, net: Net):
    net.run(net.lb, "sysctl", "-q", "-w", "net.ipv4.ip_forward=0")
    try:
        with pytest.raises(NftablesRefused, match=r"net\.ipv4\.ip_forward=1"):
            await engine.apply(Plan((WEB,)))
        await engine.apply(Plan((replace(WEB, backends=(Backend(LB, PORT, local=True),)),)))
    finally:
        net.run(net.lb, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
