"""What the kernel is told about limits, who is left out for want of an answer, and what its counters mean."""

import asyncio
import socket

import pytest

from marchproxy.engines.nftables import (
    Backend,
    Counters,
    EndpointCounters,
    EndpointId,
    Frontend,
    FrontendCounters,
    Limit,
    LimitCounters,
    Period,
    Plan,
    Protocol,
    Rate,
    find_problems,
)
from marchproxy.kit.settings.types import HostPort
from marchproxy.model import module
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.plan import ForwardingPlan, ListenerPlan
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane import plane
from marchproxy.nlb.dataplane.choosing import Ground
from marchproxy.nlb.dataplane.kernel.counts import traffic_counts
from marchproxy.nlb.dataplane.kernel.frontends import Kernel, build_kernel
from marchproxy.nlb.dataplane.kernel.probe import knock
from marchproxy.nlb.dataplane.kernel.pulse import Pulses, feel, left_out, places_of, without_dead
from marchproxy.nlb.dataplane.plane import ConnectionCounts, Forwarding

A, B = HostPort("10.0.0.2", 80), HostPort("10.0.0.3", 80)
ONE, TWO = Backend(A.host, A.port), Backend(B.host, B.port, weight=3)
WEB = Frontend("web", Protocol.TCP, "10.0.0.1", 80, (ONE, TWO))
DNS = Frontend("dns", Protocol.UDP, "10.0.0.1", 53, (ONE, TWO))
REDIRECT = Backend("0.0.0.0", 8080, local=True)


def limits_at(*limits: RateLimit, host: str = "0.0.0.0", **more) -> tuple[Limit, ...]:
    listener = Listener("web", host, 80, balance=BalancePolicy.RANDOM, **more)
    forwarding = Forwarding(ForwardingPlan((ListenerPlan(listener, ()),)), {}, limits)
    built = build_kernel(forwarding, Ground()).plan
    assert find_problems(built) == ()
    return built.frontends[0].limits


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("listener:web", Limit("x", (Rate(9, Period.SECOND),))),
        ("listener:other", None),
        ("module:alb", Limit("x", (Rate(9, Period.SECOND),))),
        ("module:dblb", None),
        ("source:10.0.0.0/8", Limit("x", (Rate(9, Period.SECOND),), "10.0.0.0/8")),
        ("source:10.0.0.7", Limit("x", (Rate(9, Period.SECOND),), "10.0.0.7/32")),
        ("client:0.0.0.0/0", Limit("x", (Rate(9, Period.SECOND),), "0.0.0.0/0", each=True)),
        ("client:2001:db8::/32", None),
        ("*", None),
        ("a-route", None),
    ],
)
def test_a_limit_concerns_the_listeners_of_its_target(target: str, kept: Limit | None):
    assert limits_at(RateLimit("x", target, 9)) == ((kept,) if kept else ())


def test_every_rate_has_its_own_bucket_and_burst_is_the_seconds():
    (limit,) = limits_at(RateLimit("x", "listener:web", 5, 100, 1000, burst=7))
    assert limit.rates == (Rate(5, Period.SECOND, 7), Rate(100, Period.MINUTE), Rate(1000, Period.HOUR))


def test_narrow_limits_come_first():
    targets = ("module:alb", "listener:web", "source:10.0.0.0/8", "client:10.0.0.0/8")
    found = limits_at(*(RateLimit(target, target, 1) for target in targets))
    assert [limit.name for limit in found] == list(reversed(targets))


def test_what_a_listener_says_about_its_clients():
    listener = Listener(
        "web",
        "0.0.0.0",
        80,
        module.Protocol.UDP,
        balance=BalancePolicy.RANDOM,
        allow=("10.0.0.0/8",),
        deny=("10.1.0.0/16",),
        max_connections_per_source=4,
    )
    forwarding = Forwarding(ForwardingPlan((ListenerPlan(listener, ()),)))
    (frontend,) = build_kernel(forwarding, Ground()).plan.frontends
    assert (frontend.allow, frontend.deny, frontend.concurrent) == (("10.0.0.0/8",), ("10.1.0.0/16",), 4)
    assert frontend.protocol is Protocol.UDP


@pytest.mark.parametrize(
    ("rounds", "dead", "doubtful"),
    [
        ([{A: True, B: True}], set(), False),
        ([{A: False, B: True}], set(), True),
        ([{A: False, B: True}, {A: True, B: True}], set(), False),
        ([{A: False, B: True}, {A: False, B: True}], {A}, False),
        ([{A: False, B: True}] * 5 + [{A: True, B: False}], set(), True),
        ([{A: False}, {A: False}, {B: True}], set(), False),  # it left the plan: nothing is known of it
    ],
)
def test_two_failures_in_a_row_are_death_and_one_success_is_life(rounds, dead, doubtful):
    pulses = Pulses()
    for answered in rounds:
        pulses = feel(pulses, answered)
    assert (pulses.dead, pulses.doubtful) == (dead, doubtful)


@pytest.mark.parametrize(
    ("dead", "weights", "out"),
    [
        (set(), [(1, 3), (1, 3)], set()),
        ({A}, [(0, 3), (1, 3)], {EndpointId("web", A.host, 80)}),
        ({A, B}, [(1, 3), (1, 3)], set()),  # nobody left: rather not believed
        ({HostPort("10.9.9.9", 80)}, [(1, 3), (1, 3)], set()),
    ],
)
def test_the_dead_get_nothing_unless_all_are_over_tcp_only(dead, weights, out):
    plan = Plan((WEB, DNS))
    spared = without_dead(plan, frozenset(dead))
    assert [tuple(b.weight for b in frontend.backends) for frontend in spared.frontends] == weights
    assert left_out(plan, frozenset(dead)) == out


def test_where_to_knock():
    draining = Backend("10.0.0.4", 80, weight=0)
    web = Frontend("web", Protocol.TCP, "0.0.0.0", 80, (ONE, REDIRECT, draining))
    six = Frontend("six", Protocol.TCP, "::", 81, (Backend("::", 8080, local=True),))
    assert places_of(Plan((web, six, DNS))) == {A, HostPort("127.0.0.1", 8080), HostPort("::1", 8080)}


async def test_knocking_tells_who_listens():
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        there, nobody = (HostPort(*one.getsockname()) for one in (listening, silent))
        assert await knock([there, nobody]) == {there: True, nobody: False}


async def test_a_place_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch):
    async def never(*_) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never, raising=False)
    assert await knock([A], timeout=0.01) == {A: False}


async def test_our_own_trouble_says_nothing_about_others(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_) -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr("marchproxy.nlb.dataplane.kernel.probe.socket.socket", refuse)
    assert await knock([A]) == {A: True}


def test_counters_in_the_words_of_planes():
    first, second, gone = (EndpointId("web", host, 80) for host in (A.host, B.host, "10.0.0.9"))
    carried = Kernel(Plan((WEB,)), {first: "a", second: "b", gone: "c"})
    ever = Counters(
        {"web": FrontendCounters(denied=1, limited=2, unserved=4)},
        {first: EndpointCounters(10, 100, 1000), second: EndpointCounters(20, 200, 2000)},
        {"ten": LimitCounters(30, 2)},
    )
    counts = traffic_counts(carried, {first: 3}, ever)
    assert counts.endpoints == {
        ("web", "a"): ConnectionCounts(3, 10, received=100, sent=1000),
        ("web", "b"): ConnectionCounts(0, 20, received=200, sent=2000),
    }
    assert counts.listeners == {"web": ConnectionCounts(3, 30, 4, 3, 300, 3000)}
    assert counts.limits == {"ten": plane.LimitCounts(30, 2)}
