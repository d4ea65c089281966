"""Versions of origins: a canary that serves nobody is taken back, and a stream keeps its colour until it ends."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.modules.rtmp.pushing.dialogue import PushDialogue, Refused, State
from marchproxy.modules.rtmp.pushing.target import Target
from marchproxy.wire.rtmp.handshake import NOISE
from tests.real.support.rtmp import Streaming, make_flv, publishing, streaming
from tests.real.support.rtmp_origins import pool, rtmp_origins, to_pools
from tests.real.support.waiting import until

_CLIENTS = 6


async def test_who_serves_nobody_is_taken_back_and_streams_keep_their_colour(tmp_path: Path) -> None:
    film = await make_flv(tmp_path / "film.flv")
    async with rtmp_origins(tmp_path, 2) as (blue, green):
        pools = [pool("blue", [blue], version="v1"), pool("green", [green], version="v2")]
        route = to_pools("blue", "green", rtmp={"grace": 1})
        document = {"pools": pools, "routes": [route]}
        async with (
            streaming(tmp_path, document, workers=1, metrics_interval=0.2) as system,
            system.asked() as module,
            publishing(film, system.url("live/kept"), tmp_path / "kept.log") as kept,
        ):
            await until(lambda: _is_at(module, "kept", "v1"))
            await green.kill()
            rollout = await _promoted(system, module)
            assert rollout.phase == "rolled_back", rollout
            active = await module.GetActiveVersion(pb.GetActiveVersionRequest(route_id="there"), timeout=10)
            assert dict(active.version_weights) == {"v1": 100, "v2": 0}

            await green.start()
            answer = await module.SetTrafficWeight(
                pb.SetTrafficWeightRequest(version="v2", weight=100, route_id="there"), timeout=10
            )
            assert answer.success, answer
            async with publishing(film, system.url("live/new"), tmp_path / "new.log"):
                await until(lambda: _is_at(module, "new", "v2"))
                assert await _is_at(module, "kept", "v1")
                assert await blue.streams() == {"kept": 0}
                assert kept.running
                assert await system.count("rehomed_total") == 0
            await kept.end()
            await until(lambda: _is_gone(module, "kept"))  # and not only away for a moment
            async with publishing(film, system.url("live/kept"), tmp_path / "again.log"):
                await until(lambda: _is_at(module, "kept", "v2"))


async def _is_at(module: Any, name: str, version: str) -> bool:
    return (await _published(module)).get(f"/live/{name}") == (version, True)


async def _is_gone(module: Any, name: str) -> bool:
    return f"/live/{name}" not in await _published(module)


async def _published(module: Any) -> dict[str, tuple[str, bool]]:
    """The version of each stream, and whether somebody publishes it now."""
    answer = await module.GetRoutes(pb.GetRoutesRequest(), timeout=10)
    return {one.key: (one.version, one.publisher != "") for one in answer.streams}


async def _promoted(system: Streaming, module: Any) -> types_pb2.RolloutStatus:
    """How a promotion of v2 went, while clients publish."""
    analysis = types_pb2.RolloutAnalysis(interval=Duration(seconds=2), min_requests=20, max_error_percent=5)
    request = pb.PromoteVersionRequest(version="v2", steps=[50, 100], route_id="there", analysis=analysis)
    async with _clients(system.port):
        answer = await module.PromoteVersion(request, timeout=10)
        assert answer.success, answer

        async def is_decided() -> bool:
            return (await _rollout(module)).phase != "ramping"

        await until(is_decided, 60)
    return await _rollout(module)


async def _rollout(module: Any) -> types_pb2.RolloutStatus:
    active = await module.GetActiveVersion(pb.GetActiveVersionRequest(route_id="there"), timeout=10)
    return active.rollouts[0]


@asynccontextmanager
async def _clients(port: int) -> AsyncIterator[None]:
    """Publishers that come, and go as soon as they may begin, or may not."""
    names = count()

    async def come_and_go() -> None:
        while True:
            await _publish_briefly(port, f"s{next(names)}")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(come_and_go()) for _ in range(_CLIENTS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _publish_briefly(port: int, name: str) -> None:
    target = Target("127.0.0.1", port, False, "live", name)
    dialogue = PushDialogue(target, os.urandom(NOISE))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(dialogue.begin())
        while dialogue.state is not State.LIVE and (data := await reader.read(65536)):
            writer.write(dialogue.feed(data))
        writer.write(dialogue.farewell())
    except (Refused, ConnectionError):
        pass  # the canary has nobody
    finally:
        writer.close()
