"""`marchproxy get`: modules, routes, listeners, limits, scaling decisions, stats, pools, backends, streams of a running system."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message
from rich.console import Console

from marchproxy.cli.look import sheets
from marchproxy.cli.look.latencies import by_name
from marchproxy.cli.look.pools import pools
from marchproxy.cli.look.rollouts import rollouts
from marchproxy.cli.look.streams import streams
from marchproxy.cli.look.subject import Subject
from marchproxy.cli.screen import Sheet, stdout
from marchproxy.contract.fleet.client import CallFailed, Client, connected
from marchproxy.contract.fleet.messages import as_data
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, for people and for programs."""

    sheet: Sheet
    data: Mapping[str, Any]
    silent: Mapping[str, str]


async def look(client: Client, subject: Subject) -> Answer:
    """Ask the NLB, and for some subjects every module. Raises CallFailed when the NLB does not answer."""
    return await _LOOKS[subject](client)


async def show(nlb: str, subject: Subject, *, as_json: bool, every: float | None) -> None:
    """Print what is asked for; with `every`, again after so many seconds until cancelled. Raises CallFailed."""
    console = stdout()
    async with connected(nlb) as client:
        _print(console, await look(client, subject), as_json=as_json)
        while every is not None:
            await asyncio.sleep(every)
            answer = await look(client, subject)
            if console.is_terminal and not as_json:
                console.clear()
            _print(console, answer, as_json=as_json)


def _print(console: Console, answer: Answer, *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=answer.data, indent=2 if console.is_terminal else None)
        return
    console.print(answer.sheet.rendered())
    for instance, why in answer.silent.items():
        console.print(f"[yellow]{instance} did not answer: {why}[/]")


async def _modules(client: Client) -> Answer:
    request = nlb_pb2.ListModulesRequest()
    listed = await client.nlb(lambda stub, left: stub.ListModules(request, timeout=left))
    return Answer(sheets.modules(listed, time.time()), as_data(listed), {})


async def _routes(client: Client) -> Answer:
    request = nlb_pb2.GetRoutingTableRequest()
    table = await client.nlb(lambda stub, left: stub.GetRoutingTable(request, timeout=left))
    found, silent = await _ask_all(client, _stats)
    counted = {name: answer.routes for name, answer in found.items()}
    data = {**as_data(table), "stats": {name: _each(routes) for name, routes in counted.items()}}
    return Answer(sheets.routes(table, by_name(counted)), {**data, "silent": silent}, silent)


def _each(found: Mapping[str, Message]) -> dict[str, Any]:
    return {name: as_data(message) for name, message in sorted(found.items())}


async def _pools(client: Client) -> Answer:
    backends, silent = await _ask_all(client, _backends)
    found, silent_too = await _ask_all(client, _stats)
    stats = {name: answer.pools for name, answer in found.items()}
    data = {
        "instances": {
            name: {"pools": as_data(answer)["pools"], "stats": _each(stats.get(name, {}))}
            for name, answer in backends.items()
        },
        "silent": {**silent_too, **silent},
    }
    return Answer(pools(backends, stats), data, {**silent_too, **silent})


async def _status(client: Client) -> nlb_pb2.GetNLBStatusResponse:
    request = nlb_pb2.GetNLBStatusRequest()
    return await client.nlb(lambda stub, left: stub.GetNLBStatus(request, timeout=left))


async def _listeners(client: Client) -> Answer:
    status = await _status(client)
    return Answer(sheets.listeners(status), as_data(status), {})


async def _scaling(client: Client) -> Answer:
    status = await _status(client)
    return Answer(sheets.scaling(status), {"scaling": as_data(status)["scaling"]}, {})


async def _from_modules(
    client: Client,
    ask: Callable[[Client, str], Awaitable[M]],
    sheet: Callable[[Mapping[str, M]], Sheet],
) -> Answer:
    found, silent = await _ask_all(client, ask)
    data = {
        "instances": {name: as_data(answer) for name, answer in found.items()},
        "silent": silent,
    }
    return Answer(sheet(found), data, silent)


async def _ask_all(
    client: Client, ask: Callable[[Client, str], Awaitable[M]]
) -> tuple[dict[str, M], dict[str, str]]:
    """What each instance answers, and why others did not."""
    found: dict[str, M] = {}
    silent: dict[str, str] = {}
    for instance in await client.instances():
        try:
            found[instance.instance_id] = await ask(client, instance.address)
        except CallFailed as error:
            silent[instance.instance_id] = str(error)
    return found, silent


async def _limits(client: Client) -> Answer:
    status = await _status(client)
    found, silent = await _ask_all(client, _rate_limits)
    data = {
        "nlb": as_data(status)["rate_limits"],
        "instances": {name: as_data(answer)["limits"] for name, answer in found.items()},
        "divided_by": {name: answer.instances_of_type for name, answer in found.items()},
        "silent": silent,
    }
    return Answer(sheets.limits(status, found), data, silent)


async def _rate_limits(client: Client, address: str) -> module_pb2.GetRateLimitsResponse:
    request = module_pb2.GetRateLimitsRequest()
    return await client.module(address, lambda stub, left: stub.GetRateLimits(request, timeout=left))


async def _rollouts(client: Client) -> Answer:
    request = module_pb2.GetActiveVersionRequest()
    own = await client.nlb_versions(lambda stub, left: stub.GetActiveVersion(request, timeout=left))
    found, silent = await _ask_all(client, _versions)
    data = {
        "nlb": as_data(own),
        "instances": {name: as_data(answer) for name, answer in found.items()},
        "silent": silent,
    }
    return Answer(rollouts({"nlb": own, **found}), data, silent)


async def _versions(client: Client, address: str) -> module_pb2.GetActiveVersionResponse:
    request = module_pb2.GetActiveVersionRequest()
    return await client.module(address, lambda stub, left: stub.GetActiveVersion(request, timeout=left))


async def _stats(client: Client, address: str) -> module_pb2.GetStatsResponse:
    request = module_pb2.GetStatsRequest()
    return await client.module(address, lambda stub, left: stub.GetStats(request, timeout=left))


async def _streams(client: Client, address: str) -> module_pb2.GetRoutesResponse:
    one = types_pb2.Query(pagination=types_pb2.Pagination(page=1, page_size=1))  # routes are not shown
    request = module_pb2.GetRoutesRequest(query=one)
    return await client.module(address, lambda stub, left: stub.GetRoutes(request, timeout=left))


async def _backends(client: Client, address: str) -> module_pb2.GetBackendsResponse:
    request = module_pb2.GetBackendsRequest()
    return await client.module(address, lambda stub, left: stub.GetBackends(request, timeout=left))


_LOOKS: Mapping[Subject, Callable[[Client], Awaitable[Answer]]] = {
    Subject.modules: _modules,
    Subject.routes: _routes,
    Subject.listeners: _listeners,
    Subject.limits: _limits,
    Subject.scaling: _scaling,
    Subject.rollouts: _rollouts,
    Subject.stats: lambda client: _from_modules(client, _stats, sheets.stats),
    Subject.pools: _pools,
    Subject.backends: lambda client: _from_modules(client, _backends, sheets.backends),
    Subject.streams: lambda client: _from_modules(client, _streams, streams),
}
