"""What is told in one look has the same answers as what is taken apart: talks in all sorts of pieces, over shared servers."""

import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.dblb.gate import OPEN
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import Welcome
from marchproxy.modules.dblb.postgres.pool import Pool, PoolLimits
from marchproxy.modules.dblb.postgres.requests import Requests
from marchproxy.modules.dblb.postgres.roles import Beginning
from marchproxy.modules.dblb.postgres.session import Session
from marchproxy.modules.dblb.postgres.settling import Settings
from marchproxy.modules.dblb.postgres.statements import Catalogue
from marchproxy.modules.dblb.tally import Tally
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.framing import Framer, Interest
from marchproxy.wire.postgres.frontend import Parse, read_bind, read_parse, read_target

COLUMNS, BAD = encode.message(b"T", b"\0\1text\0"), b"bad"
NO_SUCH, REFUSED, TAKEN = (encode.error(code, "no") for code in ("26000", "42601", "42P05"))
DESCRIBE, EXECUTE = encode.message(b"D", b"P\0"), encode.message(b"E", b"\0\0\0\0\0")


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def take(self) -> bytes:
        taken, self.written = self.written, b""
        return taken

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """What is fed is fed."""

    def resume_reading(self) -> None:
        """As before."""


@dataclass
class Server:
    """Answers every text with itself, and knows only what it was told, as PostgreSQL does; `shared`: a query takes the
    statement without a name away, which a client of the pool does not see."""

    shared: bool = True
    statements: dict[bytes, bytes] = field(default_factory=dict)
    portal: bytes | None = None
    failed: bool = False
    status: int = ord("I")
    framer: Framer = field(
        default_factory=lambda: Framer(dict.fromkeys(b"QPBDECS", Interest.WHOLE), longest=1 << 20)
    )

    def hear(self, data: bytes) -> bytes:
        data, events = self.framer.feed(data)
        return b"".join(self._answer(kind, data[start:end]) for kind, start, end in events)

    def _answer(self, kind: int, message: bytes) -> bytes:
        if kind == ord("S"):
            self.failed = False
            return encode.ready(self.status)
        if kind == ord("Q"):
            if self.shared:
                self.statements.pop(b"", None)
            return self._run(message[5:-1]) + encode.ready(self.status)
        if self.failed:
            return b""
        answer = self._step(kind, message)
        self.failed = answer.startswith(b"E")
        return answer

    def _step(self, kind: int, message: bytes) -> bytes:
        match chr(kind):
            case "P":
                return self._parse(read_parse(message))
            case "B":
                self.portal = self.statements.get(read_bind(message)[1])
                return NO_SUCH if self.portal is None else b"2\0\0\0\4"
            case "D":
                kind, name = read_target(message)
                known = self.portal if chr(kind) == "P" else self.statements.get(name)
                return NO_SUCH if known is None else COLUMNS
            case "C":
                self.statements.pop(read_target(message)[1], None)
                return encode.CLOSE_COMPLETE
        return NO_SUCH if self.portal is None else self._run(self.portal, columns=b"")

    def _parse(self, parse: Parse) -> bytes:
        if parse.name and parse.name in self.statements:
            return TAKEN
        self.statements.pop(parse.name, None)
        if parse.text.startswith(BAD):
            return REFUSED
        self.statements[parse.name] = parse.text
        return encode.PARSE_COMPLETE

    def _run(self, text: bytes, columns: bytes = COLUMNS) -> bytes:
        if text in {b"begin", b"commit"}:
            self.status = ord("T" if text == b"begin" else "I")
            return encode.message(b"C", text.upper() + b"\0")
        rows = encode.message(b"D", text) * (len(text) % 3)
        return columns + rows + encode.message(b"C", b"SELECT 1\0")


class Rig:
    """Clients that share links."""

    def __init__(self, clients: int, links: int, *, most_bytes: int = 1 << 20) -> None:
        around: Any = SimpleNamespace(create_task=lambda work, name: work.close())
        self.clock = VirtualClock()
        self.pool = Pool("db", around, PoolLimits(size=links), around, self.clock)
        self.tally = Tally()
        self.servers = [(self._link(most_bytes), Server()) for _ in range(links)]
        for link, _ in self.servers:
            self.pool.release(link)
        catalogue = Catalogue(most_bytes=1 << 20)
        self.sessions = [self._session(catalogue) for _ in range(clients)]

    def _link(self, most_bytes: int) -> Link:
        link = Link(self.pool, statement_bytes=most_bytes, now=0.0)
        link.connection_made(Transport())
        link.begin(Welcome({}))
        return link

    def _session(self, catalogue: Catalogue) -> Session:
        stay: Any = SimpleNamespace(gate=OPEN, tally=self.tally, keeps=False)
        porter: Any = SimpleNamespace(left=lambda _: None, abandoned=lambda _: None)
        session = Session(porter, Requests(catalogue), stay, lambda _: None, self.clock.monotonic)
        session.begin(Transport(), self.pool, Beginning(Settings()))
        session.move(self.pool)
        return session

    def serve(self, chance: random.Random) -> None:
        """Have servers answer until they have nothing to answer."""
        while any(link.transport.written for link, _ in self.servers):
            for link, server in self.servers:
                for piece in cut(server.hear(link.transport.take()), chance):
                    link.data_received(piece)


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    """As a network might: mostly whole."""
    if not data or chance.random() < 0.7:
        return [data] if data else []
    at = sorted(chance.sample(range(len(data)), min(len(data), chance.randint(1, 3))))
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True) if start < end]


def batch(name: bytes, chance: random.Random) -> bytes:
    bind = encode.message(b"B", b"\0" + name + b"\0\0\0\0\0\0\0")
    return bind + chance.choice((b"", DESCRIBE)) + EXECUTE


def requests(names: set[bytes], chance: random.Random) -> bytes:
    """What a client might send at once; `names` are those that it has prepared."""
    text = chance.choice((b"one", b"two", b"three", b"a longer one", b"bad"))
    tail = text + b"\0\0\0"
    parse = encode.parse(b"", tail)
    name = b"s%d" % chance.randint(0, 5)
    if name not in names and chance.random() < 0.1:
        names.add(name)
        return encode.parse(name, tail) + batch(name, chance) + encode.SYNC
    known = chance.choice((*sorted(names), b"never"))
    return chance.choice(
        (
            encode.query(text.decode()),
            encode.query("begin") + encode.query("one") + encode.query("commit"),
            parse + batch(b"", chance) + encode.SYNC,
            parse + batch(b"", chance) + encode.SYNC,
            parse + encode.SYNC,
            batch(b"", chance) + encode.SYNC,
            batch(b"", chance) + batch(known, chance) + encode.SYNC,
            batch(known, chance) + encode.SYNC,
        )
    )


@pytest.mark.parametrize(("clients", "links"), [(1, 1), (3, 1), (3, 2), (4, 4)])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most_bytes", [1 << 20, 1100])
async def test_everybody_hears_what_a_server_of_their_own_would_say(clients, links, seed, most_bytes):
    chance = random.Random(seed)
    rig = Rig(clients, links, most_bytes=most_bytes)
    own = [(Server(shared=False), set[bytes]()) for _ in rig.sessions]
    for _ in range(150):
        expected = []
        for session, (server, names) in zip(rig.sessions, own, strict=True):
            asked = b"".join(requests(names, chance) for _ in range(chance.choice((1, 1, 1, 2))))
            expected.append(server.hear(asked))
            names.intersection_update(server.statements)  # a refused one is not there
            for piece in cut(asked, chance):
                session.data_received(piece)
        rig.serve(chance)
        assert [session.transport.take() for session in rig.sessions] == expected
        assert rig.pool.idle == links
    rig.pool.close()
    assert rig.tally.queries >= 150 * clients / 2
