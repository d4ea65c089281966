"""One node that is asked first."""

import pytest

from marchproxy.engines.envoy.xds.canary import Outcome, try_on
from marchproxy.engines.envoy.xds.publish import SnapshotRejected
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from tests.unit.engines.envoy.xds.envoy_model import ROUTE, EnvoyModel, checked, pool, site
from tests.unit.engines.envoy.xds.fake_client import attached

ONE = checked(*pool("a"), *site("web", 1, "a"))
TWO = checked(*pool("b"), *site("web", 2, "b"))


@pytest.fixture
async def ads(tmp_path):
    server = AdsServer()
    server.set_snapshot("edge", ONE)
    async with serve_unix(server, tmp_path / "ads.sock", grace=0.1):
        yield server


async def settled(node, snapshot):
    await node.until(lambda: node.holds(snapshot, {}))


@pytest.mark.parametrize("whole", [True, False])
async def test_one_that_takes_it(tmp_path, ads, whole):
    model, node = EnvoyModel(delta=True), ads.node("edge")
    async with attached(model, tmp_path / "ads.sock"):
        await settled(node, ONE)
        assert await try_on(node, TWO, ONE, whole=whole, timeout=20) is Outcome.ACCEPTED
        assert node.target is TWO


async def test_one_that_refuses_it_holds_what_it_held_and_is_not_asked_twice(tmp_path, ads):
    model, node = EnvoyModel(delta=True, refuses=lambda *what: what == (ROUTE, "web", "2")), ads.node("edge")
    async with attached(model, tmp_path / "ads.sock"):
        await settled(node, ONE)
        for _ in range(2):
            with pytest.raises(SnapshotRejected) as refused:
                await try_on(node, TWO, ONE, whole=True, timeout=20)
            assert refused.value.names == ("web",)
            assert node.target is ONE
        await settled(node, ONE)
        assert model.held[ROUTE] == {"web": "1"}


async def test_one_that_is_silent_is_given_it_all_the_same(tmp_path, ads):
    node = ads.node("edge")
    async with attached(EnvoyModel(delta=True), tmp_path / "ads.sock"):
        await settled(node, ONE)
        # nobody acknowledges what nobody sent: a resource that was refused before keeps it from being whole
        assert await try_on(node, TWO, ONE, whole=True, timeout=0) is Outcome.SILENT
        assert node.target is TWO


async def test_one_that_is_not_there(ads):
    assert await try_on(ads.node("edge"), TWO, ONE, whole=True, timeout=20) is Outcome.GONE
