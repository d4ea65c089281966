"""A whole module process in this one, around an engine double: what it starts with, and what makes it read again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from marchproxy.contract.document import checksum, decode, encode
from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import module_pb2_grpc, types_pb2
from marchproxy.kit.listening import PortInUse
from marchproxy.kit.settings import HostPort, Problem, SettingsError
from marchproxy.model import problem as model
from marchproxy.model.module import DRAINED
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import Isolate
from marchproxy.modules.base.keeper import Keeper
from marchproxy.modules.base.running import Running
from marchproxy.modules.base.server import ModuleServer, Origin, Signals
from marchproxy.modules.base.settings import ModuleSettings
from tests.ports import free_port
from tests.unit.modules.base.nlb_double import NlbDouble, serving
from tests.unit.modules.doubles import CHECKSUM, DOCUMENT, STATE, EngineDouble

TOLD = decode(b"pools: [{name: told}]")
TOLD_CHECKSUM = checksum(encode(TOLD))
# the client is there before the server, and gRPC would wait a second before its next attempt
QUICKLY = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20)]


class Process:
    """One run of a module with its own folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        own = {name: f"127.0.0.1:{free_port()}" for name in ("grpc", "health", "metrics")}
        self.settings = ModuleSettings(
            id="alb-1", type="alb", state_dir=folder, drain_seconds=0, **{**own, **settings}
        )
        self.engine = EngineDouble()
        self.signals = Signals()
        self.document: bytes | SettingsError = DOCUMENT
        origin = Origin(self._source)
        self.server = ModuleServer(self.settings, self.engine, origin, self.signals)

    @property
    def keeper(self) -> Keeper:
        return Keeper(self.settings.own_state_dir() / "state.json")

    def left(self, running: Running) -> None:
        """What the process before it left."""
        keeper = self.keeper
        keeper.keep(running)
        keeper.flush()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Any]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.server.run())
            try:
                async with grpc.aio.insecure_channel(str(self.settings.grpc), options=QUICKLY) as channel:
                    stub = module_pb2_grpc.ModuleServiceStub(channel)
                    await stub.GetStatus(pb.GetStatusRequest(), wait_for_ready=True, timeout=5)
                    yield stub
            finally:
                self.signals.stop.set()
            await task

    async def runs(self) -> list[str]:
        """The names of the pools that the engine was told to run first."""
        async with self.running():
            return [pool.name for pool in self.engine.applied[0].pools]

    def _source(self) -> DesiredState:
        if isinstance(self.document, SettingsError):
            raise self.document
        return decode(self.document)


OWN = ["blue", "green"]


@pytest.mark.parametrize(
    ("left", "pools"),
    [
        (None, OWN),
        (Running(TOLD, CHECKSUM, modified=True, origin=CHECKSUM), ["told"]),  # changed by RPCs
        (Running(TOLD, TOLD_CHECKSUM, origin=CHECKSUM), ["told"]),  # told as a whole document
        (Running(TOLD, "c", modified=True, origin="another"), OWN),  # the configuration has changed since
        (Running(STATE, CHECKSUM, origin=CHECKSUM), OWN),
        # cannot run here: the ALB does not match client networks
        (Running(decode(b"routes: [{id: a, sources: [10.0.0.0/8]}]"), "c", origin=CHECKSUM), OWN),
    ],
)
async def test_what_it_starts_with(tmp_path: Path, left: Running | None, pools: list[str]) -> None:
    process = Process(tmp_path)
    if left is not None:
        process.left(left)
    assert await process.runs() == pools


async def test_what_it_was_told_outlives_it(tmp_path: Path) -> None:
    first = Process(tmp_path)
    async with first.running() as stub:
        config = pb.UpdateConfigRequest()
        config.config.config_data = encode(TOLD)
        assert (await stub.UpdateConfig(config)).success
    second = Process(tmp_path)
    assert await second.runs() == ["told"]
    third = Process(tmp_path)
    third.document = DOCUMENT.replace(b"green", b"teal")
    assert await third.runs() == ["blue", "teal"]


async def drain(stub: Any, *, on: bool) -> pb.SetTrafficWeightResponse:
    return await stub.SetTrafficWeight(pb.SetTrafficWeightRequest(draining=on))


async def health(stub: Any) -> types_pb2.HealthStatus.ValueType:
    return (await stub.GetStatus(pb.GetStatusRequest())).status


async def test_one_that_is_drained_stays_so_until_it_is_told_otherwise(tmp_path: Path) -> None:
    async with serving(NlbDouble()) as nlb:
        nlbs = [HostPort.parse(nlb.address)]
        first = Process(tmp_path, nlbs=nlbs, heartbeat_interval=60)
        async with first.running() as stub:
            await nlb.until("RegisterModule")
            assert (await drain(stub, on=True)).success
            beat = await nlb.until("Heartbeat")  # at once, and not after a minute
            assert beat.status == types_pb2.HEALTH_STATUS_STOPPING
            assert await health(stub) == types_pb2.HEALTH_STATUS_STOPPING
            assert first.engine.parting == [True]
            async with httpx.AsyncClient(trust_env=False) as client:
                page = await client.get(f"http://{first.settings.health}/readyz")
            assert (page.status_code, page.json()["checks"]["status"]) == (503, DRAINED)
        second = Process(tmp_path, nlbs=nlbs, heartbeat_interval=60)
        second.document = DOCUMENT.replace(b"green", b"teal")  # whatever it runs
        async with second.running() as stub:
            assert await health(stub) == types_pb2.HEALTH_STATUS_STOPPING
            assert (await drain(stub, on=False)).success
            assert await health(stub) == types_pb2.HEALTH_STATUS_HEALTHY
            assert second.engine.parting == [True, False]
        third = Process(tmp_path)
        async with third.running() as stub:
            assert await health(stub) == types_pb2.HEALTH_STATUS_HEALTHY
            assert third.engine.parting == []


async def test_clients_that_cannot_be_asked_to_go_are_told_of(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with process.running() as stub:
        process.engine.silent = True
        answer = await drain(stub, on=True)
        assert (answer.success, answer.message) == (False, "does not answer")
        assert await health(stub) == types_pb2.HEALTH_STATUS_STOPPING  # nothing new comes, all the same


async def test_an_engine_that_does_not_answer_keeps_it_from_starting(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.left(Running(TOLD, CHECKSUM, modified=True, origin=CHECKSUM))
    process.engine.refusal = Refused(RefusalCode.UNAVAILABLE, "no answer")
    with pytest.raises(Refused, match="no answer"):
        await process.server.run()
    assert process.keeper.load() is not None


async def test_a_configuration_with_faults_keeps_it_from_starting(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.document = SettingsError([Problem("routes[0].id", "is bad", line=3, file="alb.yaml")])
    with pytest.raises(Refused, match=r"alb.yaml:3: routes\[0\].id: is bad"):
        await process.server.run()


async def test_reload(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with process.running() as stub:
        assert (await stub.Reload(pb.ReloadRequest())).message == "the configuration has not changed"
        process.document = b"pools: [{name: new}]"
        assert (await stub.Reload(pb.ReloadRequest())).message == "0 routes, 1 pools, 0 rate limits loaded"
        process.document = SettingsError([Problem("", "gone")])
        answer = await stub.Reload(pb.ReloadRequest())
        assert (answer.success, answer.message) == (False, "gone")
        assert [pool.name for pool in process.engine.applied[-1].pools] == ["new"]
    kept = process.keeper.load()
    assert kept is not None
    assert kept.origin == kept.checksum


async def test_an_nlb_that_runs_another_document_makes_it_read_again(tmp_path: Path) -> None:
    async with serving(NlbDouble()) as nlb:
        process = Process(tmp_path, nlbs=[nlb.address], heartbeat_interval=0.05)
        async with process.running():
            await nlb.until("Heartbeat")
            process.document = encode(TOLD)
            nlb.reload_to = TOLD_CHECKSUM
            async with asyncio.timeout(5):
                while process.engine.applied[-1] != TOLD:
                    await asyncio.sleep(0.01)
        assert nlb.names()[-1] == "UnregisterModule"


async def test_an_nlb_with_another_document_does_not_undo_what_was_told_here(tmp_path: Path) -> None:
    async with serving(NlbDouble()) as nlb:
        process = Process(tmp_path, nlbs=[nlb.address], heartbeat_interval=0.05)
        async with process.running() as stub:
            assert (await stub.DeleteRoute(pb.DeleteRouteRequest(route_id="api"))).success
            told = process.engine.applied[-1]
            nlb.reload_to = TOLD_CHECKSUM
            await nlb.until("Heartbeat", nlb.names().count("Heartbeat") + 3)
            assert process.engine.applied[-1] == told


async def test_limits_and_shifts_that_keep_the_routes_are_no_news_to_the_nlb(tmp_path: Path) -> None:
    async with serving(NlbDouble()) as nlb:
        process = Process(tmp_path, nlbs=[nlb.address], heartbeat_interval=0.05)
        async with process.running() as stub:
            await nlb.until("Heartbeat")
            assert (await stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="calm"))).success
            await nlb.until("Heartbeat", nlb.names().count("Heartbeat") + 2)
            assert "UpdateRouting" not in nlb.names()
            assert (await stub.DeleteRoute(pb.DeleteRouteRequest(route_id="api"))).success
            update = await nlb.until("UpdateRouting")
            assert [item.route_id for item in update.routes] == ["shop"]
            assert update.replace_all  # nothing else could say that one is gone


async def test_nlbs_are_told_of_the_routes_that_changed(tmp_path: Path) -> None:
    async with serving(NlbDouble()) as nlb:
        process = Process(tmp_path, nlbs=[nlb.address], heartbeat_interval=0.05)
        async with process.running() as stub:
            await nlb.until("Heartbeat")
            kept = (await stub.GetRoutes(pb.GetRoutesRequest())).routes
            changed = next(item for item in kept if item.route_id == "api")
            changed.timeout.seconds = 77
            assert (await stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=[changed]))).success
            update = await nlb.until("UpdateRouting")
            assert not update.replace_all
            assert [(item.route_id, item.timeout.seconds) for item in update.routes] == [("api", 77)]


@pytest.mark.parametrize("busy", ["grpc", "health", "metrics"])
async def test_a_port_in_use_is_named(tmp_path: Path, busy: str) -> None:
    process = Process(tmp_path)
    address: HostPort = getattr(process.settings, busy)
    async with await asyncio.start_server(lambda *_: None, address.host, address.port):
        with pytest.raises(PortInUse, match=f"{busy}: cannot listen on {address}: already in use"):
            await process.server.run()


async def test_health_and_metrics(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.engine.seen = replace(process.engine.seen, active_connections=4)
    async with process.running(), httpx.AsyncClient(trust_env=False) as client:
        ready = await client.get(f"http://{process.settings.health}/readyz")
        assert (ready.status_code, ready.json()["checks"]["engine"]) == (200, "ok")
        text = (await client.get(f"http://{process.settings.metrics}/metrics")).text
        assert "marchproxy_module_connections_active 4.0" in text


async def test_where_its_configuration_has_faults_what_ran_before_goes_on(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.left(Running(TOLD, TOLD_CHECKSUM, origin="another"))
    process.document = SettingsError([Problem("routes[0].id", "is bad", line=3, file="alb.yaml")])
    async with process.running() as stub:
        assert [pool.name for pool in process.engine.applied[0].pools] == ["told"]
        for deep in (False, True):
            seen = await stub.HealthCheck(pb.HealthCheckRequest(deep_check=deep))
            assert seen.status == types_pb2.HEALTH_STATUS_DEGRADED
            assert "alb.yaml:3: routes[0].id: is bad" in seen.checks["configuration"]
        process.document = DOCUMENT
        assert (await stub.Reload(pb.ReloadRequest())).success
        seen = await stub.HealthCheck(pb.HealthCheckRequest())
        assert (seen.status, "configuration" in seen.checks) == (types_pb2.HEALTH_STATUS_HEALTHY, False)


async def test_at_a_start_what_the_engine_cannot_run_is_set_aside(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with process.running() as stub:
        assert process.engine.isolate is Isolate.FAULTY
        await stub.UpdateRoutes(
            pb.UpdateRoutesRequest(
                routes=[
                    types_pb2.Route(route_id="a", backends=[types_pb2.BackendRef(pool="blue", weight=100)])
                ]
            )
        )
        assert process.engine.isolate is Isolate.NOTHING
        process.document = DOCUMENT.replace(b"green", b"teal")
        process.engine.isolated = (model.Problem("routes[1].path", "Envoy refused it"),)
        answer = await stub.Reload(pb.ReloadRequest())
        assert process.engine.isolate is Isolate.REJECTED
        assert answer.message.endswith("loaded; set aside: routes[1].path: Envoy refused it")
