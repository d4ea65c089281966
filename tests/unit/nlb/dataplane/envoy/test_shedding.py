"""Which of Envoy's connections to an instance are a client's own."""

from dataclasses import replace

import pytest

from marchproxy.kit.settings.types import HostPort
from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, ModuleType, Protocol, TrafficEndpoint, Version
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, VersionTargets
from marchproxy.nlb.dataplane.envoy.shedding import relayed_to, shed
from marchproxy.nlb.dataplane.plane import Forwarding

A = InstanceId("a")
WEB = Listener("web", "10.0.0.1", 80)
LLM = replace(WEB, name="llm", module_type=ModuleType.AILB)
TCP = Listener("tcp", "10.0.0.1", 90, protocol=Protocol.TCP)


def target(address: str, name: str = "a") -> Target:
    return Target(
        InstanceId(name), Version("v1"), TrafficEndpoint("proxied", Protocol.HTTP, address, True), 100
    )


def to(listener: Listener, *targets: Target) -> ListenerPlan:
    versions = (VersionTargets(Version("v1"), 100, targets),) if targets else ()
    return ListenerPlan(listener, versions)


@pytest.mark.parametrize(
    ("plans", "parked", "places"),
    [
        ([to(WEB, target("10.0.0.5:1"), target("10.0.0.6:1", "b"))], {}, {"10.0.0.5:1"}),
        ([to(WEB)], {"web": (target("10.0.0.5:1"),)}, {"10.0.0.5:1"}),
        ([to(WEB, target("10.0.0.5:1")), to(LLM)], {}, set()),
        ([to(WEB, target("10.0.0.5:1")), to(LLM), to(TCP, target("10.0.0.5:1"))], {}, set()),
        ([to(WEB, target("10.0.0.5:1")), to(LLM), to(TCP, target("10.0.0.5:2"))], {}, {"10.0.0.5:2"}),
        ([to(TCP)], {}, set()),
    ],
    ids=["relayed", "parked", "by request", "both at one endpoint", "both apart", "not behind it"],
)
def test_where_a_clients_own_connections_go(plans, parked, places):
    forwarding = Forwarding(ForwardingPlan(tuple(plans)), parked)
    assert {str(place) for place in relayed_to(forwarding, A)} == places


async def test_what_cannot_be_closed_is_none():
    forwarding = Forwarding(ForwardingPlan((to(WEB, target(str(HostPort("127.0.0.1", 9)))),)))
    assert await shed(forwarding, 2**22 + 1, A, 5) == 0
    assert await shed(forwarding, 1, A, 0) == 0
