"""Status, reload, shutdown, scale, instances over the wire."""

import asyncio
from dataclasses import replace

import pytest

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.module import HealthStatus
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.base.observation import Observation
from tests.unit.modules.base.api.rig import Rig
from tests.unit.modules.doubles import CHECKSUM


async def test_get_status(rig: Rig) -> None:
    rig.engine.seen = Observation(active_connections=3)
    await rig.parts.sampler.look()
    answer = await rig.stub.GetStatus(pb.GetStatusRequest(instance_id="alb-1"))
    instance = answer.instance
    assert (answer.status, answer.message) == (types_pb2.HEALTH_STATUS_HEALTHY, "as known")
    assert (instance.instance_id, instance.version, instance.current_connections) == ("alb-1", "v1", 3)
    assert (instance.module_type, instance.config_checksum) == (types_pb2.MODULE_TYPE_ALB, CHECKSUM)
    assert [endpoint.address for endpoint in instance.traffic_endpoints] == ["127.0.0.1:10000"]
    assert (answer.details["routes"], answer.details["config_modified"]) == ("2", "false")


async def test_status_while_stopping(rig: Rig) -> None:
    rig.parts.control.stopping = True
    answer = await rig.stub.GetStatus(pb.GetStatusRequest())
    assert (answer.status, answer.instance.health_status) == (types_pb2.HEALTH_STATUS_STOPPING,) * 2


async def test_status_asks_nobody(rig: Rig) -> None:
    rig.engine.silent = True
    rig.engine.state = HealthStatus.UNHEALTHY
    looks = rig.engine.looks
    answer = await rig.stub.GetStatus(pb.GetStatusRequest())
    assert (answer.status, rig.engine.looks) == (types_pb2.HEALTH_STATUS_UNHEALTHY, looks)


async def test_a_remembered_status_is_never_stale(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    healths = {state: EngineHealth(state, state.value, {}) for state in HealthStatus}
    monkeypatch.setattr(rig.engine, "health", lambda: healths[rig.engine.state], raising=False)

    async def ask() -> pb.GetStatusResponse:
        return await rig.stub.GetStatus(pb.GetStatusRequest())

    first = await ask()
    assert await ask() == first
    await rig.core.change(lambda state: replace(state, rate_limits=()))
    assert (await ask()).details["rate_limits"] == "0"
    rig.engine.seen = Observation(active_connections=9)
    await rig.parts.sampler.look()
    assert (await ask()).instance.current_connections == 9
    assert (await ask()).last_updated == first.last_updated  # the status itself has not changed
    rig.clock.advance(1)
    rig.engine.state = HealthStatus.DEGRADED
    worse = await ask()
    assert (worse.status, worse.message) == (types_pb2.HEALTH_STATUS_DEGRADED, "degraded")
    assert worse.last_updated != first.last_updated


async def test_reload(rig: Rig) -> None:
    answer = await rig.stub.Reload(pb.ReloadRequest())
    assert (answer.success, answer.message, rig.reloads) == (True, "2 routes loaded", ["reload"])
    assert rig.engine.renewed == []


@pytest.mark.parametrize(("timeout", "finish"), [(0, None), (90, 90.0)])
async def test_a_graceful_reload_starts_a_new_process_of_the_engine(rig: Rig, timeout, finish) -> None:
    answer = await rig.stub.Reload(pb.ReloadRequest(graceful=True, timeout_seconds=timeout))
    assert (answer.success, answer.message) == (True, "2 routes loaded; a new process serves")
    assert (rig.reloads, rig.engine.renewed) == (["reload"], [finish])


async def test_a_new_process_that_does_not_come_up_is_told(rig: Rig) -> None:
    rig.engine.silent = True
    answer = await rig.stub.Reload(pb.ReloadRequest(graceful=True))
    assert (answer.success, answer.message) == (False, "the old one serves on")


async def test_reload_refused(rig: Rig) -> None:
    async def reload() -> str:
        raise Refused(RefusalCode.INVALID_ARGUMENT, "routes[0].id: bad", [Problem("routes[0].id", "bad")])

    rig.parts.control.reload = reload
    answer = await rig.stub.Reload(pb.ReloadRequest())
    assert (answer.success, answer.message) == (False, "routes[0].id: bad")
    assert dict(answer.error.details) == {"routes[0].id": "bad"}


async def test_reload_has_a_deadline(rig: Rig) -> None:
    async def reload() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    rig.parts.control.reload = reload
    answer = await rig.stub.Reload(pb.ReloadRequest(timeout_seconds=1))
    assert (answer.error.code, answer.message) == (
        types_pb2.STATUS_CODE_UNAVAILABLE,
        "not reloaded within 1 s",
    )


@pytest.mark.parametrize(
    ("request_", "seconds", "message"),
    [
        (pb.ShutdownRequest(graceful=True), 30.0, "draining for up to 30 s, then stopping"),
        (pb.ShutdownRequest(graceful=True, timeout_seconds=5), 5.0, "draining for up to 5 s, then stopping"),
        (pb.ShutdownRequest(), 0.0, "stopping"),
        (pb.ShutdownRequest(timeout_seconds=5), 0.0, "stopping"),
        (
            pb.ShutdownRequest(graceful=True, timeout_seconds=-5),
            30.0,
            "draining for up to 30 s, then stopping",
        ),
    ],
)
async def test_shutdown(rig: Rig, request_: pb.ShutdownRequest, seconds: float, message: str) -> None:
    answer = await rig.stub.Shutdown(request_)
    assert (answer.success, answer.message) == (True, message)
    assert rig.parts.control.stop.is_set()
    assert rig.parts.control.drain_seconds == seconds


class LauncherDouble:
    draining = 0
    instances = 1

    async def scale_to(self, wanted: int) -> int:
        self.instances = wanted
        return wanted


@pytest.mark.parametrize(
    ("minimum", "maximum", "immediate", "current", "desired"),
    [
        (0, 0, True, 1, 1),
        (2, 4, True, 2, 2),
        (2, 4, False, 1, 2),
        (3, 0, True, 3, 3),  # at most what is at least
    ],
)
async def test_scale(
    rig: Rig, minimum: int, maximum: int, immediate: bool, current: int, desired: int
) -> None:
    rig.parts.launcher = LauncherDouble()  # type: ignore[assignment]
    config = types_pb2.ScalingConfig(min_instances=minimum, max_instances=maximum)
    answer = await rig.stub.Scale(pb.ScaleRequest(config=config, immediate=immediate))
    assert (answer.success, answer.current_instances, answer.desired_instances) == (True, current, desired)


@pytest.mark.parametrize(
    ("minimum", "maximum", "code", "words"),
    [
        (-1, 2, types_pb2.STATUS_CODE_INVALID_ARGUMENT, "config.min_instances: -1 is less than 1"),
        (3, 2, types_pb2.STATUS_CODE_INVALID_ARGUMENT, "config.max_instances: 2 is less than min_instances"),
        (2, 2, types_pb2.STATUS_CODE_UNAVAILABLE, "was started without a launcher"),
    ],
)
async def test_scale_refused(rig: Rig, minimum: int, maximum: int, code: int, words: str) -> None:
    before = rig.parts.scaling
    config = types_pb2.ScalingConfig(min_instances=minimum, max_instances=maximum)
    answer = await rig.stub.Scale(pb.ScaleRequest(config=config, immediate=True))
    assert (answer.success, answer.error.code) == (False, code)
    assert words in answer.message
    assert rig.parts.scaling == before


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (pb.GetInstancesRequest(), ["alb-1"]),
        (pb.GetInstancesRequest(module_type=types_pb2.MODULE_TYPE_ALB), ["alb-1"]),
        (pb.GetInstancesRequest(module_type=types_pb2.MODULE_TYPE_DBLB), []),
        (pb.GetInstancesRequest(status_filter=types_pb2.HEALTH_STATUS_HEALTHY), ["alb-1"]),
        (pb.GetInstancesRequest(status_filter=types_pb2.HEALTH_STATUS_UNHEALTHY), []),
    ],
)
async def test_get_instances(rig: Rig, request_: pb.GetInstancesRequest, found: list[str]) -> None:
    answer = await rig.stub.GetInstances(request_)
    assert [item.instance_id for item in answer.instances] == found
    assert answer.total_instances == len(found)
