"""Which failures to open a connection say something of the server."""

import asyncio

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.dblb.mongodb.link import Link, LinkGone
from marchproxy.modules.dblb.mongodb.login import LoginRefused
from marchproxy.modules.dblb.mongodb.pool import Pool
from marchproxy.modules.dblb.mongodb.settings import PoolLimits
from marchproxy.wire.fault import ProtocolFault


class Client:
    """Notes whether there is hope."""

    def __init__(self) -> None:
        self.told = asyncio.get_running_loop().create_future()

    def got(self, link: Link) -> None:
        raise AssertionError(link)

    def got_none(self, reason: str, *, final: bool) -> None:
        self.told.set_result((reason, final))


@pytest.mark.parametrize(
    ("failure", "suspected"),
    [
        (ConnectionRefusedError("refused"), True),
        (LinkGone("it hung up"), True),
        (ProtocolFault("garbage"), True),
        (LoginRefused("Authentication failed."), False),
    ],
)
async def test_who_is_refused_has_no_server_suspected(failure, suspected):
    async def dial() -> Link:
        raise failure

    found = []
    async with asyncio.TaskGroup() as group:
        pool = Pool("p", dial, PoolLimits(), group, VirtualClock())
        pool.failed = lambda: found.append(True)
        client = Client()
        assert pool.acquire(client) is None
        async with asyncio.timeout(30):
            assert await client.told == (str(failure), not suspected)
    assert found == [True] * suspected
