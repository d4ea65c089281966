"""The same statements said to a MariaDB directly and through DBLB: whatever a client can tell is the same."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from itertools import zip_longest
from typing import Any

import pytest
import pytest_asyncio

from tests.real.dblb_rig import PASSWORD, dblb
from tests.real.support.databases import mariadb, run
from tests.real.support.my_statements import COMMANDS, CURSORS, EXCUSED, GROUND, PARAMETERS, SAID
from tests.real.support.my_telling import Teller, Told, telling

pytestmark = pytest.mark.asyncio(loop_scope="module")

POOLING = ("transaction", "session")
DATABASE = "same"
Say = Callable[[Teller], Told]


def _each(method: str, *said: tuple[Any, ...]) -> list[tuple[str, Say]]:
    def say(what: tuple[Any, ...]) -> Say:
        return lambda teller: getattr(teller, method)(*what)

    return [(str(what), say(what)) for what in said]


WAYS = {
    "text": _each("text", *((statement,) for statement in SAID)),
    "prepared": _each("prepared", *((statement,) for statement in SAID), *PARAMETERS),
    "cursors_and_commands": _each("fetched", *((statement,) for statement in CURSORS))
    + _each("command", *COMMANDS),
}
EXCUSED_TEXTS = {str(what) for what in EXCUSED}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    init = (
        f"alter user app@'127.0.0.1' identified by '{PASSWORD}';",
        "grant all on *.* to app@'127.0.0.1';",
        "create database other;",
    )
    async with mariadb("--character-set-server=utf8mb4", init=init) as port:
        yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=POOLING)
async def proxy(request, server, tmp_path_factory) -> AsyncIterator[int]:
    kinds = {request.param: {"pooling": request.param, "size": 4}}
    folder, endpoints = tmp_path_factory.mktemp("dblb"), [f"127.0.0.1:{server}"]
    # of one worker, so that neighbours share its connections
    async with dblb(folder, "mysql", endpoints, kinds, workers=1) as system:
        yield system.direct


@pytest.mark.parametrize("way", WAYS)
async def test_mariadb_answers_the_same(server, proxy, way):
    direct = await asyncio.to_thread(_answers, server, server, way)
    proxied = await asyncio.to_thread(_answers, server, proxy, way)
    said = [what for what, _ in WAYS[way]]
    differing = {
        each[0]: _difference(*each[1:])
        for each in zip(said, direct, proxied, strict=True)
        if each[1] != each[2]
    }
    wrong = {what: difference for what, difference in differing.items() if what not in EXCUSED_TEXTS}
    assert not wrong, f"{len(wrong)} of {len(said)} differ:\n" + "\n".join(map("\n".join, wrong.items()))
    held = (EXCUSED_TEXTS & set(said)) - set(differing)
    assert not held, f"they are the same: take their excuses away: {held}"


async def test_the_client_of_mariadb_shows_the_same(server, proxy):
    shown = []
    for port in (server, proxy):
        await asyncio.to_thread(_make_ground, server)
        shown.append((await _shown(port)).splitlines())
    differing = [pair for pair in zip_longest(*shown) if pair[0] != pair[1]]
    assert not differing, f"{len(differing)} lines differ, first: {differing[:3]}"
    assert len(shown[0]) > 10 * len(SAID)


async def _shown(port: int) -> bytes:
    """All that the client writes of the statements: rows, types and flags of columns, warnings, errors, affected rows."""
    options = ("--force", "--column-type-info", "--show-warnings", "-vv", "--default-character-set=utf8mb4")
    where = ("-h", "127.0.0.1", "-P", str(port), "-u", "app", f"-p{PASSWORD}", DATABASE)
    client = ("mariadb", "--no-defaults", *options, *where)
    # a line that is not ended would take the next one into it
    said = "\n".join(f"{line};" for line in SAID if line.count("'") % 2 == 0 and "--" not in line)
    # it cuts names in the middle of a character
    written = await run("sh", "-c", '"$@" 2>&1 | base64', "sh", *client, stdin=said.encode())
    return b64decode(written)


def _make_ground(server: int) -> None:
    with telling(server, PASSWORD, "other") as teller:
        for statement in GROUND.splitlines():
            refused = [packet for _, packet in teller.text(statement) if packet.startswith(b"\xff")]
            assert not refused, statement


def _answers(server: int, port: int, way: str) -> list[Told]:
    _make_ground(server)
    answers = []
    with telling(port, PASSWORD, DATABASE) as teller, telling(port, PASSWORD, DATABASE) as neighbour:
        neighbour.text("set time_zone = '+05:45'")
        for _, say in WAYS[way]:
            answers.append(say(teller))
            if teller.idle:
                neighbour.text("select 'next door'")
    return answers


def _difference(direct: Told, proxied: Told) -> str:
    first = next(pair for pair in zip_longest(direct, proxied) if pair[0] != pair[1])
    return f"    direct:  {repr(first[0])[:600]}\n    proxied: {repr(first[1])[:600]}"
