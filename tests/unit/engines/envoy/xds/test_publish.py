import asyncio
import itertools

import pytest

from marchproxy.engines.envoy.xds import publish, store
from marchproxy.engines.envoy.xds.publish import Publisher, PublishTimeout, SnapshotRejected
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from marchproxy.engines.envoy.xds.snapshot import EMPTY, Draft
from tests.unit.engines.envoy.xds import builders
from tests.unit.engines.envoy.xds.envoy_model import CLUSTER, LISTENER, ROUTE, EnvoyModel, checked, pool, site
from tests.unit.engines.envoy.xds.fake_client import attached

ONE = checked(*pool("a"), *site("web", 1, "a"))
TWO = checked(*pool("b"), *site("web", 2, "b"))


@pytest.fixture(params=[True, False], ids=["delta", "sotw"])
def model(request):
    return EnvoyModel(delta=request.param)


@pytest.fixture
async def ads(tmp_path):
    server = AdsServer()
    async with serve_unix(server, tmp_path / "ads.sock", grace=0.1):
        yield server


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_returns_when_everything_is_acknowledged(tmp_path, ads, model):
    publisher = Publisher(ads, "edge")
    assert publisher.current is EMPTY
    async with attached(model, tmp_path / "ads.sock"):
        for snapshot in (ONE, TWO, ONE):
            await publisher.publish(snapshot)
            assert publisher.current is snapshot
            assert model.held[CLUSTER] == dict.fromkeys(snapshot.of(CLUSTER), "1")
            assert model.held[ROUTE] == {"web": snapshot.of(ROUTE)["web"].version}
    assert model.broken == []


@pytest.mark.parametrize("blames", [True, False])
async def test_a_refusal_leads_back_to_the_last_good(tmp_path, ads, model, blames):
    model.blames, model.refuses = blames, lambda *what: what == (ROUTE, "web", "2")
    publisher = Publisher(ads, "edge")
    async with attached(model, tmp_path / "ads.sock"):
        await publisher.publish(ONE)
        with pytest.raises(SnapshotRejected) as refused:
            await publisher.publish(TWO)
        assert (refused.value.type, refused.value.names) == (ROUTE, ("web",))
        assert refused.value.message == ("web" if blames else "missing )")
        assert publisher.current is ONE
        assert model.held[CLUSTER] == {"a": "1"}
        assert model.held[ROUTE] == {"web": "1"}
        (status,) = ads.nodes()
        assert "web" in status.last_error

        for _ in range(3):
            with pytest.raises(SnapshotRejected):
                await publisher.publish(TWO)
        assert model.refused == [(ROUTE, "web", "2")]  # asked once, never again
        with pytest.raises(SnapshotRejected):
            await publisher.publish(TWO, retry=True)
        assert len(model.refused) == 2
        model.refuses = lambda *_: False
        await publisher.publish(TWO, retry=True)
        assert model.held[ROUTE] == {"web": "2"}


async def test_the_first_snapshot_refused_leaves_the_node_as_it_is(tmp_path, ads, model):
    model.refuses = lambda kind, name, version: kind is LISTENER
    publisher = Publisher(ads, "edge")
    async with attached(model, tmp_path / "ads.sock"):
        with pytest.raises(SnapshotRejected):
            await publisher.publish(ONE)
        assert publisher.current is EMPTY
        assert model.held[CLUSTER] == {"a": "1"}
        model.refuses = lambda *_: False
        await publisher.publish(checked(*pool("b"), *site("web", 2, "b", listener=2)))
        assert model.held[CLUSTER] == {"b": "1"}


async def test_nobody_connected(ads):
    publisher = Publisher(ads, "edge")
    publisher.resume(ONE)
    with pytest.raises(PublishTimeout, match="no Envoy is connected"):
        await publisher.publish(TWO, timeout=0.02)
    assert publisher.current is ONE
    assert ads.node("edge").target is ONE


async def test_no_answer_says_what_is_missing(tmp_path, ads, model):
    publisher = Publisher(ads, "edge")
    async with attached(model, tmp_path / "ads.sock"):
        await publisher.publish(ONE)
        model.receive = lambda response: []
        with pytest.raises(PublishTimeout, match="not acknowledged in time: cluster"):
            await publisher.publish(TWO, timeout=0.05)
    assert publisher.current is ONE
    assert ads.node("edge").target is ONE


async def test_a_node_that_comes_late_is_waited_for(tmp_path, ads, model):
    publisher = Publisher(ads, "edge")
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publisher.publish(ONE))
        await until(lambda: ads.node("edge").watched)
        async with attached(model, tmp_path / "ads.sock"):
            await publishing
    assert publisher.current is ONE


async def test_a_node_that_reconnects_while_published_to(tmp_path, ads, model):
    publisher = Publisher(ads, "edge")
    deaf, receive = (lambda response: []), model.receive
    async with asyncio.TaskGroup() as group:
        async with attached(model, tmp_path / "ads.sock"):
            await publisher.publish(ONE)
            model.receive = deaf
            publishing = group.create_task(publisher.publish(TWO))
            await until(lambda: ads.node("edge").pending())
        model.receive = receive
        async with attached(model, tmp_path / "ads.sock"):
            await publishing
    assert model.held[CLUSTER] == {"b": "1"}


async def test_a_cancelled_publish_leaves_the_last_good(tmp_path, ads, model):
    publisher = Publisher(ads, "edge")
    publisher.resume(ONE)
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publisher.publish(TWO))
        await until(lambda: ads.node("edge").watched)
        assert ads.node("edge").target is not ONE
        publishing.cancel()
    assert publisher.current is ONE
    assert ads.node("edge").target is ONE
    async with attached(model, tmp_path / "ads.sock"):
        await publisher.publish(TWO)  # the lock is free again


async def test_publishes_run_one_after_the_other(tmp_path, ads, model):
    publisher = Publisher(ads, "edge")
    async with attached(model, tmp_path / "ads.sock"):
        async with asyncio.TaskGroup() as group:
            for snapshot in itertools.islice(itertools.cycle([ONE, TWO]), 9):
                group.create_task(publisher.publish(snapshot))
        assert publisher.current is ONE
        assert model.held[ROUTE] == {"web": "1"}
    assert model.broken == []


async def test_waiting_for_ones_turn_counts(ads):
    publisher = Publisher(ads, "edge")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(publisher.publish(ONE))
        await until(lambda: ads.node("edge").watched)
        with pytest.raises(PublishTimeout, match="an earlier publish"):
            await publisher.publish(TWO, timeout=0.02)
        first.cancel()


async def test_warming_is_awaited_only_where_clusters_change(tmp_path, ads, model):
    stages = []

    async def warmed():
        stages.append(set(model.held[CLUSTER]))

    publisher = Publisher(ads, "edge", warmed=warmed)
    async with attached(model, tmp_path / "ads.sock"):
        await publisher.publish(ONE)
        assert stages == [{"a"}]
        await publisher.publish(TWO)
        assert stages == [{"a"}, {"a", "b"}]  # before the route moves
        await publisher.publish(checked(*pool("b"), *site("web", 3, "b")))
        assert len(stages) == 2


async def test_a_warming_that_fails_leaves_the_last_good(tmp_path, ads, model):
    async def warmed():
        if "b" in model.held[CLUSTER]:
            raise ConnectionError("admin is gone")

    publisher = Publisher(ads, "edge", warmed=warmed)
    async with attached(model, tmp_path / "ads.sock"):
        await publisher.publish(ONE)
        with pytest.raises(ConnectionError):
            await publisher.publish(TWO)
        assert ads.node("edge").target is ONE
        await until(lambda: model.held[CLUSTER] == {"a": "1"})


async def test_the_last_good_snapshot_is_stored(tmp_path, ads, model):
    file = tmp_path / "last-good"
    real = builders.web({"v1": [80]})
    publisher = Publisher(ads, "edge", store=file)
    assert publish.load(file) is None
    publisher.resume(real)
    with pytest.raises(PublishTimeout):
        await publisher.publish(EMPTY, timeout=0.01)
    assert publish.load(file) is None
    publisher.resume(EMPTY)
    async with attached(model, tmp_path / "ads.sock"):
        await publisher.publish(EMPTY)
    assert publish.load(file) == EMPTY


async def test_a_full_disk_does_not_undo_a_publish(tmp_path, ads, model, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "save", refuse)
    publisher = Publisher(ads, "edge", store=tmp_path / "last-good")
    async with attached(model, tmp_path / "ads.sock"):
        await publisher.publish(ONE)
    assert publisher.current is ONE


async def test_drafts_are_not_published(ads):
    publisher = Publisher(ads, "edge")
    for unchecked in (Draft(()), None, (1, 2)):
        with pytest.raises(TypeError, match="checked"):
            await publisher.publish(unchecked)
        with pytest.raises(TypeError, match="checked"):
            publisher.resume(unchecked)
        with pytest.raises(TypeError, match="checked"):
            ads.set_snapshot("edge", unchecked)
