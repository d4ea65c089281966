import pytest

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.nlb.dataplane.plane import LimitCounts
from marchproxy.nlb.dataplane.relay import limiter as limiting
from marchproxy.nlb.dataplane.relay.limiter import Limiter

WEB = Listener("web", "0.0.0.0", 80)
OTHER = Listener("other", "0.0.0.0", 81)


def limit(target, name="r", **rates):
    return RateLimit(LimitId(name), target, **(rates or {"per_hour": 1}))


def keeping(*limits):
    limiter = Limiter()
    limiter.replace(limits)
    return limiter


@pytest.mark.parametrize(
    ("target", "arrivals", "let_in"),
    [
        ("listener:web", [(WEB, "192.0.2.1"), (WEB, "192.0.2.2"), (OTHER, "192.0.2.1")], [True, False, True]),
        ("module:alb", [(WEB, "192.0.2.1"), (OTHER, "192.0.2.2")], [True, False]),
        ("module:dblb", [(WEB, "192.0.2.1"), (WEB, "192.0.2.2")], [True, True]),
        ("source:192.0.2.0/24", [(WEB, "192.0.2.1"), (OTHER, "192.0.2.2"), (WEB, "198.51.100.1")], [True, False, True]),
        ("source:192.0.2.1", [(WEB, "::ffff:192.0.2.1"), (WEB, "192.0.2.1")], [True, False]),
        ("client:0.0.0.0/0", [(WEB, "192.0.2.1"), (WEB, "192.0.2.2"), (WEB, "192.0.2.1")], [True, True, False]),
        ("client:::/0", [(WEB, "2001:db8::1"), (WEB, "2001:db8::2"), (WEB, "2001:db8:0:1::1")], [True, False, True]),
    ],
)  # fmt: skip
def test_what_a_limit_counts(target, arrivals, let_in):
    limiter = keeping(limit(target))
    assert [limiter.admit(listener, host, 0.0) for listener, host in arrivals] == let_in


def test_one_that_is_denied_takes_nothing_from_other_limits():
    limiter = keeping(limit("listener:web", "tight"), limit("module:alb", "wide", per_hour=2))
    assert [limiter.admit(WEB, "192.0.2.1", 0.0) for _ in range(5)] == [True] + [False] * 4
    assert limiter.admit(OTHER, "192.0.2.1", 0.0)
    assert limiter.counts() == {"tight": LimitCounts(1, 4), "wide": LimitCounts(2, 0)}


def test_a_limit_that_is_changed_keeps_its_counts_and_begins_anew():
    limiter = keeping(limit("listener:web"))
    assert [limiter.admit(WEB, "192.0.2.1", 0.0) for _ in range(2)] == [True, False]
    limiter.replace([limit("listener:web")])
    assert not limiter.admit(WEB, "192.0.2.1", 0.0)
    limiter.replace([limit("listener:web", per_hour=2)])
    assert limiter.admit(WEB, "192.0.2.1", 0.0)
    assert limiter.counts() == {"r": LimitCounts(2, 2)}
    limiter.replace([])
    assert limiter.counts() == {}


def test_clients_are_remembered_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(limiting, "MOST_CLIENTS", 2)
    limiter = keeping(limit("client:0.0.0.0/0"))
    assert all(limiter.admit(WEB, host, 0.0) for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    assert not limiter.admit(WEB, "192.0.2.3", 0.0)
    assert limiter.admit(WEB, "192.0.2.1", 0.0)
