"""A store of its own for each test: the real one, in a file."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.manager.access import Access, SignedIn
from marchproxy.model.identity import Role
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


@pytest.fixture
def initial_password() -> Callable[[Access], str]:
    return _initial_password


@pytest.fixture
def signed_in() -> Callable[..., Awaitable[SignedIn]]:
    return _signed_in


def _initial_password(access: Access) -> str:
    return access.users.initial_password_file.read_text().strip()


async def _signed_in(
    access: Access, name: str = "admin", password: str = "correct horse battery"
) -> SignedIn:
    """Somebody who has chosen a password: the first admin, or an operator."""
    if name == "admin":
        given = _initial_password(access)
    else:
        _, given = await access.users.add(name, Role.OPERATOR)
    first = await access.sign_in(name, given, "192.0.2.1")
    return await access.change_password(first.principal, given, password)
