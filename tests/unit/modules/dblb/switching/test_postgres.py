"""Which server of a pool is asked how far its replication is, when some of them fail in the middle."""

import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabasePool
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.postgres.inquiry import Inquiry, Row
from marchproxy.modules.dblb.switching import postgres
from marchproxy.modules.dblb.switching.following import NotKnown

FIRST, SECOND = (HostPort("127.0.0.1", port) for port in (1, 2))


class Session(Inquiry):
    """Says whether its server takes writes, or hangs up when it is asked."""

    def __init__(self, writable: str) -> None:
        super().__init__()
        self.writable = writable
        self.ended = False

    @property
    def open(self) -> bool:
        return not self.ended

    async def ask(self, query: str) -> list[Row]:
        if not self.writable:
            raise PeerGone("it hung up")
        return [(self.writable if "recovery" in query else "0/16B3748",)]

    def end(self) -> None:
        self.ended = True


def pool(name: str) -> Upstream:
    endpoints = tuple(Endpoint(str(address)) for address in (FIRST, SECOND))
    servers = BackendPool(PoolName(name), protocol=Protocol.POSTGRES, endpoints=endpoints)
    return Upstream(servers, DatabasePool(monitor="watcher"))


@pytest.fixture
def sessions(monkeypatch):
    sessions = {}

    async def opened(address, *_):
        return sessions[address]

    monkeypatch.setattr(postgres, "open_inquiry", opened)
    return sessions


@pytest.mark.parametrize("first", ["", "f"])
async def test_who_does_not_say_that_it_takes_writes_is_let_go_and_the_next_is_asked(sessions, first):
    sessions |= {FIRST: Session(first), SECOND: Session("t")}
    replication = postgres.LogicalReplication(pool("old"), pool("new"))
    assert await replication.mark() == "0/16B3748"
    assert (sessions[FIRST].ended, sessions[SECOND].ended) == (True, False)
    replication.close()
    assert sessions[SECOND].ended


async def test_all_faults_are_told(sessions):
    sessions |= {FIRST: Session(""), SECOND: Session("f")}
    with pytest.raises(
        NotKnown, match=r"no primary: 127\.0\.0\.1:1: it hung up; 127\.0\.0\.1:2 is a replica"
    ):
        await postgres.LogicalReplication(pool("old"), pool("new")).mark()
    assert all(session.ended for session in sessions.values())
