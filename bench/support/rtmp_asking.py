"""Rounds of bench.rtmp: a load at one server, and the CPU that all of its processes took meanwhile."""

import json
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.support.dblb import Path3
from bench.support.processes import NotReady, python, run_seconds
from bench.support.rtmp_client import Joining
from bench.support.rtmp_film import Film, delays

_PATIENCE = 60.0
_ATTEMPTS = 4
_READ = 256 * 1024


@dataclass(frozen=True, slots=True)
class Scene:
    """How many publish and play, in how many kbit/s each."""

    publishers: int
    players: int
    rate: int

    @property
    def bitrate(self) -> float:
        """Gbit/s that go to players, or come where there are none."""
        return (self.players or self.publishers) * self.rate / 1e6


@dataclass(frozen=True, slots=True)
class Round:
    """`cpu`: cores that the server took. Seconds from a frame's sending until it had arrived. `late`: the load's own delay."""

    cpu: float
    p50: float
    p99: float
    late: float


def ask(path: Path3, scene: Scene, seconds: float) -> Round:
    """One round; again where not everything has come, as on a machine that had too much else to do. Raises RuntimeError."""
    for _ in range(_ATTEMPTS):
        found, came = _ask(path, scene, seconds)
        if came >= 0.9:
            return found
    raise RuntimeError(f"{path.name}: {came:.0%} of what was published came")


def _ask(path: Path3, scene: Scene, seconds: float) -> tuple[Round, float]:
    """A round, and the share of everything that has come."""
    words = {
        "port": path.port,
        "publishers": scene.publishers,
        "players": scene.players,
        "rate": scene.rate,
        "seconds": seconds,
    }
    options = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    with _load([str(word) for word in python("bench.support.rtmp_load", *options)]) as load:
        if load.stdout is None or load.stdin is None or load.stdout.readline() != "ready\n":
            raise RuntimeError(f"the load at {path.name} did not begin")
        before = run_seconds(path.pids)
        load.stdin.write("\n")
        load.stdin.flush()
        seen = json.loads(load.stdout.readline())
        cpu = (run_seconds(path.pids) - before) / seen["seconds"]
    expected = scene.players * scene.rate * 1000 / 8 * seen["seconds"]
    return Round(cpu, seen["p50"], seen["p99"], seen["late"]), seen["bytes"] / expected if expected else 1.0


def check_relayed(path: Path3, origin: int) -> None:
    """That what is published at a relay can be played at its origin. Raises NotReady."""
    film = Film(600)
    publisher = Joining(path.port, "live").publish("check")
    with publisher, Joining(origin, "live").play("check") as player:
        publisher.sendall(film.opening())
        for number in range(50):
            publisher.sendall(film.video(number))
            if select.select([player], [], [], 0.1)[0] and delays(player.recv(_READ)):
                return
    raise NotReady(f"nothing that is published at {path.name} comes to its origin")


@contextmanager
def _load(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    load = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield load
        load.wait(_PATIENCE)
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
        for pipe in (load.stdin, load.stdout):
            if pipe is not None:
                pipe.close()
