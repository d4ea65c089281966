"""A store of its own for each test: the real one, in a file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.manager.access import Access
from marchproxy.store import Sealer, Store, StoreSettings, open_store


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    settings = StoreSettings(f"sqlite:///{tmp_path}/manager.db")
    async with open_store(settings, Sealer.of_file(tmp_path / "secret.key")) as store:
        yield store


@pytest.fixture
async def access(store: Store, clock: VirtualClock, tmp_path: Path) -> Access:
    access = Access(store, clock, tmp_path, session_hours=12)
    await access.users.ensure_first()
    return access
