"""The follower: what stays when a look brings nothing, and when a change is told."""

from pathlib import Path

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, Discovery
from marchproxy.modules.http.discovery import Follower, SrvResolver
from marchproxy.modules.http.resources.endpoints import Target

SHOP = PoolName("shop")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "endpoints.yaml"


def pool(file: Path) -> BackendPool:
    return BackendPool(SHOP, discovery=Discovery(file=str(file)))


def follower() -> Follower:
    return Follower(SrvResolver(), clock=SystemClock())


async def look_again(follower: Follower, found: BackendPool) -> None:
    await follower._look(found.discovery, 1.0)  # what `run` does every few seconds


async def test_a_garbled_file_keeps_the_last_endpoints(file: Path) -> None:
    seeking, one = follower(), (Target("10.0.0.1:80"),)
    file.write_text("[10.0.0.1:80]")
    await seeking.look([pool(file)])
    seeking.keep([pool(file)])
    assert seeking.endpoints([pool(file)]) == {SHOP: one}
    assert seeking.troubles([pool(file)]) == {}
    seeking.changed.clear()
    file.write_text("[10.0.0.2")
    await look_again(seeking, pool(file))
    assert seeking.endpoints([pool(file)]) == {SHOP: one}
    assert "neither JSON nor YAML" in seeking.troubles([pool(file)])[SHOP]
    assert not seeking.changed.is_set()
    file.write_text("[10.0.0.2:80]")
    await look_again(seeking, pool(file))
    assert seeking.endpoints([pool(file)]) == {SHOP: (Target("10.0.0.2:80"),)}
    assert seeking.troubles([pool(file)]) == {}
    assert seeking.changed.is_set()


async def test_a_file_that_never_was(file: Path) -> None:
    seeking = follower()
    await seeking.look([pool(file)])
    assert seeking.endpoints([pool(file)]) == {SHOP: ()}
    assert "No such file" in seeking.troubles([pool(file)])[SHOP]


async def test_what_is_not_kept_is_forgotten(file: Path) -> None:
    seeking = follower()
    file.write_text("[10.0.0.1:80]")
    await seeking.look([pool(file)])
    seeking.keep([])
    assert seeking.endpoints([pool(file)]) == {}


async def test_a_pool_without_discovery_is_none_of_ours() -> None:
    seeking, plain = follower(), BackendPool(SHOP)
    await seeking.look([plain])
    assert (seeking.endpoints([plain]), seeking.troubles([plain])) == ({}, {})
