"""bench.plan: 10,000 routes and 500 instances, from the NLB's state to a real kernel's rules, and to a real Envoy."""

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry
from rich.table import Table

from bench.support import estate
from bench.support.numbers import percentile
from bench.support.ports import free_ports
from bench.support.processes import child, python, resident_mb
from bench.support.report import Report, load_note
from bench.support.stage import run
from marchproxy.kit import logs
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.listener import DataPlaneKind
from marchproxy.model.module import HealthStatus, ModuleInstance
from marchproxy.model.plan import Verdict
from marchproxy.model.route import Route
from marchproxy.nlb.dataplane.host import HostPlanes
from marchproxy.nlb.dataplane.plane import Forwarding
from marchproxy.nlb.service.core import Core, Surroundings
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.memory import Saver
from marchproxy.nlb.settings import NlbEnvoy, NlbSettings
from marchproxy.nlb.state.registry import Beat, Patience
from marchproxy.nlb.state.table import OPERATOR, TableUpdate

_CLONE_NEWNET = 0x40000000
_SETTLED_SECONDS = 30.0
_FIRST_PORT = 9001
_WARM_UP = 50
_WORDS = {
    "compile_s": "cold: state compiled and in force, s",
    "register_ms": "an instance registers, ms",
    "change_ms": "an instance leaves or returns, in force, ms (p50)",
    "change_p99_ms": "… p99",
    "change_cpu_ms": "… CPU of all of it, ms",
    "route_change_ms": "a route changes, ms (p50)",
    "route_change_p99_ms": "… p99",
    "rss_growth_mb": "memory grown over the changes, MiB",
    "rss_mb": "memory in the end, MiB",
}


class _Agreeing:
    """Modules that say yes at once."""

    async def can_handle(self, address: str, route: Route, *, timeout: float) -> Verdict:  # noqa: ARG002
        return Verdict(can_handle=True)

    async def health(self, address: str, *, deep: bool, timeout: float) -> tuple[HealthStatus, str]:  # noqa: ARG002
        return HealthStatus.HEALTHY, ""

    async def scale(self, address: str, count: int, *, timeout: float) -> tuple[bool, str, int, int]:  # noqa: ARG002
        return True, "", count, count

    async def forget(self, address: str) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class _Estate:
    """A core with everything in force, and how long that took in seconds."""

    core: Core
    compile_s: float
    members: tuple[ModuleInstance, ...]


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    if os.geteuid() != 0:
        sys.exit("bench.plan: sets rules in a network namespace, so it must be run as root")
    _leave_for_a_namespace()
    logs.configure(level="error", json=True)
    with child("instances", python("bench.support.answering", str(estate.TRAFFIC_PORT)), directory):
        kernel = uvloop.run(_one_plane(DataPlaneKind.KERNEL, directory, changes=1000))
        envoy = uvloop.run(_one_plane(DataPlaneKind.ENVOY, directory, changes=100 if quick else 1000))
    figures = kernel | {f"envoy_{key}": value for key, value in envoy.items()}
    return Report("plan", _table(kernel, envoy), {}, figures, load_note())


def _leave_for_a_namespace() -> None:
    """A network namespace of this process's own, which ends with it and where every instance's address answers."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    for command in (
        "ip link set lo up",
        f"ip route add local {estate.NETWORK} dev lo",
        "sysctl -q -w net.ipv4.ip_forward=1",
    ):
        subprocess.run(command.split(), check=True, timeout=20)


async def _one_plane(plane: DataPlaneKind, directory: Path, *, changes: int) -> dict[str, float]:
    """Every figure of one data plane; `changes`: three of instances to seven of routes."""
    async with _in_force(plane, directory / plane.value) as found:
        core = found.core
        started = time.perf_counter()
        registered = [core.register(instance, ()) for instance in found.members]
        register_ms = (time.perf_counter() - started) / len(registered) * 1000
        await _settled(core)
        beats = [(member.instance.instance_id, member.registration_id) for member in registered]
        turn = count()

        async def change_instance() -> None:
            lap, position = divmod(next(turn), len(beats))
            health = HealthStatus.HEALTHY if lap % 2 else HealthStatus.UNHEALTHY
            core.heartbeat(Beat(*beats[position], health))
            await _settled(core)

        async def change_route() -> None:
            number = next(turn)
            changed = estate.route(number % estate.ROUTES, timeout=20.0 + number)
            core.update_routing(TableUpdate(OPERATOR, (changed,)))
            await _settled(core)

        for step in (change_instance, change_route):
            await _times(step, _WARM_UP)
        before = _memory()
        used = _cpu_seconds()
        instance_ms = await _times(change_instance, changes * 3 // 10)
        change_cpu_ms = (_cpu_seconds() - used) / len(instance_ms) * 1000
        route_ms = await _times(change_route, changes * 7 // 10)
        after = _memory()
    return {
        "compile_s": found.compile_s,
        "register_ms": register_ms,
        "change_ms": percentile(instance_ms, 50),
        "change_p99_ms": percentile(instance_ms, 99),
        "change_cpu_ms": change_cpu_ms,
        "route_change_ms": percentile(route_ms, 50),
        "route_change_p99_ms": percentile(route_ms, 99),
        "rss_growth_mb": after - before,
        "rss_mb": after,
    }


@asynccontextmanager
async def _in_force(plane: DataPlaneKind, directory: Path) -> AsyncIterator[_Estate]:
    """A core as after a restart: the instances are remembered, the data plane is empty."""
    (admin,) = free_ports(1)
    settings = NlbSettings(
        id="bench", state_dir=directory, envoy=NlbEnvoy(admin=HostPort("127.0.0.1", admin)), drain_seconds=0
    )
    settings.directory().mkdir(parents=True)
    clock = SystemClock()
    state = estate.desired(plane, _FIRST_PORT)
    saved = estate.remembered(state, clock.monotonic())
    planes = HostPlanes(settings, clock=clock)
    saver = Saver(settings.directory())
    gauges = NlbGauges(CollectorRegistry())
    around = Surroundings(planes, _Agreeing(), saver, gauges, clock, Patience(interval=3600.0))
    await planes.probe()
    async with planes.running():
        await planes.apply(Forwarding())  # Envoy becomes ready with its first plan
        await planes.envoy.process.wait_ready(10.0)
        started = time.perf_counter()
        core = Core(around, saved, state)
        core.check(state)
        saver.take = core.saved
        await core.applier.apply_wanted()
        compile_s = time.perf_counter() - started
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(loop.run()) for loop in (core.applier, core.questions, saver)]
            yield _Estate(core, compile_s, tuple(estate.instances()))
            for loop in loops:
                loop.cancel()
        await planes.drain(0)


async def _settled(core: Core) -> None:
    if not await core.applier.settled(_SETTLED_SECONDS):
        raise RuntimeError(f"not in force after {_SETTLED_SECONDS:.0f} s: {core.applier.fault}")


async def _times(step: Callable[[], Awaitable[None]], times: int) -> list[float]:
    """Milliseconds of each."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        await step()
        found.append((time.perf_counter() - started) * 1000)
    return found


def _cpu_seconds() -> float:
    """Of this process, its threads, and the tools it has run; not of Envoy."""
    return sum(os.times()[:4])


def _memory() -> float:
    gc.collect()
    return resident_mb(os.getpid())


def _table(kernel: Mapping[str, float], envoy: Mapping[str, float]) -> Table:
    table = Table(title=f"{estate.ROUTES:,} routes, {estate.INSTANCES} instances, 8 listeners")
    table.add_column("")
    for name in ("kernel", "Envoy"):
        table.add_column(name, justify="right")
    for key, words in _WORDS.items():
        table.add_row(words, f"{kernel[key]:.2f}", f"{envoy[key]:.2f}")
    return table


if __name__ == "__main__":
    run("plan", __doc__ or "", _measure, needs=("conntrack", "ip", "nft"))
