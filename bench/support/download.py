"""Download: how fast one connection brings a large file."""

import http.client
import time
from dataclasses import dataclass

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Download:
    """What arrived, headers not counted, and in what time."""

    received: int
    seconds: float

    @property
    def gbit_per_second(self) -> float:
        return self.received * 8 / self.seconds / 1e9


def download(host: str, port: int, path: str, *, seconds: float) -> Download:
    """Fetch the file again and again over one connection. Raises OSError, HTTPException, RuntimeError."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    buffer = bytearray(_CHUNK)
    try:
        connection.connect()
        started, received = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < seconds:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise RuntimeError(f"{path} on port {port}: {answer.status}")
            while count := answer.readinto(buffer):
                received += count
                if time.perf_counter() - started >= seconds:
                    return Download(received, time.perf_counter() - started)
        return Download(received, passed)
    finally:
        connection.close()
