"""What the relay's workers carry, and what is said to them."""

import asyncio

import pytest

from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, ModuleType, Protocol, TrafficEndpoint, Version
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Skipped, Target, VersionTargets
from marchproxy.nlb.dataplane.detect.places import resolved
from marchproxy.nlb.dataplane.detect.share import divide
from marchproxy.nlb.dataplane.plane import ConnectionCounts, Forwarding, LimitCounts, TrafficCounts
from marchproxy.nlb.dataplane.relay import talk


def target(name, address="192.0.2.1:80"):
    return Target(InstanceId(name), Version("v1"), TrafficEndpoint("t", Protocol.TCP, address, True), 100)


def plan(name="raw", *targets, port=80, **more):
    listener = Listener(name, "127.0.0.1", port, Protocol.TCP, **more)
    versions = (VersionTargets(Version("v1"), 100, targets),) if targets else ()
    return ListenerPlan(listener, versions, (Skipped(InstanceId("x"), "is unhealthy"),))


def forwarding(*plans, limits=()):
    return Forwarding(ForwardingPlan(plans), {plan.listener.name: (target("old"),) for plan in plans}, limits)


def limit(target):
    return RateLimit(LimitId("r"), target, per_second=1, metadata={"why": "noise"})


@pytest.mark.parametrize(
    ("plans", "limits", "shared"),
    [
        ((plan("a"), plan("b", port=81)), (), {"a", "b"}),
        ((plan("a", max_connections=5), plan("b", port=81)), (), {"b"}),
        # both at one port
        ((plan("a", max_connections_per_source=5), plan("b")), (), set()),
        ((plan("a"), plan("b", port=81)), (limit("listener:a"),), {"b"}),
        ((plan("a", module_type=ModuleType.DBLB), plan("b", port=81)), (limit("module:dblb"),), {"b"}),
        ((plan("a"), plan("b", port=81)), (limit("client:0.0.0.0/0"),), set()),
        ((plan("a"),), (limit("source:192.0.2.0/24"),), set()),
    ],
)
def test_what_is_counted_is_the_first_workers_alone(plans, limits, shared):
    whole = forwarding(*plans, limits=limits)
    first, *others = divide(whole, 3)
    assert first == whole
    for other in others:
        assert {plan.listener.name for plan in other.plan.listeners} == shared == other.parked.keys()
        assert other.limits == ()
    assert divide(whole, 1) == (whole,)


async def test_names_become_addresses():
    whole = forwarding(plan("a", target("a", "localhost:1"), target("b", "nowhere.invalid:2")))
    (found,) = (await resolved(whole)).plan.listeners
    (only,) = found.versions[0].targets
    assert (only.instance_id, only.endpoint.address) == ("a", "127.0.0.1:1")


class Wire:
    """Both ends of a stream in memory."""

    def __init__(self):
        self.reader = asyncio.StreamReader()

    def write(self, data):
        self.reader.feed_data(data)


@pytest.mark.parametrize(
    "question",
    [
        talk.Apply(
            forwarding(plan("a", target("a"), allow=("10.0.0.0/8",)), limits=(limit("listener:a"),)), 2.5
        ),
        Count(),
        talk.Shed(InstanceId("a"), 3, "web"),
        talk.Drain(1.0),
    ],
)
async def test_questions_arrive_as_they_were_asked(question):
    wire = Wire()
    talk.LINE.write_question(wire, question)
    assert await talk.LINE.read_question(wire.reader) == question


COUNTS = TrafficCounts(
    {"web": ConnectionCounts(1, 2, 3, 4, 5, 6)},
    {("web", InstanceId("a")): ConnectionCounts(1)},
    {LimitId("r"): LimitCounts(1, 2)},
    {("web", "idle"): 3},
)


@pytest.mark.parametrize(
    "answer",
    [
        Done(),
        Refused("no", in_use=True),
        talk.Closed(2),
        talk.report(COUNTS, frozenset({HostPort("::1", 80)}), 7),
    ],
)
async def test_answers_arrive_as_they_were_given(answer):
    wire = Wire()
    talk.LINE.write_answer(wire, answer)
    assert await talk.LINE.read_answer(wire.reader) == answer


def test_counts_survive_the_way():
    assert talk.report(COUNTS, frozenset(), 0).traffic() == COUNTS
