"""The control plane against a real Envoy, in both protocol variants."""

import asyncio
import dataclasses
import socket
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from marchproxy.engines.envoy.xds import publish
from marchproxy.engines.envoy.xds.publish import Publisher, PublishTimeout, SnapshotRejected
from marchproxy.engines.envoy.xds.resource import ResourceType
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from marchproxy.engines.envoy.xds.session import Session
from tests.real.xds_rig import ask, backend, load, running_envoy, serving_process
from tests.unit.engines.envoy.xds.builders import (
    checked_cluster,
    cluster,
    endpoints,
    listener,
    route,
    snapshot,
    web,
)

pytestmark = pytest.mark.parametrize("variant", ["DELTA_GRPC", "GRPC"])


@pytest.fixture
def written(monkeypatch):
    """Every response written on any stream: (type, how many resources, how many removals)."""
    log: list[tuple[ResourceType, int, int]] = []
    take = Session.take

    def recording(session):
        responses = take(session)
        for r in responses:
            kind = next(kind for kind in ResourceType if kind.type_url == r.type_url)
            log.append((kind, len(r.resources), len(getattr(r, "removed_resources", ()))))
        return responses

    monkeypatch.setattr(Session, "take", recording)
    return log


@asynccontextmanager
async def control_plane(path, **options):
    ads = AdsServer()
    publisher = Publisher(ads, "edge", **options)
    async with serve_unix(ads, path):
        yield ads, publisher


@asynccontextmanager
async def edge(tmp_path, variant, **options):
    path = tmp_path / "ads.sock"
    async with (
        control_plane(path, **options) as (ads, publisher),
        backend("v1") as v1,
        backend("v2") as v2,
        running_envoy(tmp_path, path, variant) as envoy,
    ):
        yield ads, publisher, envoy, v1, v2


async def test_serves_listener_route_cluster_and_endpoints(tmp_path, variant):
    async with edge(tmp_path, variant) as (ads, publisher, envoy, v1, _):
        await publisher.publish(web({"v1": [v1]}), timeout=15)
        assert await ask(await envoy.port(), 5) == Counter(v1=5)
        (status,) = ads.nodes()
        assert status.connected
        assert set(status.acked) >= {
            ResourceType.CLUSTER,
            ResourceType.ENDPOINT,
            ResourceType.LISTENER,
            ResourceType.ROUTE,
        }


async def test_weights_shift_without_touching_anything_else(tmp_path, variant, written):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, v2):
        await publisher.publish(web({"v1": [v1], "v2": [v2]}, {"v1": 1, "v2": 0}), timeout=15)
        port = await envoy.port()
        assert await ask(port, 10) == Counter(v1=10)
        written.clear()
        await publisher.publish(web({"v1": [v1], "v2": [v2]}, {"v1": 0, "v2": 1}))
        assert written == [(ResourceType.ROUTE, 1, 0)]
        assert await ask(port, 10) == Counter(v2=10)


async def test_nack_is_reported_in_envoys_words_and_never_loops(tmp_path, variant, written):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, v2):
        good = web({"v1": [v1]})
        await publisher.publish(good, timeout=15)
        port = await envoy.port()
        written.clear()
        bad = web({"v1": [v1]}, regex="(")
        with pytest.raises(SnapshotRejected, match="missing \\)") as refused:
            await publisher.publish(bad)
        assert refused.value.type is ResourceType.ROUTE
        assert refused.value.names == ("routes",)
        assert publisher.current == good
        assert await ask(port, 5) == Counter(v1=5)
        await asyncio.sleep(0.5)
        assert written == [(ResourceType.ROUTE, 1, 0)] * 2  # the refused one, and back to the last good one

        with pytest.raises(SnapshotRejected, match="missing \\)"):
            await publisher.publish(bad)
        assert len(written) == 2
        await publisher.publish(web({"v2": [v2]}))
        assert await ask(port, 5) == Counter(v2=5)


async def test_refused_listener_and_cluster_leave_traffic_alone(tmp_path, variant):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, _):
        good = web({"v1": [v1]})
        await publisher.publish(good, timeout=15)
        port = await envoy.port()
        for bad in (
            listener("taken", route="routes", port=v1),
            cluster("hasty", service="v1", connect_ms=-1),
        ):
            with pytest.raises(SnapshotRejected) as refused:
                await publisher.publish(snapshot(*good, bad))
            assert refused.value.names == (bad.name,)
            assert await ask(port, 3) == Counter(v1=3)
        await publisher.publish(snapshot(*good, endpoints("spare", v1), cluster("spare")))


async def test_restarted_control_plane_resends_nothing(tmp_path, variant, written):
    path, store = tmp_path / "ads.sock", tmp_path / "last-good.xds"
    async with AsyncExitStack() as stack:
        v1, v2 = [await stack.enter_async_context(backend(name)) for name in ("v1", "v2")]
        async with control_plane(path, store=store) as (_, publisher):
            envoy = await stack.enter_async_context(running_envoy(tmp_path, path, variant))
            await publisher.publish(web({"v1": [v1]}), timeout=15)
            port = await envoy.port()
        assert await ask(port, 3) == Counter(v1=3)  # nobody controls it now
        changes = await envoy.changes()
        written.clear()
        async with control_plane(path, store=store) as (_, publisher):
            last_good = publish.load(store)
            assert last_good is not None
            publisher.resume(last_good)
            await publisher.publish(last_good, timeout=10)
            assert await ask(port, 3) == Counter(v1=3)
            if variant == "DELTA_GRPC":
                assert {(resources, removals) for _, resources, removals in written} == {(0, 0)}
            assert await envoy.changes() == changes
            await publisher.publish(web({"v2": [v2]}))
            assert await ask(port, 3) == Counter(v2=3)


async def test_killed_control_plane_is_resumed_from_its_file(tmp_path, variant, written):
    path, store = tmp_path / "ads.sock", tmp_path / "last-good.xds"
    async with AsyncExitStack() as stack:
        v1 = await stack.enter_async_context(backend("v1"))
        async with control_plane(path, store=store) as (_, publisher):
            envoy = await stack.enter_async_context(running_envoy(tmp_path, path, variant))
            await publisher.publish(web({"v1": [v1]}), timeout=15)
        port, changes = await envoy.port(), await envoy.changes()
        async with serving_process(path, store) as process:
            await envoy.until_connected()
            process.kill()
            await process.wait()
        assert await ask(port, 3) == Counter(v1=3)
        written.clear()
        async with control_plane(path, store=store) as (_, publisher):
            last_good = publish.load(store)
            publisher.resume(last_good)
            await publisher.publish(last_good, timeout=10)
            assert await envoy.changes() == changes
            if variant == "DELTA_GRPC":
                assert {(resources, removals) for _, resources, removals in written} == {(0, 0)}


async def test_resource_deleted_while_the_control_plane_was_away_is_removed(tmp_path, variant):
    path = tmp_path / "ads.sock"
    async with AsyncExitStack() as stack:
        v1 = await stack.enter_async_context(backend("v1"))
        async with control_plane(path) as (_, publisher):
            envoy = await stack.enter_async_context(running_envoy(tmp_path, path, variant))
            await publisher.publish(
                snapshot(*web({"v1": [v1]}), cluster("old"), endpoints("old", v1)), timeout=15
            )
        assert await envoy.stat("cluster_manager.active_clusters") == 3
        async with control_plane(path) as (_, publisher):
            await publisher.publish(web({"v1": [v1]}), timeout=10)
            assert await envoy.stat("cluster_manager.active_clusters") == 2


async def test_routes_wait_until_a_new_cluster_is_warm(tmp_path, variant, written):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, _):
        await publisher.publish(web({"v1": [v1]}), timeout=15)
        port = await envoy.port()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            # its first health check takes 2 s to fail; only then is the cluster warm
            slow = checked_cluster("slow", timeout_ms=2000)
            more = [*web({"v1": [v1]}), slow, endpoints("slow", silent.getsockname()[1])]
            with pytest.raises(PublishTimeout, match="not acknowledged in time: cluster"):
                await publisher.publish(snapshot(*more), timeout=0.2)
            assert await ask(port, 3) == Counter(v1=3)
            written.clear()
            clock = asyncio.get_running_loop().time
            started = clock()
            unrouted = [r for r in more if r.type is not ResourceType.ROUTE]
            await publisher.publish(snapshot(*unrouted, route("routes", {"slow": 0, "v1": 1})), timeout=10)
            assert clock() - started > 0.2
            assert written[-1] == (ResourceType.ROUTE, 1, 0)
            assert await envoy.stat("cluster_manager.warming_clusters") == 0
            assert await ask(port, 3) == Counter(v1=3)


async def test_endpoints_that_do_not_exist_do_not_keep_a_cluster_warming(tmp_path, variant):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, _):
        await publisher.publish(web({"v1": [v1]}), timeout=15)
        orphan = dataclasses.replace(cluster("orphan"), references={})  # past the consistency check
        await publisher.publish(snapshot(*web({"v1": [v1]}), orphan), timeout=10)  # Envoy's own limit is 15 s
        assert await envoy.stat("cluster_manager.warming_clusters") == 0
        await publisher.publish(
            snapshot(*web({"v1": [v1]}), cluster("orphan"), endpoints("orphan", v1)), timeout=10
        )


async def test_changed_cluster_gets_its_endpoints_again_and_warms(tmp_path, variant):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, _):
        await publisher.publish(web({"v1": [v1]}), timeout=15)
        port = await envoy.port()
        for connect_ms in (1100, 1200, 1300):
            await publisher.publish(
                web({"v1": [v1]}, connect_ms=connect_ms), timeout=10
            )  # Envoy's own limit is 15 s
            assert await envoy.stat("cluster_manager.warming_clusters") == 0
        assert await ask(port, 3) == Counter(v1=3)


async def test_two_clusters_share_endpoints(tmp_path, variant):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, _):
        await publisher.publish(web({"v1": [v1]}), timeout=15)
        shared = snapshot(cluster("twin", service="v1"), *web({"v1": [v1]}))
        await publisher.publish(shared, timeout=10)
        assert await envoy.stat("cluster_manager.warming_clusters") == 0


async def test_cluster_removal_under_load_fails_no_request(tmp_path, variant):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, v2):
        await publisher.publish(web({"v1": [v1]}), timeout=15)
        port, stop = await envoy.port(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(load(port, stop)) for _ in range(2)]
            for _ in range(10):
                await publisher.publish(web({"v2": [v2]}))
                await publisher.publish(web({"v1": [v1]}))
            stop.set()
        seen = sum((client.result() for client in clients), Counter())
        assert set(seen) == {"v1", "v2"}, seen


@pytest.mark.busy
async def test_a_weight_change_takes_milliseconds(tmp_path, variant):
    clock = asyncio.get_running_loop().time
    async with edge(tmp_path, variant, store=tmp_path / "last-good.xds") as (_, publisher, _, v1, v2):
        await publisher.publish(web({"v1": [v1], "v2": [v2]}), timeout=15)
        took = []
        for weight in range(1, 60):
            started = clock()
            await publisher.publish(web({"v1": [v1], "v2": [v2]}, {"v1": 1, "v2": weight}))
            took.append(clock() - started)
        assert sorted(took)[len(took) // 2] < 0.02, took


async def test_two_listeners_one_without_routes_of_its_own(tmp_path, variant):
    async with edge(tmp_path, variant) as (_, publisher, envoy, v1, v2):
        await publisher.publish(web({"v1": [v1]}), timeout=15)
        more = snapshot(
            *web({"v1": [v1]}),
            cluster("v2"),
            endpoints("v2", v2),
            listener("more", route="other"),
            route("other", {"v2": 1}),
        )
        await publisher.publish(more)
        assert await ask(await envoy.port("more")) == Counter(v2=1)
        await publisher.publish(web({"v1": [v1]}))
        assert await ask(await envoy.port("web")) == Counter(v1=1)
