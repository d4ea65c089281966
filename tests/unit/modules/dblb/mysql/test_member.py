"""Which refusals have clients be offered less."""

import asyncio

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.gate import OpenGate
from marchproxy.modules.dblb.mysql import member as module
from marchproxy.modules.dblb.mysql.dialling import Server
from marchproxy.modules.dblb.mysql.login import Credentials, Lacking, LoginRefused
from marchproxy.modules.dblb.mysql.member import Member
from marchproxy.modules.dblb.mysql.pool import PoolLimits
from marchproxy.modules.dblb.mysql.watch import Watch
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tallies
from marchproxy.wire.mysql.endings import Refusal


@pytest.mark.parametrize(
    ("failure", "lacks"),
    [
        (Lacking("the server lacks DEPRECATE_EOF"), True),
        (LoginRefused("the server asks for auth_socket"), False),  # of this user
        (LoginRefused("1045 no", Refusal(1045, "28000", "no")), False),
        (ConnectionRefusedError("refused"), False),
    ],
)
async def test_only_a_server_that_can_do_less_is_asked_what_it_can(monkeypatch, failure, lacks):
    dialled = asyncio.Event()

    async def dial(*_args: object, **_options: object) -> None:
        dialled.set()
        raise failure

    found = []
    monkeypatch.setattr(module, "dial", dial)
    async with asyncio.TaskGroup() as group:
        clock = VirtualClock()
        server = Server(HostPort("127.0.0.1", 1), None, 1.0)
        around = Surroundings(group, clock, Tallies(), OpenGate())
        watch = Watch(server, None, clock)
        member = Member(server, watch, PoolLimits(), around, lambda: found.append(True))
        pool = member.pool(Credentials("ann", "app", 45, 0))
        assert pool.spare() is None  # which has one opened
        async with asyncio.timeout(30):
            await dialled.wait()
    pool.close()
    assert found == [True] * lacks
