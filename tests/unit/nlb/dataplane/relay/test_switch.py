import pytest

from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol
from marchproxy.model.plan import ListenerPlan
from marchproxy.nlb.dataplane.relay.limiter import Limiter
from marchproxy.nlb.dataplane.relay.messages import Outcome
from marchproxy.nlb.dataplane.relay.switch import Switch
from marchproxy.wire import detect


def switch(*plans, **more):
    made = Switch(Limiter(), attempts=3)
    made.update(plans or [plan("web", **more)], {})
    return made


def plan(name, protocol=Protocol.HTTP, **more):
    return ListenerPlan(Listener(name, "0.0.0.0", 80, protocol, **more), ())


def arrive(switch, *hosts):
    """Who of them is let in."""
    return [switch.arrive(host) and switch.enter(host) is not None for host in hosts]


A, B, A6, A6_TOO, B6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"


@pytest.mark.parametrize(
    ("rules", "hosts", "let_in"),
    [
        ({}, (A, B, A6), [True] * 3),
        ({"max_connections": 2}, (A, B, A), [True, True, False]),
        ({"max_connections_per_source": 1}, (A, B, A), [True, True, False]),
        ({"max_connections_per_source": 1}, (A6, A6_TOO, B6), [True, False, True]),
        ({"max_connections_per_source": 1}, (A, f"::ffff:{A}"), [True, False]),
        ({"allow": ("192.0.2.0/31",)}, (A, B, A6), [True, False, False]),
        ({"deny": (B,)}, (A, B, A6), [True, False, True]),
        ({"allow": ("0.0.0.0/0",), "deny": (B,)}, (A, B), [True, False]),
        ({"trusted_proxies": (A,)}, (A, B), [True, True]),
        ({"trusted_proxies": (A,), "proxy_protocol": True}, (A, B), [True, False]),
        ({"proxy_protocol": True}, (A, B), [True, True]),
    ],
)
def test_who_may_come(rules, hosts, let_in):
    assert arrive(switch(**rules), *hosts) == let_in


def test_who_leaves_makes_room():
    made = switch(max_connections=1, max_connections_per_source=1)
    assert made.arrive(A)
    source = made.enter(A)
    made.depart(source)
    assert arrive(made, A) == [True]


def test_a_limit_that_comes_later_counts_who_came_before_in_all_but_not_by_source():
    made = switch()
    assert arrive(made, A, A) == [True, True]
    made.update([plan("web", max_connections=3, max_connections_per_source=1)], {})
    assert arrive(made, A, B) == [True, False]
    made.depart("")
    assert arrive(made, B) == [True]


def test_a_change_is_one_step_and_keeps_what_stays():
    made = switch(plan("web"), plan("cache", Protocol.REDIS))
    kept, gone = made.lanes["web"], made.lanes["cache"]
    kept.closed(Outcome.IDLE)
    assert made.update([plan("rest", Protocol.TCP), plan("web")], {}) == (gone,)
    assert made.lanes["web"] is kept
    assert made.first is made.lanes["rest"]
    assert made.opening.rest
    assert made.opening.enabled == {detect.Protocol.HTTP1, detect.Protocol.HTTP2}
    assert made.lane_of(detect.Detected(detect.Protocol.REDIS)) is made.lanes["rest"]


def test_what_ends_counts_as_denied_or_failed():
    lane = switch().first
    for outcome in (Outcome.DENIED, Outcome.DENIED, Outcome.REFUSED, Outcome.FINISHED):
        lane.closed(outcome)
    assert (lane.tally.denied, lane.tally.failed) == (2, 1)
    assert lane.closes == {Outcome.DENIED: 2, Outcome.REFUSED: 1, Outcome.FINISHED: 1}
