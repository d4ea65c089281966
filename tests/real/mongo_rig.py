"""A server of MongoDB's protocol that does as it is told, and the proxy in front of servers."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType

import bson
from scramp import ScramException, ScramMechanism

from marchproxy.modules.dblb.gate import Gate
from marchproxy.modules.dblb.mongodb.member import Member
from marchproxy.modules.dblb.mongodb.service import MongoService
from marchproxy.modules.dblb.mongodb.settings import MongoLimits
from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.service import Surroundings
from tests.real.support.dblb_services import Served, serving

HEADER = struct.Struct("<iiii")
QUICK = MongoLimits(orphan=0.1)
NOTHING: Mapping[str, object] = MappingProxyType({})


class Told:
    """Answers hello as what `role` says, and every command by the handler of its name; keeps what it was asked."""

    def __init__(
        self, name: str, role: str = "primary", password: str = "", mechanism: str = "SCRAM-SHA-256"
    ):
        self.name = name
        self.role = role
        self.seen: list[dict] = []
        self.connections = 0
        self.logged_in = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._mechanism = mechanism
        self._password = password

    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.seen]

    def asked(self, name: str) -> list[dict]:
        return [command for command in self.seen if next(iter(command)) == name]

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Told"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        login = _Login(self._mechanism, self._password)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length, number, _, _ = HEADER.unpack(await reader.readexactly(16))
                data = await reader.readexactly(length - 16)
                (size,) = struct.unpack_from("<i", data, 5)
                command = bson.decode(data[5 : 5 + size])
                self.seen.append(command)
                if data[0] & 2:
                    continue
                for answer in await self._answers(command, login):
                    more = answer.pop("more", False)
                    body = struct.pack("<I", 2 if more else 0) + b"\0" + bson.encode(answer)
                    writer.write(HEADER.pack(16 + len(body), number + 1000, number, 2013) + body)
                    number += 1000
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _answers(self, command: dict, login: "_Login") -> Sequence[dict]:  # noqa: PLR0911 - one for each command
        name = next(iter(command))
        if name == "hello":
            return [self._hello()]
        if name.startswith("sasl"):
            answer = login.hear(command)
            self.logged_in += bool(answer.get("done"))
            return [answer]
        if self._password and not login.done:
            return [{"ok": 0.0, "code": 13, "errmsg": "not logged in"}]
        if name not in {"ping", "killCursors"}:
            await self.hold.wait()
        if name in {"insert", "update"} and self.role != "primary":
            return [{"ok": 0.0, "code": 10107, "codeName": "NotWritablePrimary", "errmsg": "not primary"}]
        if name == "find":
            number = 7 if command.get("batchSize") else 0
            return [_cursor("firstBatch", number, [{"from": self.name}])]
        if name == "getMore":
            if command["getMore"] != 7:
                return [{"ok": 0.0, "code": 43, "errmsg": "no such cursor"}]
            if command.get("batchSize") == 99:
                return [{**_cursor("nextBatch", 7, [{"n": n}]), "more": True} for n in range(3)] + [
                    _cursor("nextBatch", 0, [])
                ]
            return [_cursor("nextBatch", 7 if command.get("batchSize") else 0, [{"from": self.name}])]
        return [{"ok": 1.0, "n": 1, "from": self.name}]

    def _hello(self) -> dict:
        primary = self.role == "primary"
        what = {"isWritablePrimary": primary, "secondary": self.role == "secondary", "setName": "rs"}
        mechanisms = {"saslSupportedMechs": [self._mechanism]} if self._password else {}
        return {**what, **mechanisms, "maxWireVersion": 25, "logicalSessionTimeoutMinutes": 30, "ok": 1.0}


class _Login:
    def __init__(self, mechanism: str, password: str) -> None:
        scram = ScramMechanism(mechanism)
        known = scram.make_auth_info(password, iteration_count=4096) if password else None
        self._server = scram.make_server(lambda _user: known)
        self.done = False

    def hear(self, command: dict) -> dict:
        words = bytes(command["payload"]).decode()
        try:
            if "saslStart" in command:
                self._server.set_client_first(words)
                said = self._server.get_server_first()
            else:
                self._server.set_client_final(words)
                said, self.done = self._server.get_server_final(), True
        except ScramException:
            return {"ok": 0.0, "code": 18, "errmsg": "Authentication failed."}
        return {"ok": 1.0, "conversationId": 1, "done": self.done, "payload": said.encode()}


def _cursor(batch: str, number: int, documents: list[dict]) -> dict:
    return {"cursor": {batch: documents, "id": bson.Int64(number), "ns": "test.things"}, "ok": 1.0}


def members(through: "Proxy") -> list[Member]:
    """The servers of all pools."""
    return [member for servers in through.service.upstreams.values() for member in servers.replicas.members]


def document(pools: Mapping[str, Sequence[int]], *, pool=NOTHING, **route) -> dict:
    """Pools by the database that they are for, `*` for all; ports of their servers. `route` is said of each route."""
    database = {"wait": "10s", "probe_interval": "0.2s", **pool}
    ways = [{"name": "list", "kind": "userlist", "file": "/users"}] if "authentication" in route else []
    extra = route.pop("database", {})
    names = {text: f"p{number}" for number, text in enumerate(pools)}
    return {
        "pools": [
            {
                "name": names[text],
                "protocol": "mongodb",
                "endpoints": [f"127.0.0.1:{port}" for port in ports],
                "database": database,
            }
            for text, ports in pools.items()
        ],
        "authentication": ways,
        "routes": [
            {
                "id": f"r-{names[text]}",
                "protocol": "mongodb",
                "backends": [{"pool": names[text]}],
                "database": {**({} if text == "*" else {"databases": [text]}), **extra},
                **route,
            }
            for text in pools
        ],
    }


class Proxy:
    def __init__(self, served: Served) -> None:
        self.service: MongoService = served.service
        self.port = served.port
        self.sessions = served.transports
        self.around = served.around

    def url(self, **options: object) -> str:
        words = "&".join(f"{name}={value}" for name, value in options.items())
        return f"mongodb://127.0.0.1:{self.port}/?{words}"


@asynccontextmanager
async def proxy(
    plan: DblbPlan, gate: Gate | None = None, limits: MongoLimits = QUICK, worker: tuple[int, int] = (0, 1)
) -> AsyncIterator[Proxy]:
    def change(around: Surroundings) -> None:
        around.gate = gate or around.gate
        around.worker, around.workers = worker

    async with serving(lambda around: MongoService(around, limits), plan, change=change) as served:
        yield Proxy(served)
