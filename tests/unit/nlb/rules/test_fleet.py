"""Among how many instances limits are divided."""

import pytest

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, ModuleInstance, ModuleType, Protocol, TrafficEndpoint, Version
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Skipped, Target, VersionTargets
from marchproxy.nlb.rules.fleet import instances_sharing

ENDPOINT = TrafficEndpoint("http", Protocol.HTTP, "127.0.0.1:80")


def plan(port: int, *names: str, kind: ModuleType = ModuleType.ALB, skipped: str = "") -> ListenerPlan:
    listener = Listener(f"l{port}", "127.0.0.1", port, module_type=kind)
    version = Version("v1")
    targets = tuple(Target(InstanceId(name), version, ENDPOINT, 100) for name in names)
    idle = (Skipped(InstanceId(skipped), "is stopping"),) if skipped else ()
    return ListenerPlan(listener, (VersionTargets(version, 100, targets),) if targets else (), idle)


@pytest.mark.parametrize(
    ("plans", "count"),
    [
        ([], 1),
        ([plan(80, "a", "b", "c")], 3),
        ([plan(80, "b", "c")], 3),  # who asks is about to get traffic
        ([plan(80, "a", "b"), plan(81, "b", "c")], 3),  # whoever takes some
        ([plan(80, "a", skipped="b")], 1),
        ([plan(80, "a"), plan(5432, "d", "e", kind=ModuleType.DBLB)], 1),
    ],
)
def test_instances_sharing(plans: list[ListenerPlan], count: int) -> None:
    asking = ModuleInstance(InstanceId("a"), ModuleType.ALB, "127.0.0.1:50051")
    assert instances_sharing(ForwardingPlan(tuple(plans)), asking) == count
