"""A TCP port that answers: each connection is accepted and closed. `python -m bench.support.answering PORT`"""

import asyncio
import sys

import uvloop


async def _serve(port: int) -> None:
    def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
