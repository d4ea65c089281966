"""HTTP filters that are delivered by themselves (ECDS), against a real Envoy, in both protocol variants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.publish import Publisher, SnapshotRejected
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from tests.real.xds_rig import Envoy, backend, running_envoy
from tests.unit.engines.envoy.xds import builders

pytestmark = pytest.mark.parametrize("variant", ["DELTA_GRPC", "GRPC"])


@asynccontextmanager
async def edge(tmp_path: Path, variant: str) -> AsyncIterator[tuple[Publisher, Envoy, int]]:
    path, ads = tmp_path / "ads.sock", AdsServer()
    async with (
        serve_unix(ads, path),
        backend("v1") as port,
        running_envoy(tmp_path, path, variant) as envoy,
    ):
        yield Publisher(ads, "edge"), envoy, port


def marked(port: int, *filters: Any, names: tuple[str, ...] = ("mark",)) -> Any:
    return builders.snapshot(
        builders.cluster("v1"),
        builders.endpoints("v1", port),
        builders.listener("web", route="routes", filters=names),
        builders.route("routes", {"v1": 1}),
        *filters,
    )


async def headers(envoy: Envoy) -> httpx.Headers:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{await envoy.port()}/")
        assert answer.status_code == 200
        return answer.headers


async def test_a_filter_changes_and_nothing_else_does(tmp_path: Path, variant: str) -> None:
    async with edge(tmp_path, variant) as (publisher, envoy, port):
        await publisher.publish(marked(port, builders.extension("mark", "1")), timeout=15)
        assert (await headers(envoy))["x-mark"] == "1"
        before = await envoy.changes()
        await publisher.publish(marked(port, builders.extension("mark", "2")), timeout=15)
        assert (await headers(envoy))["x-mark"] == "2"
        assert await envoy.changes() == before
        two = builders.extension("mark", "2"), builders.extension("more", "3")
        await publisher.publish(marked(port, *two, names=("mark", "more")), timeout=15)
        found = await headers(envoy)
        assert (found["x-mark"], found["x-more"]) == ("2", "3")
        await publisher.publish(marked(port, two[1], names=("more",)), timeout=15)
        found = await headers(envoy)
        assert "x-mark" not in found
        assert found["x-more"] == "3"


async def test_a_refused_filter_leaves_the_last_good_one(tmp_path: Path, variant: str) -> None:
    async with edge(tmp_path, variant) as (publisher, envoy, port):
        await publisher.publish(marked(port, builders.extension("mark", "1")), timeout=15)
        with pytest.raises(SnapshotRejected) as refused:
            await publisher.publish(marked(port, builders.extension("mark", "%NO_SUCH_COMMAND%")), timeout=15)
        assert refused.value.type is ResourceType.EXTENSION
        assert "NO_SUCH_COMMAND" in refused.value.message
        assert (await headers(envoy))["x-mark"] == "1"
        await publisher.publish(marked(port, builders.extension("mark", "2")), timeout=15)
        assert (await headers(envoy))["x-mark"] == "2"
