"""Chapters: each does something to the running system, measures it from outside, and makes its claims."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from marchproxy.cli.demo.claims import (
    Allowance,
    Claim,
    limit_holds,
    no_failures,
    rest_is_refused,
    split_follows,
)
from marchproxy.cli.demo.config import ROUTE
from marchproxy.cli.demo.load import Bounds, LoadResult, run_load
from marchproxy.cli.demo.world import World
from marchproxy.contract.fleet.client import CallFailed
from marchproxy.contract.fleet.explaining import Explanation, find_out, read_question
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.settings import HostPort

LIMIT = Allowance(rate=200, burst=50)
_LIMIT_ID = "demo"
_GREETING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Chapter:
    """What happened, for the story and for --json."""

    title: str
    told: str
    claims: tuple[Claim, ...]
    load: LoadResult | None = None
    shows_split: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    explanation: Explanation | None = None


async def first_light(world: World) -> Chapter:
    """Start everything, and send the first requests."""
    seconds = await world.start()
    load = await run_load(world.config.web, Bounds(requests=5_000))
    return Chapter(
        title="First light",
        told=f"NLB, ALB and four backends (two of v1, two of v2) are up after {seconds:.1f} s; "
        f"http://{world.config.web}/ leads through the NLB and the ALB to them.",
        claims=(no_failures(load), split_follows(load, "v1", 100)),
        load=load,
        shows_split=True,
    )


async def canary(world: World, percent: int, requests: int) -> Chapter:
    """Shift a share of the traffic to v2."""
    request = module_pb2.SetTrafficWeightRequest(version="v2", weight=percent, route_id=ROUTE)
    address = await _alb(world)
    answer = await world.client.module(
        address, lambda stub, left: stub.SetTrafficWeight(request, timeout=left)
    )
    _expect(answer.success, answer.error)
    load = await run_load(world.config.web, Bounds(requests=requests))
    return Chapter(
        title=f"A canary: {percent} % to v2",
        told="One SetTrafficWeight call, answered once Envoy had taken it up; the next request goes by it.",
        claims=(no_failures(load), split_follows(load, "v2", percent)),
        load=load,
        shows_split=True,
    )


async def lost_backend(world: World) -> Chapter:
    """Kill a backend while requests are under way."""
    victim = world.config.backends[0].name
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(run_load(world.config.web, Bounds(seconds=3.0)))
        await asyncio.sleep(1.0)
        pid = world.kill_backend(victim)
    load = loading.result()
    return Chapter(
        title="A backend dies",
        told=f"{victim} (pid {pid}) was killed with SIGKILL in the middle of the load. Requests that it had were "
        "tried again elsewhere, then health checks took it out.",
        claims=(no_failures(load),),
        load=load,
    )


async def rate_limit(world: World) -> Chapter:
    """Limit the route, and press on."""
    address = await _alb(world)
    limit = types_pb2.RateLimit(
        limit_id=_LIMIT_ID,
        target=ROUTE,
        requests_per_second=LIMIT.rate,
        burst_size=LIMIT.burst,
        enabled=True,
    )
    request = module_pb2.SetRateLimitRequest(limit=limit)
    answer = await world.client.module(address, lambda stub, left: stub.SetRateLimit(request, timeout=left))
    _expect(answer.success, answer.error)
    load = await run_load(world.config.web, Bounds(seconds=3.0), connections=4)
    return Chapter(
        title="A rate limit",
        told=f"{LIMIT.rate} requests/s on the route, {LIMIT.burst} at once, and many times as much demand.",
        claims=(no_failures(load), limit_holds(load, LIMIT), rest_is_refused(load)),
        load=load,
        headers={
            name: value
            for name, value in load.last_refusal.items()
            if name.startswith("x-ratelimit") or name == "retry-after"
        },
    )


async def limit_lifted(world: World) -> Chapter:
    """Take the limit away."""
    address = await _alb(world)
    request = module_pb2.RemoveRateLimitRequest(limit_id=_LIMIT_ID)
    answer = await world.client.module(
        address, lambda stub, left: stub.RemoveRateLimit(request, timeout=left)
    )
    _expect(answer.success, answer.error)
    load = await run_load(world.config.web, Bounds(requests=2_000))
    passed = load.statuses.get(200, 0)
    claim = Claim("every request passes again", holds=passed == 2_000, measured=f"{passed:,} of 2,000")
    return Chapter("The limit is lifted", "One RemoveRateLimit call.", (claim,), load=load)


async def secured(world: World) -> Chapter:
    """Ask over TLS, which passes through the NLB."""
    spoken = await _greet(world.config.secure, world.certificate)
    tls = ssl.create_default_context(cafile=str(world.certificate))
    load = await run_load(world.config.secure, Bounds(requests=5_000), tls=tls)
    return Chapter(
        title="HTTPS",
        told=f"https://{world.config.secure}/ is a listener that passes TLS through to the ALB, which shows a certificate "
        "of its own making. In production files take its place, and are watched.",
        claims=(
            no_failures(load),
            Claim("a client that can gets HTTP/2", holds=spoken.endswith("h2"), measured=spoken),
        ),
        load=load,
    )


async def explained(world: World) -> Chapter:
    """Ask where a request would go, and see that it is so."""
    url = f"http://{world.config.web}/cart"
    found = await find_out(world.client, read_question(url, "GET", ()))
    route = found.module.route.route_id if found.module is not None and found.module.route else "none"
    claim = Claim(
        "the explanation leads to the route that served",
        holds=found.served and route == ROUTE,
        measured=f"{found.nlb.target_instance_id}, route {route}",
    )
    told = f"marchproxy explain {url} answers from the plan that traffic follows."
    return Chapter("Where does a request go, and why?", told, (claim,), explanation=found)


async def drained(world: World) -> Chapter:
    """Stop everything while a slow request is under way."""
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(run_load(world.config.web, Bounds(requests=1), path="/slow", connections=1))
        await asyncio.sleep(0.3)
        code, seconds = await world.drain()
    load = slow.result()
    completed = load.statuses.get(200, 0) == 1
    return Chapter(
        title="Drained",
        told="Ctrl-C came 0.3 s into a request that takes a second.",
        claims=(
            Claim("the request under way was answered", holds=completed, measured=_outcome(load)),
            Claim(
                "everything stopped by itself", holds=code == 0, measured=f"exit code {code}, {seconds:.1f} s"
            ),
        ),
    )


async def _greet(address: HostPort, certificate: Path) -> str:
    """What TLS and what HTTP a client that knows HTTP/2 is given. Raises CallFailed."""
    tls = ssl.create_default_context(cafile=str(certificate))
    tls.set_alpn_protocols(["h2", "http/1.1"])
    try:
        async with asyncio.timeout(_GREETING_SECONDS):
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
    except (OSError, TimeoutError) as error:
        raise CallFailed(f"no TLS at {address}: {error or 'no answer'}") from error
    session: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return f"{session.version()}, {session.selected_alpn_protocol()}"


def _outcome(load: LoadResult) -> str:
    statuses = [f"status {status}" for status in load.statuses]
    return ", ".join([*statuses, *load.broken]) or "nothing"


async def _alb(world: World) -> str:
    """The gRPC address of the ALB, as the NLB knows it."""
    instances = await world.client.instances(types_pb2.MODULE_TYPE_ALB)
    if not instances:
        raise CallFailed("no ALB is registered with the NLB")
    return instances[0].address


def _expect(success: bool, error: types_pb2.Error) -> None:
    if not success:
        raise CallFailed(error.message)
