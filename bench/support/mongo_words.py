"""MongoDB's protocol in a benchmark: a server that answers everything at once, and clients that ask as fast as they are answered.

python -m bench.support.mongo_words serve PORT
python -m bench.support.mongo_words ask PORT CLIENTS SECONDS      # prints how many answers came, and in how many seconds
"""

import asyncio
import struct
import sys
import time
from typing import Any

import bson
import uvloop

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
_HELLO = {
    "isWritablePrimary": True,
    "helloOk": True,
    "maxWireVersion": 25,
    "minWireVersion": 0,
    "maxBsonObjectSize": 16 << 20,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "ok": 1.0,
}
_FOUND = {
    "cursor": {"firstBatch": [{"_id": 1, "word": "x" * 100}], "id": bson.Int64(0), "ns": "app.item"},
    "ok": 1.0,
}


def _message(document: dict[str, Any], number: int, answers: int = 0) -> bytes:
    body = b"\0\0\0\0\0" + bson.encode(document)
    return _HEADER.pack(16 + len(body), number, answers, _OP_MSG) + body


async def _serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            length, number, _, kind = _HEADER.unpack(await reader.readexactly(16))
            data = await reader.readexactly(length - 16)
            if kind != _OP_MSG:
                raise ConnectionError(f"opcode {kind}")
            word = data[10 : data.index(0, 10)]  # the name of the first element is the command
            writer.write(_message(_HELLO if word in {b"hello", b"ismaster"} else _FOUND, 0, number))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_serve_one, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


async def _ask_one(port: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = _message({"find": "item", "filter": {"_id": 1}, "$db": "app"}, 1)
    answers = 0
    while time.monotonic() < until:
        writer.write(asked)
        length, *_ = _HEADER.unpack(await reader.readexactly(16))
        data = await reader.readexactly(length - 16)
        if b"firstBatch" not in data:
            raise RuntimeError(f"another answer: {data!r}")
        answers += 1
    writer.close()
    return answers


async def _ask(port: int, clients: int, seconds: float) -> None:
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(_ask_one(port, started + seconds)) for _ in range(clients)]
    print(sum(one.result() for one in asking), time.monotonic() - started)


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[2:]]
    if sys.argv[1] == "serve":
        uvloop.run(_serve(int(numbers[0])))
    else:
        uvloop.run(_ask(int(numbers[0]), int(numbers[1]), numbers[2]))
