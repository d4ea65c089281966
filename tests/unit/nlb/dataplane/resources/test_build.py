"""Forwarding in, Envoy's resources out. Golden: tests/golden/nlb; read the difference before you accept it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from envoy.config.listener.v3 import listener_pb2
from google.protobuf import json_format

from marchproxy.engines.envoy.tracing import RequestTracing
from marchproxy.engines.envoy.xds.snapshot import Draft, check
from marchproxy.kit.telemetry import Service, TracingSection
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Target, Verdict, compile_plan, spoken_to
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import HeaderMatch, PathKind, PathMatch, Route, RouteId, RouteMatch, VersionWeight
from marchproxy.nlb.dataplane.plane import Forwarding, park
from marchproxy.nlb.dataplane.resources import ConnectionLog, Surroundings, build_draft, keep_retired
from marchproxy.nlb.dataplane.resources.tls import Material

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


def sharing(*listeners: Listener, limits=(), routes=()) -> Forwarding:
    """Each listener with an instance of its module type that has an endpoint of its protocol."""
    members = []
    for number, one in enumerate(listeners, start=1):
        address, proxied = f"10.0.0.{number}:7000", not one.over_udp
        endpoint = TrafficEndpoint(one.name, spoken_to(one), address, proxied)
        members.append(replace(instance(number), module_type=one.module_type, traffic_endpoints=(endpoint,)))
    verdicts = {(i.instance_id, one.name): Verdict(True) for i in members for one in listeners}
    return Forwarding(compile_plan(listeners, members, verdicts), {}, limits, routes)


def limit(name: str, target: str, **rates: int) -> RateLimit:
    return RateLimit(LimitId(name), target, **rates)


TCP = replace(WEB, name="raw", protocol=Protocol.TCP)
TLS = replace(WEB, name="one", protocol=Protocol.HTTPS, server_names=("one.example", "*.one.example"))
ENDED = TlsTermination("/etc/one.crt", "/etc/one.key")
AI = replace(WEB, name="ai", module_type=ModuleType.AILB)
LIVE = Listener("live", "0.0.0.0", 1935, Protocol.RTMP, ModuleType.RTMP)
DNS = Listener("dns", "0.0.0.0", 53, Protocol.UDP)
TO_AI = Route(
    RouteId("chat"),
    RouteMatch(("ai.example",), PathMatch(PathKind.PREFIX, "/v1"), headers=(HeaderMatch("x-model"),)),
    module_type=ModuleType.AILB,
)
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
    "allow-and-deny": sharing(replace(TCP, allow=("10.0.0.0/8", "fd00::/8"), deny=("10.1.0.0/16", "192.0.2.1"))),
    "deny": sharing(replace(TCP, deny=("10.1.0.0/16",))),
    "max-connections": sharing(replace(TCP, max_connections=100)),
    "limits": sharing(
        TCP,
        replace(WEB, port=8001),
        limits=(
            limit("of-raw", "listener:raw", per_second=10, burst=50, per_hour=1000),
            limit("of-module", "module:alb", per_minute=100),
            limit("of-office", "source:10.0.0.0/8", per_second=5),
            limit("of-desk", "source:10.1.0.0/16", per_second=1),
        ),
    ),
    "hello": sharing(
        TLS,
        replace(TLS, name="h2", server_names=("two.example",), alpn=("h2",)),
        replace(TLS, name="h1", server_names=("two.example",), alpn=("http/1.1",)),
        replace(TCP, name="rest"),
    ),
    "hello-alone": sharing(replace(TLS, server_names=(), alpn=("h2",))),
    "proxy-protocol": sharing(replace(TCP, proxy_protocol=True, trusted_proxies=("10.0.0.1",), deny=("10.9.0.0/16",))),
    "tls": sharing(replace(TLS, tls=replace(ENDED, client_ca="/etc/ca.crt"))),
    "tls-without-alpn": sharing(replace(TLS, server_names=(), protocol=Protocol.RTMPS, tls=ENDED)),
    "streams": sharing(LIVE, replace(LIVE, name="watch", port=8088, protocol=Protocol.HLS)),
    "request": sharing(WEB, AI, routes=(TO_AI,), limits=(limit("of-office", "source:10.0.0.0/8", per_second=5),)),
    "tracing": sharing(WEB, AI, routes=(TO_AI,)),
    "udp": sharing(replace(DNS, balance=BalancePolicy.SOURCE_HASH, max_connections=100)),
    "udp-networks": sharing(replace(DNS, allow=("10.0.0.0/8",), deny=("10.1.0.0/16",), idle_timeout=5.0)),
}  # fmt: skip
CASES["udp-drain"] = replace(
    sharing(DNS),
    parked={
        "dns": (
            Target(
                InstanceId("old"), Version("v1"), TrafficEndpoint("dns", Protocol.UDP, "10.0.0.9:7000"), 0
            ),
        )
    },
)
LOGGED = ("tls", "request", "udp-networks")


AROUND = Surroundings(
    {f"10.0.0.{number}": f"10.0.0.{number}" for number in range(1, 10)},
    {"one": Material(b"crt", b"key", b"ca")},
)
TRACING = RequestTracing(
    TracingSection(endpoint="http://collector.example:4317", headers={"x-key": "50%"}),
    Service("nlb", "nlb-1"),
)
LOG = ConnectionLog(Path("/var/log/connections.json"), percent=2.5)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, update_golden: bool) -> None:
    log, tracing = LOG if name in LOGGED else None, TRACING if name == "tracing" else None
    draft = build_draft(CASES[name], replace(AROUND, log=log, tracing=tracing))
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


def listener_of(draft: Draft) -> listener_pb2.Listener:
    (resource,) = (resource for resource in draft.resources if resource.type.name == "LISTENER")
    return listener_pb2.Listener.FromString(resource.body.value)


def frame_of(listener: listener_pb2.Listener) -> listener_pb2.Listener:
    """What a change of ends all of its connections: everything but the chains and the way to them."""
    frame = listener_pb2.Listener()
    frame.CopyFrom(listener)
    frame.ClearField("filter_chains")
    frame.ClearField("filter_chain_matcher")
    return frame


def after(draft: Draft, *steps: Forwarding) -> list[listener_pb2.Listener]:
    """The listener after each step, retired chains included."""
    listeners, snapshot = [], check(draft)
    for step in steps:
        draft = keep_retired(build_draft(step, AROUND), snapshot)
        snapshot = check(draft)
        listeners.append(listener_of(draft))
    return listeners


@pytest.mark.parametrize(
    ("change", "ends_all"),
    [
        ({"deny": ("10.1.0.0/16", "10.2.0.0/16")}, False),
        ({"deny": ()}, False),
        ({"allow": ("10.0.0.0/8",)}, False),
        ({"version_weights": (VersionWeight(Version("v1"), 100),)}, False),
        ({"max_connections": 5}, False),
        ({"idle_timeout": 5.0}, False),
        ({"balance": BalancePolicy.SOURCE_HASH}, False),
        ({"server_names": ("a.example",)}, True),
        ({"proxy_protocol": True}, True),
    ],
)
def test_which_changes_end_open_connections(change, ends_all):
    before = replace(TCP, deny=("10.1.0.0/16",))
    draft = build_draft(sharing(before), AROUND)
    (changed,) = after(draft, sharing(replace(before, **change)))
    assert (frame_of(changed) != frame_of(listener_of(draft))) is ends_all
    (chain,) = (chain for chain in listener_of(draft).filter_chains if chain.name.startswith("raw@"))
    assert chain in changed.filter_chains


def test_retired_chains_take_nothing_and_go_when_there_are_many_or_what_they_need_is_gone():
    draft = build_draft(sharing(replace(TCP, idle_timeout=1.0)), AROUND)
    first = listener_of(draft).filter_chains[0].name
    steps = [sharing(replace(TCP, idle_timeout=float(number))) for number in range(2, 8)]
    listeners = after(draft, *steps)
    assert [len(listener.filter_chains) for listener in listeners] == [2, 3, 4, 5, 5, 5]
    names = [[chain.name for chain in listener.filter_chains] for listener in listeners]
    assert names[-1] == [listener.filter_chains[0].name for listener in reversed(listeners[1:])]
    assert [first in each for each in names] == [True, True, True, True, False, False]
    assert first not in str(listeners[0].filter_chain_matcher)
    assert after(draft, steps[0], steps[0])[1] == listeners[0]  # nothing new: nothing changes
    (renamed,) = after(draft, sharing(replace(TCP, name="other")))
    assert [chain.name.partition("@")[0] for chain in renamed.filter_chains] == ["other"]


def test_of_all_clients_of_a_port_the_newest_chains_are_kept():
    names = [f"n{number}.example" for number in range(30)]
    listeners = [replace(TLS, name=name.partition(".")[0], server_names=(name,)) for name in names]

    def limited(rate: int) -> Forwarding:
        return sharing(*listeners, limits=(limit("all", "module:alb", per_second=rate),))

    steps = after(build_draft(limited(1), AROUND), *map(limited, range(2, 5)))
    assert [len(step.filter_chains) for step in steps] == [60, 90, 30 + 64]
    kept = [chain.name.partition("@")[0] for chain in steps[-1].filter_chains]
    assert min(kept.count(listener.name) for listener in listeners) == 3


def test_a_renewed_certificate_is_a_change_of_its_secret_alone():
    renewed = replace(AROUND, material={"one": Material(b"crt2", b"key2", b"ca")})
    old, new = (
        {(r.type.name, r.name): r.version for r in build_draft(CASES["tls"], around).resources}
        for around in (AROUND, renewed)
    )
    assert {key for key in old if old[key] != new[key]} == {("SECRET", "certificate.one")}


def test_keys_are_not_printed():
    assert "key" not in repr(AROUND)
