"""The load of bench.rtmp, as a process of its own: publishers at their own pace, and players that read and count.

It says `ready` when media flow, measures for so many seconds once a line has come, and says what it saw as JSON.
"""

import argparse
import heapq
import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

from bench.support.numbers import percentile
from bench.support.rtmp_client import Joining
from bench.support.rtmp_film import AUDIO_FPS, FPS, Film, delays

_READ = 512 * 1024
#: Players whose frames are timed; the others only read.
_TIMED = 8
_SETTLE_SECONDS = 0.5
#: A keyframe comes in this time: nginx-rtmp gives players no video before.
_KEYED_SECONDS = 2.2


@dataclass(slots=True)
class Load:
    """Who is connected, and what was seen."""

    film: Film
    publishers: list[tuple[socket.socket, bytearray]] = field(default_factory=list)
    received: int = 0
    delays: list[float] = field(default_factory=list)
    late: float = 0.0
    """The most that a frame was sent too late, in seconds: more than a few hundredths, and the load was short of CPU."""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _buffer: bytearray = field(default_factory=lambda: bytearray(_READ))
    _due: list[tuple[float, int, int, int]] = field(default_factory=list)
    """When, whose, at how many a second (which tells audio from video), and which frame."""

    def join(self, port: int, app: str, publishers: int, players: int) -> None:
        """Connect everybody; players are spread over the streams."""
        streams = max(publishers, 1)
        for number in range(publishers):
            publisher = Joining(port, app).publish(f"s{number}")
            self.publishers.append((publisher, bytearray(self.film.opening())))
            self._selector.register(publisher, selectors.EVENT_READ, -1)
            begins = time.monotonic() + number / publishers / FPS
            for rate in (FPS, AUDIO_FPS):
                heapq.heappush(self._due, (begins, number, rate, 0))
        self.run(0.2)
        for number in range(players):
            player = Joining(port, app).play(f"s{number % streams}")
            self._selector.register(player, selectors.EVENT_READ, number)
            self.run(0.0)

    def run(self, seconds: float) -> None:
        """Send what is due and read what comes."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            self._send(now)
            left = min(end, self._due[0][0] if self._due else end) - time.monotonic()
            for key, _ in self._selector.select(max(left, 0)):
                self._read(key)
            if time.monotonic() >= end:
                return

    def _send(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            due, number, rate, frame = heapq.heappop(self._due)
            self.late = max(self.late, now - due)
            publisher, waiting = self.publishers[number]
            waiting += self.film.video(frame) if rate == FPS else self.film.audio(frame)
            sent = publisher.send(waiting)
            del waiting[:sent]
            heapq.heappush(self._due, (due + 1 / rate, number, rate, frame + 1))

    def _read(self, key: selectors.SelectorKey) -> None:
        size = key.fileobj.recv_into(self._buffer)  # type: ignore[union-attr]
        if not size:
            raise ConnectionError("the server hung up")
        if key.data < 0:
            return
        self.received += size
        if key.data < _TIMED:
            self.delays += delays(memoryview(self._buffer)[:size])


def main() -> None:
    """Connect, wait, measure."""
    parser = argparse.ArgumentParser()
    for name in ("port", "publishers", "players", "rate"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    told = parser.parse_args()
    load = Load(Film(told.rate))
    load.join(told.port, "live", told.publishers, told.players)
    load.run(_KEYED_SECONDS if told.players else _SETTLE_SECONDS)
    print("ready", flush=True)
    sys.stdin.readline()
    load.received, load.late = 0, 0.0
    load.delays.clear()
    began, used = time.monotonic(), time.process_time()
    load.run(told.seconds)
    took = time.monotonic() - began
    seen = {
        "seconds": took,
        "bytes": load.received,
        "late": load.late,
        "cpu": (time.process_time() - used) / took,
        "p50": percentile(load.delays, 50) if load.delays else 0.0,
        "p99": percentile(load.delays, 99) if load.delays else 0.0,
        "frames": len(load.delays),
    }
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
