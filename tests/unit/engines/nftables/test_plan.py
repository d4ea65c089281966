"""What is refused before the kernel hears of it, and how it is called."""

from dataclasses import replace

import pytest

from marchproxy.engines.nftables import Backend, Frontend, Limit, Period, Plan, Protocol, Rate, find_problems
from marchproxy.engines.nftables.probe import PROBE

GOOD = Frontend("web", Protocol.TCP, "10.0.0.1", 80, (Backend("10.1.0.1", 8080),))


def with_backend(backend: Backend) -> Frontend:
    return replace(GOOD, backends=(backend,))


def limit(count: int, burst: int = 0, network: str = "") -> Limit:
    return Limit("x", (Rate(count, Period.HOUR, burst),), network)


@pytest.mark.parametrize(
    ("frontend", "problem"),
    [
        (replace(GOOD, address="web.example"), "not an IP address"),
        (replace(GOOD, port=0), "port 0"),
        (replace(GOOD, port=65_536), "port 65536"),
        (replace(GOOD, allow=("10.0.0.0/33",)), "not a CIDR"),
        (replace(GOOD, deny=("2001:db8::/32",)), "is IPv6, the frontend IPv4"),
        (replace(GOOD, backends=GOOD.backends * 2), "named twice"),
        (replace(GOOD, limits=(limit(2**32, 1),)), "limit 'x': per hour 4294967296"),
        (replace(GOOD, limits=(limit(1, 2**32),)), "limit 'x': burst 4294967296"),
        (replace(GOOD, limits=(limit(-1, 1),)), "limit 'x': per hour -1"),
        (replace(GOOD, limits=(limit(1, network="2001:db8::/32"),)), "is IPv6, the frontend IPv4"),
        (replace(GOOD, limits=(limit(1, 2**32 - 1),)), "more than the kernel can count"),
        (replace(GOOD, concurrent=2**32), "limit concurrent 4294967296"),
        (with_backend(Backend("nowhere", 1)), "not an IP address"),
        (with_backend(Backend("2001:db8::1", 1)), "IPv6 behind an IPv4 frontend"),
        (with_backend(Backend("10.1.0.1", 0)), "port is not in"),
        (with_backend(Backend("10.1.0.1", 1, weight=-1)), "weight -1"),
        (with_backend(Backend("10.1.0.1", 1, weight=65_536)), "weight 65536"),
        (with_backend(Backend("0.0.0.0", 1)), "on this host only"),
        (with_backend(Backend("127.0.0.1", 1, local=True)), "loopback"),
        (
            replace(GOOD, backends=tuple(Backend("10.1.0.1", port) for port in range(1, 4_098))),
            "4097 backends",
        ),
    ],
)
def test_problems_name_frontend_and_fault(frontend: Frontend, problem: str):
    (found,) = find_problems(Plan((frontend,)))
    assert found.startswith("frontend 'web': ")
    assert problem in found


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (replace(GOOD, port=81), "the name is used twice"),
        (replace(GOOD, name="other"), "same protocol, address and port as 'web'"),
        (replace(GOOD, name="other", port=81, limits=(limit(2),)), "limit 'x' is another one elsewhere"),
    ],
)
def test_frontends_that_collide(second: Frontend, problem: str):
    (found,) = find_problems(Plan((replace(GOOD, limits=(limit(1),)), second)))
    assert problem in found


def test_every_problem_is_reported():
    worse = replace(GOOD, port=0, allow=("x",), limits=(limit(0, 1),), concurrent=-1)
    assert len(find_problems(Plan((worse,)))) == 4


@pytest.mark.parametrize(
    "plan",
    [
        Plan(),
        PROBE,
        Plan(
            (
                GOOD,
                replace(GOOD, name="udp", protocol=Protocol.UDP),
                replace(GOOD, name="any", address="0.0.0.0"),
            )
        ),
        Plan((with_backend(Backend("10.1.0.1", 1, weight=0)),)),
        Plan((with_backend(Backend("0.0.0.0", 1, local=True)),)),
    ],
)
def test_good_plans(plan: Plan):
    assert find_problems(plan) == ()
