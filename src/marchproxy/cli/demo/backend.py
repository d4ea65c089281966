"""A small HTTP server, run as `python -m marchproxy.cli.demo.backend`: answers every request with its version.

`/healthz` is for health checks; `/slow` answers after a second.
"""

import argparse
import asyncio
import json
from typing import cast

import httptools

from marchproxy.cli.leash import end_with

_SLOW_SECONDS = 1.0


class Backend(asyncio.Protocol):
    """One connection; requests on it are answered in order."""

    def __init__(self, version: str, name: str) -> None:
        body = json.dumps({"version": version, "backend": name}).encode() + b"\n"
        self._answer = (
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-version: {version}\r\n"
            f"x-backend: {name}\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._path = b""

    def on_url(self, url: bytes) -> None:
        """Take in the request's path, which may come in pieces."""
        self._path += url

    def on_message_complete(self) -> None:
        """Answer the request."""
        if self._path.startswith(b"/slow"):
            asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._write)
        else:
            self._write()

    def _write(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._answer)


async def serve(version: str, name: str, port: int) -> None:
    """Serve on the loopback until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Backend(version, name), "127.0.0.1", port)
    await server.serve_forever()


def _main() -> None:
    import uvloop  # noqa: PLC0415 - only the process that serves needs it

    parser = argparse.ArgumentParser()
    parser.add_argument("--version", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--leash", required=True, type=int)
    options = parser.parse_args()
    end_with(options.leash)
    uvloop.run(serve(options.version, options.name, options.port))


if __name__ == "__main__":
    _main()
