"""Messages other than routes: defaults, and what cannot be read."""

from datetime import UTC, datetime

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from marchproxy.contract import convert
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.model.judging import RolloutLimits
from marchproxy.model.module import HealthStatus, ModuleType, Version
from marchproxy.model.pool import BackendPool, Endpoint, HealthCheck
from marchproxy.model.problem import InvalidValue
from marchproxy.model.query import Page
from marchproxy.model.rollout import Phase, Rollout
from marchproxy.model.series import Point


def problems_of(read, *args, **options):
    with pytest.raises(InvalidValue) as raised:
        read(*args, **options)
    return [str(problem) for problem in raised.value.problems]


def test_a_pool_with_defaults():
    pb = types_pb2.BackendPool(name="p", endpoints=[types_pb2.BackendEndpoint(address="a:1")])
    assert convert.pool_from_pb(pb) == BackendPool("p", endpoints=(Endpoint("a:1", 1),))


def test_a_health_check_with_defaults():
    assert convert.health_check_from_pb(types_pb2.HealthCheckConfig()) == HealthCheck()


def test_a_health_check_in_whole_seconds_is_said_once():
    pb = convert.health_check_to_pb(HealthCheck(interval=5.0, timeout=0.2))
    assert not pb.HasField("interval")
    assert (pb.timeout_seconds, pb.timeout.nanos) == (1, 200_000_000)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"health_check_protocol": "PROTOCOL_HTTP"}, "health_check_path: a check with HTTP needs a path"),
        (
            {"health_check_protocol": "PROTOCOL_TCP", "health_check_path": "/"},
            "health_check_path: a check with TCP has no path",
        ),
        (
            {"health_check_protocol": "PROTOCOL_GRPC"},
            "health_check_protocol: checks with grpc are not supported",
        ),
        ({"interval": Duration(seconds=-1)}, "interval: is negative"),
    ],
)
def test_faulty_health_checks(fields, problem):
    pool = types_pb2.BackendPool(health_check=types_pb2.HealthCheckConfig(**fields))
    assert problems_of(convert.pools_from_pb, [pool]) == [f"pools[0].health_check.{problem}"]


def test_every_problem_of_a_pool():
    pool = types_pb2.BackendPool(protocol=99, balance=99, connect_timeout=Duration(seconds=-1))
    assert problems_of(convert.pool_from_pb, pool) == [
        "pool.protocol: unknown value 99",
        "pool.balance: unknown value 99",
        "pool.connect_timeout: is negative",
    ]


def test_an_instance_with_defaults():
    instance = convert.instance_from_pb(types_pb2.ModuleInstance(module_type=types_pb2.MODULE_TYPE_ALB))
    assert (instance.health, instance.version) == (HealthStatus.STARTING, Version("v1"))
    assert instance.started_at is None


def test_every_problem_of_an_instance():
    instance = types_pb2.ModuleInstance(
        started_at=Timestamp(seconds=10**15),
        health_status=99,
        traffic_endpoints=[types_pb2.TrafficEndpoint(), types_pb2.TrafficEndpoint(protocol=99)],
    )
    problems = problems_of(convert.instance_from_pb, instance)
    assert problems[0].startswith("instance.started_at: is not a point in time")
    assert problems[1:] == [
        "instance.module_type: is missing",
        "instance.traffic_endpoints[0].protocol: is missing",
        "instance.traffic_endpoints[1].protocol: unknown value 99",
        "instance.health_status: unknown value 99",
    ]


@pytest.mark.parametrize("address", ["", "80", ":80", "host:", "host:x", "host:-1", "host:" + "9" * 5000])
def test_a_listener_needs_host_and_port(address):
    pb = nlb_pb2.Listener(name="web", address=address)
    assert problems_of(convert.listener_from_pb, pb) == [f'listener.address: "{address}" is not host:port']


def test_a_listener_wishes_for_a_known_data_plane():
    pb = nlb_pb2.Listener(name="web", address="127.0.0.1:80", wanted_data_plane="magic")
    assert problems_of(convert.listener_from_pb, pb) == [
        'listener.wanted_data_plane: unknown data plane "magic"; known: auto, kernel, envoy, detect'
    ]


def test_a_listener_says_what_forwards_it():
    pb = nlb_pb2.Listener(name="web", address="[::1]:80")
    listener = convert.listener_from_pb(pb)
    assert (listener.host, listener.port) == ("::1", 80)
    answered = convert.listener_to_pb(listener, data_plane="envoy")
    assert (answered.address, answered.data_plane) == ("[::1]:80", "envoy")


def test_enums_by_themselves():
    assert convert.MODULE_TYPES.to_pb(None) == types_pb2.MODULE_TYPE_UNSPECIFIED
    assert convert.MODULE_TYPES.from_pb(types_pb2.MODULE_TYPE_UNSPECIFIED, "type") is None
    assert convert.MODULE_TYPES.from_pb(types_pb2.MODULE_TYPE_RTMP, "type") is ModuleType.RTMP
    assert problems_of(convert.MODULE_TYPES.from_pb, 99, "module_type") == ["module_type: unknown value 99"]


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e300])
def test_what_no_duration_holds(seconds):
    with pytest.raises(InvalidValue):
        convert.seconds_to_pb(seconds)


@pytest.mark.parametrize(
    ("seconds", "parts"), [(1.5, (1, 500_000_000)), (-1.5, (-1, -500_000_000)), (0, (0, 0))]
)
def test_durations(seconds, parts):
    pb = convert.seconds_to_pb(seconds)
    assert (pb.seconds, pb.nanos) == parts


def test_a_point_without_a_time_is_from_now():
    pbs = [types_pb2.MetricDataPoint(name="up", value=1)]
    assert convert.points_from_pb(pbs, now=12.5) == [(12.5, Point("up", 1.0))]
    broken = [types_pb2.MetricDataPoint(timestamp=Timestamp(seconds=10**15))]
    (problem,) = problems_of(convert.points_from_pb, broken, now=0.0)
    assert problem.startswith("metrics[0].timestamp: is not a point in time")


def test_a_page():
    pb = convert.page_to_pb(Page(rows=(1, 2), page=2, page_size=2, total_items=5, total_pages=3))
    assert (pb.page, pb.page_size, pb.total_items, pb.total_pages) == (2, 2, 5, 3)


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        ({}, RolloutLimits()),
        ({"promotion_rate": 25}, RolloutLimits(step_percent=25)),
        ({"steps": [5, 25, 50, 100]}, RolloutLimits(steps=(5, 25, 50, 100))),
        (
            {"analysis": types_pb2.RolloutAnalysis(min_requests=5, interval=Duration(seconds=2))},
            RolloutLimits(
                interval=2.0, min_requests=5, max_error_percent=0.0, max_error_increase_percent=0.0
            ),
        ),
        (
            {"analysis": types_pb2.RolloutAnalysis(max_error_percent=1, max_p99_latency_ms=9)},
            RolloutLimits(
                min_requests=0, max_error_percent=1.0, max_error_increase_percent=0.0, max_p99_latency_ms=9.0
            ),
        ),
    ],
)
def test_rollout_limits(request_fields, expected):
    assert convert.rollout_limits_from_pb(module_pb2.PromoteVersionRequest(**request_fields)) == expected


def test_every_problem_of_rollout_limits():
    analysis = types_pb2.RolloutAnalysis(
        interval=Duration(seconds=-1),
        min_requests=-1,
        max_error_percent=101,
        max_error_increase_percent=float("nan"),
        max_p99_latency_ms=float("inf"),
        max_p99_factor=-1,
    )
    request = module_pb2.PromoteVersionRequest(promotion_rate=-3, analysis=analysis)
    paths = [text.partition(":")[0] for text in problems_of(convert.rollout_limits_from_pb, request)]
    assert paths == [
        "promotion_rate",
        "analysis.max_error_percent",
        "analysis.max_error_increase_percent",
        "analysis.max_p99_latency_ms",
        "analysis.max_p99_factor",
        "analysis.min_requests",
        "analysis.interval",
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"steps": [5], "promotion_rate": 5}, "steps: and promotion_rate exclude each other"),
        ({"steps": [0, 5]}, "steps: are at most 100 shares between 1 and 100"),
        ({"steps": [50, 101]}, "steps: are at most 100 shares between 1 and 100"),
        ({"steps": [5] * 101}, "steps: are at most 100 shares between 1 and 100"),
        ({"steps": [5, 5]}, "steps: must rise"),
        ({"steps": [50, 25]}, "steps: must rise"),
    ],
)
def test_steps_that_make_no_rollout(fields, problem):
    request = module_pb2.PromoteVersionRequest(**fields)
    assert problems_of(convert.rollout_limits_from_pb, request) == [problem]


def test_a_rollout_says_when_it_came_there():
    at = datetime(2026, 1, 2, tzinfo=UTC)
    pb = convert.rollout_to_pb(Rollout(Version("v2"), 5, phase=Phase.RAMPING), at)
    assert pb.updated_at.ToDatetime(tzinfo=UTC) == at
    pb.phase = "dancing"
    assert problems_of(convert.rollout_from_pb, pb) == [
        'rollout.phase: unknown phase "dancing"; known: ramping, promoted, rolled_back'
    ]
