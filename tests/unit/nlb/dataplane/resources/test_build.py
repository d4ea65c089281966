"""Forwarding in, Envoy's resources out. Golden: tests/golden/nlb; read the difference before you accept it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import json_format

from marchproxy.engines.envoy.xds.snapshot import check
from marchproxy.model.listener import Listener
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Verdict, compile_plan
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import VersionWeight
from marchproxy.nlb.dataplane.plane import Forwarding, park
from marchproxy.nlb.dataplane.resources import Surroundings, build_draft

GOLDEN = Path(__file__).parents[4] / "golden" / "nlb"
WEB = Listener("web", "0.0.0.0", 8000)
CANARY = replace(WEB, version_weights=(VersionWeight(Version("v1"), 95), VersionWeight(Version("v2"), 5)))


def instance(number: int, version: str = "v1", *, proxied: bool = True, **more) -> ModuleInstance:
    endpoint = TrafficEndpoint("http", Protocol.HTTP, f"10.0.0.{number}:10001", proxied)
    return ModuleInstance(
        InstanceId(f"alb-{number}"),
        ModuleType.ALB,
        f"10.0.0.{number}:50051",
        Version(version),
        more.pop("health", HealthStatus.HEALTHY),
        traffic_endpoints=(endpoint,),
        **more,
    )


def forwarding(listener: Listener, *instances: ModuleInstance) -> Forwarding:
    verdicts = {(i.instance_id, listener.name): Verdict(True) for i in instances}
    plan = compile_plan([listener], instances, verdicts)
    return Forwarding(plan, park(plan, instances))


CASES = {
    "nobody": forwarding(WEB),
    "canary": forwarding(CANARY, instance(1), instance(2), instance(3, "v2")),
    "canary-without-one-instance": forwarding(
        CANARY, instance(1), instance(2, health=HealthStatus.STOPPING), instance(3, "v2")
    ),
    "weights-of-instances": forwarding(WEB, instance(1, traffic_weight=10), instance(2, "v2")),
    "plain-endpoint": forwarding(WEB, instance(1, proxied=False), instance(2)),
    "round-robin": forwarding(replace(WEB, balance=BalancePolicy.ROUND_ROBIN), instance(1)),
    "random": forwarding(replace(WEB, balance=BalancePolicy.RANDOM), instance(1)),
    "source-hash": forwarding(replace(WEB, balance=BalancePolicy.SOURCE_HASH), instance(1)),
    "ipv6-no-idle-timeout": forwarding(Listener("six", "::1", 8000, idle_timeout=0.0), instance(1)),
}


AROUND = Surroundings({f"10.0.0.{number}": f"10.0.0.{number}" for number in range(1, 10)})


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, update_golden: bool) -> None:
    draft = build_draft(CASES[name], AROUND)
    check(draft)
    built = {
        f"{resource.type.name} {resource.name}": json_format.MessageToDict(resource.body)
        for resource in draft.resources
    }
    golden = GOLDEN / f"{name}.json"
    if update_golden:
        golden.write_text(json.dumps(built, indent=1, sort_keys=True) + "\n")
    assert json.loads(golden.read_text()) == built, "if the difference is meant, run with --update-golden"


def versions(what: Forwarding) -> dict[str, str]:
    draft = build_draft(what, AROUND)
    return {resource.type.name: resource.version for resource in draft.resources}


def test_a_canary_step_changes_endpoints_alone():
    step = replace(
        CANARY, version_weights=(VersionWeight(Version("v1"), 50), VersionWeight(Version("v2"), 50))
    )
    members = (instance(1), instance(3, "v2"))
    before, after = versions(forwarding(CANARY, *members)), versions(forwarding(step, *members))
    assert {kind for kind in before if before[kind] != after[kind]} == {"ENDPOINT"}


def test_one_address_is_listed_once_and_an_unresolved_name_not_at_all():
    twin = replace(instance(2), traffic_endpoints=instance(1).traffic_endpoints)
    draft = build_draft(
        forwarding(WEB, instance(1), twin, instance(3)), Surroundings({"10.0.0.1": "10.0.0.1"})
    )
    (endpoints,) = (resource for resource in draft.resources if resource.type.name == "ENDPOINT")
    (locality,) = json_format.MessageToDict(endpoints.body)["endpoints"]
    assert [host["endpoint"]["hostname"] for host in locality["lbEndpoints"]] == ["alb-1"]


def test_several_workers_have_a_socket_each():
    shared = build_draft(CASES["canary"], replace(AROUND, workers=2)).resources
    (listener,) = (resource for resource in shared if resource.type.name == "LISTENER")
    assert json_format.MessageToDict(listener.body)["enableReusePort"] is True
