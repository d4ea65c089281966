"""Lines of conntrack(8) as it prints them, and what they mean for a plan."""

from collections import Counter
from dataclasses import replace

import pytest

from marchproxy.engines.nftables import Backend, EndpointId, Frontend, Plan, Protocol
from marchproxy.engines.nftables.conntrack import Flow, Index, count_live, parse_flows, stale_pairs

TCP = (
    b"tcp      6 431995 ESTABLISHED src=10.77.0.2 dst=10.77.9.9 sport=34331 dport=80 "
    b"src=10.77.1.2 dst=10.77.1.1 sport=8000 dport=61449 [ASSURED] mark=0 use=1"
)
UDP = (
    b"udp      17 29 src=10.77.0.2 dst=10.77.9.9 sport=40000 dport=53 [UNREPLIED] "
    b"src=10.77.1.2 dst=10.77.0.2 sport=8000 dport=40000 mark=0 use=1"
)
SIX = (
    b"tcp      6 119 SYN_SENT src=fd77::2 dst=fd77:9::9 sport=1 dport=80 [UNREPLIED] "
    b"src=fd77:1::2 dst=fd77::2 sport=8000 dport=1 mark=0 use=1"
)
VIP, M1 = ("10.77.9.9", 80), ("10.77.1.2", 8000)
WEB = Frontend("web", Protocol.TCP, "10.77.9.9", 80, (Backend("10.77.1.2", 8000),))
DNS = Frontend(
    "dns", Protocol.UDP, "0.0.0.0", 53, (Backend("10.77.1.2", 53), Backend("0.0.0.0", 5353, local=True))
)


@pytest.mark.parametrize(
    ("line", "protocol", "flow"),
    [
        (TCP, Protocol.TCP, Flow(Protocol.TCP, VIP, M1, True)),
        (TCP.replace(b"ESTABLISHED", b"TIME_WAIT"), Protocol.TCP, Flow(Protocol.TCP, VIP, M1, False)),
        (TCP.replace(b"ESTABLISHED", b"CLOSE_WAIT"), Protocol.TCP, Flow(Protocol.TCP, VIP, M1, True)),
        (UDP, Protocol.UDP, Flow(Protocol.UDP, ("10.77.9.9", 53), M1, False)),
        (UDP.replace(b"[UNREPLIED] ", b""), Protocol.UDP, Flow(Protocol.UDP, ("10.77.9.9", 53), M1, True)),
        (SIX, Protocol.TCP, Flow(Protocol.TCP, ("fd77:9::9", 80), ("fd77:1::2", 8000), False)),
    ],
)
def test_lines(line: bytes, protocol: Protocol, flow: Flow):
    assert list(parse_flows([line], protocol)) == [flow]


@pytest.mark.parametrize("line", [b"", b"conntrack v1.4.7", TCP[:80], TCP[:120], b"\xff\xfe src= dst="])
def test_other_lines_are_passed_over(line: bytes):
    assert list(parse_flows([line], Protocol.TCP)) == []


def udp(asked: tuple[str, int], answering: tuple[str, int]) -> Flow:
    return Flow(Protocol.UDP, asked, answering, True)


OWN = ("10.0.0.1", "127.0.0.1")


@pytest.mark.parametrize(
    ("flow", "endpoint", "stale"),
    [
        (udp(("10.0.0.1", 53), ("10.77.1.2", 53)), ("10.77.1.2", 53), False),
        (udp(("10.0.0.1", 53), ("10.0.0.1", 5353)), ("0.0.0.0", 5353), False),
        (udp(("10.0.0.1", 53), ("10.77.1.3", 53)), None, True),  # a backend of an earlier plan
        (udp(("10.0.0.1", 53), ("10.0.0.1", 53)), None, True),  # from before the frontend
        (udp(("10.77.1.2", 53), ("10.77.1.2", 53)), None, False),  # straight to the backend, not through us
        (udp(("8.8.8.8", 53), ("8.8.8.8", 53)), None, False),  # only routed
        (udp(("10.0.0.1", 54), ("10.77.1.2", 53)), None, False),
        (Flow(Protocol.TCP, ("10.0.0.1", 53), ("10.77.1.2", 53), True), None, False),
    ],
)
def test_wildcard_flows(flow: Flow, endpoint: tuple[str, int] | None, stale: bool):
    index, counted = Index(Plan((DNS,)), OWN), Counter[EndpointId]()
    count_live([flow], index, counted)
    assert counted == ({EndpointId("dns", *endpoint): 1} if endpoint else {})
    assert stale_pairs([flow], index) == ({(flow.asked, flow.answering)} if stale else set())


def test_an_exact_frontend_goes_before_the_wildcard():
    exact = replace(DNS, name="exact", address="10.0.0.1", backends=(Backend("10.77.1.9", 53),))
    index = Index(Plan((DNS, exact)), OWN)
    assert index.frontend(udp(("10.0.0.1", 53), ("10.77.1.9", 53))) is exact
    assert index.frontend(udp(("127.0.0.1", 53), ("10.77.1.9", 53))) is DNS


def test_draining_backends_keep_their_flows():
    plan = Plan((replace(WEB, protocol=Protocol.UDP, backends=(replace(WEB.backends[0], weight=0),)),))
    assert stale_pairs([udp(VIP, M1)], Index(plan)) == set()


def test_flows_that_are_over_are_not_counted():
    counted = Counter[EndpointId]()
    flows = [Flow(Protocol.TCP, VIP, M1, live) for live in (True, False, True)]
    count_live(flows, Index(Plan((WEB,))), counted)
    assert counted == {EndpointId("web", *M1): 2}
