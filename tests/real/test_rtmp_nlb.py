"""RTMP modules behind an NLB: several instances that find each other's streams, versions of them, and one that leaves."""

import asyncio
import signal
from pathlib import Path

import psutil

from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from tests.real.support.process import Started
from tests.real.support.rtmp import frames, make_flv, publish, publishing
from tests.real.support.rtmp_fleet import Fleet, fleet
from tests.real.support.rtmp_origins import pool, rtmp_origins, to_pools
from tests.real.support.waiting import until

_VERSIONS = {"rtmp-1": "v1", "rtmp-2": "v2"}
_STREAMS = [f"live/s{number}" for number in range(4)]


async def test_whichever_instance_a_client_comes_to(tmp_path: Path) -> None:
    film = await make_flv(tmp_path / "film.flv", seconds=1)
    wanted = await frames(film)
    async with (
        rtmp_origins(tmp_path, 2) as origins,
        fleet(
            tmp_path, {"pools": [pool("origins", origins)], "routes": [to_pools("origins")]}, _VERSIONS
        ) as system,
    ):
        await _players_find_streams_of_the_other_instance(system, film, wanted)
        log = tmp_path / "publisher.log"
        await system.give_all("v1")
        async with publishing(film, system.url("live/cam"), log) as publisher:
            live = await _live(system, "rtmp-1", "cam")
            assert live.publisher in _own_addresses(publisher)  # through the NLB, by PROXY protocol v2
            assert (live.version, live.origin in {one.address for one in origins}) == ("v1", True)
            for instance in _VERSIONS:  # all of them say so, whoever has it
                assert await _explained(system, instance, "cam") == live.origin
            await _answers_for_itself(system, [one.address for one in origins])
            await _reports_to_its_nlb(system)
        await system.give_all("v2")
        await _leaves_without_harm(system, film, wanted)


async def _players_find_streams_of_the_other_instance(system: Fleet, film: Path, wanted: list[str]) -> None:
    """Each stream is published at one instance, and played through the other one."""
    own = {"v1": "rtmp-1", "v2": "rtmp-2"}
    async with asyncio.TaskGroup() as group:
        played = []
        for version, streams in (("v2", _STREAMS[:2]), ("v1", _STREAMS[2:])):
            await system.give_all(version)
            played += [group.create_task(frames(system.url(stream))) for stream in streams]
            await until(lambda: _has_players(system, own[version], 2))  # noqa: B023 - it is awaited here
        for stream in _STREAMS:
            there = "rtmp-1" if stream in _STREAMS[:2] else "rtmp-2"
            group.create_task(publish(film, system.url(stream, there)))
    assert [task.result() for task in played] == [wanted] * len(_STREAMS)


async def _has_players(system: Fleet, instance: str, number: int) -> bool:
    answer = await system.module(instance).GetRoutes(module_pb2.GetRoutesRequest(), timeout=5)
    return sum(stream.players for stream in answer.streams) == number


async def _live(system: Fleet, instance: str, name: str) -> types_pb2.LiveStream:
    """A stream as the instance tells of it, once it knows all of it."""
    found: list[types_pb2.LiveStream] = []

    async def is_known() -> bool:
        answer = await system.module(instance).GetRoutes(module_pb2.GetRoutesRequest(), timeout=5)
        found[:] = [one for one in answer.streams if one.key == f"/live/{name}"]
        return bool(found and found[0].width and found[0].bitrate_kbps and found[0].HasField("gop_length"))

    await until(is_known)
    return found[0]


async def _explained(system: Fleet, instance: str, name: str) -> str:
    """The origin that a stream goes to."""
    route = types_pb2.Route(protocol=types_pb2.PROTOCOL_RTMP)
    context = {"app": "live", "stream": name, "explain": "true"}
    request = module_pb2.CanHandleRequest(route=route, context=context)
    (choice,) = (await system.module(instance).CanHandle(request, timeout=10)).choices
    (certain,) = (one.address for one in choice.endpoints if one.probability == 1)
    return certain


def _own_addresses(client: Started) -> set[str]:
    return {
        "{}:{}".format(*one.laddr) for one in psutil.Process(client.pid).net_connections("tcp") if one.raddr
    }


async def _answers_for_itself(system: Fleet, origins: list[str]) -> None:
    module = system.module("rtmp-1")
    for context, expected in (
        ({"app": "live", "stream": "cam", "action": "play"}, True),
        ({"app": "live", "stream": "cam", "client": "192.0.2.1"}, True),
    ):
        route = types_pb2.Route(protocol=types_pb2.PROTOCOL_RTMP)
        request = module_pb2.CanHandleRequest(route=route, context=context)
        assert (await module.CanHandle(request)).can_handle == expected
    route = types_pb2.Route(protocol=types_pb2.PROTOCOL_HTTP)
    assert not (await module.CanHandle(module_pb2.CanHandleRequest(route=route))).can_handle
    health = await module.HealthCheck(module_pb2.HealthCheckRequest(deep_check=True))
    assert health.status == types_pb2.HEALTH_STATUS_HEALTHY, health
    assert health.checks["worker:0"] == "ok"
    assert all(address in health.checks["pool:origins"] for address in origins), health
    routes = await module.GetRoutes(module_pb2.GetRoutesRequest())
    assert [route.route_id for route in routes.routes] == ["there"]
    (stream,) = routes.streams
    assert (stream.route_id, stream.pool, stream.state) == ("there", "origins", "live")
    assert (stream.width, stream.height, stream.players) == (192, 108, 0)
    assert (stream.video_codec[:5], stream.audio_codec[:4]) == ("avc1.", "mp4a")
    stats = await module.GetStats(module_pb2.GetStatsRequest())
    assert stats.routes["there"].total_requests == 5  # three publishers and two players
    assert [one.key for one in stats.streams] == ["/live/cam"]
    assert stats.stats.failed_requests == 0
    metrics = await module.GetMetrics(
        module_pb2.GetMetricsRequest(metric_names=["streams", "stream_bitrate"])
    )
    points = {(point.name, point.labels.get("stream", "")): point.value for point in metrics.metrics.metrics}
    assert points["streams", ""] == 1
    assert points["stream_bitrate", "/live/cam"] > 0


async def _reports_to_its_nlb(system: Fleet) -> None:
    """What the autoscaler goes by."""

    async def heard() -> bool:
        known = await system.nlb_stub().ListModules(nlb_pb2.ListModulesRequest(), timeout=5)
        return {one.instance_id: one.current_connections for one in known.modules} == {
            "rtmp-1": 1,
            "rtmp-2": 0,
        }

    await until(heard)


async def _leaves_without_harm(system: Fleet, film: Path, wanted: list[str]) -> None:
    """An instance is stopped while it serves: its clients finish, and others go to the one that is left."""
    process = system.albs["rtmp-2"].process
    assert process is not None
    async with asyncio.TaskGroup() as group:
        played = [group.create_task(frames(system.url(stream))) for stream in ("live/old", "live/new")]
        await until(lambda: _has_players(system, "rtmp-2", 2))
        await system.give_all("v1")
        process.send(signal.SIGTERM)
        await system.targets({"rtmp-1"})
        for stream in ("live/old", "live/new"):
            group.create_task(publish(film, system.url(stream)))
    assert [task.result() for task in played] == [wanted] * 2
    assert await process.ended(20) == 0
