"""bench.manager: what the manager's API and pages cost at 10,000 routes, and the memory they take.

Changes go through a real NLB; lists stand beside a bare FastAPI that answers the same bytes.
"""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import aiohttp
import orjson
import uvloop
from rich.table import Table

from bench.support.documents import catalogue, route_id
from bench.support.manager import RunningManager, fetch, running_manager, sign_in
from bench.support.marchproxy import running_nlb
from bench.support.numbers import paired_ratio, percentile
from bench.support.ports import free_ports
from bench.support.processes import NotReady, child, python, resident_mb, wait_for_http
from bench.support.report import Report, load_note
from bench.support.stage import run

_ROUTES = 10_000
_PAGE = 100
_SETTLE_SECONDS = 120.0
_TARGETS = {
    "list_p99_ms_10000": 10.0,
    "list_all_p99_ms_10000": 100.0,
    "apply_p99_ms_10000": 250.0,
    "page_p99_ms": 300.0,
    "rss_mb": 500.0,
}
#: Keys that are not named for the number of routes.
_AS_IT_IS = {"page_p50_ms", "page_p99_ms"}


class _Asking:
    """The questions that are timed, of one manager; each answers milliseconds."""

    def __init__(self, manager: RunningManager, session: aiohttp.ClientSession) -> None:
        self._url, self._session = manager.url, session
        self._key = {"authorization": f"Bearer {manager.key}"}
        self._numbers = itertools.count(1)
        self._cursor = ""

    async def page_of_list(self) -> float:
        """The next page, as a client that walks through all of them has it."""
        took, body = await self._list(limit=str(_PAGE), cursor=self._cursor)
        self._cursor = orjson.loads(body)["next"]
        return took

    async def whole_list(self) -> float:
        return (await self._list(limit=str(_ROUTES)))[0]

    async def change(self) -> float:
        """One route, until every part has taken it and the database holds it."""
        number = next(self._numbers)
        name = route_id(number % _ROUTES)
        route = {
            "path": f"/api/{number % _ROUTES}",
            "timeout": f"{1 + number % 50}s",
            "backends": ["service-0-v1"],
        }
        url = f"{self._url}/api/v1/routes/{name}"
        return (await fetch(self._session, "PUT", url, json=route, headers=self._key))[0]

    async def page(self) -> float:
        """The list of routes in a browser: the first answer, by the session's cookie."""
        return (await fetch(self._session, "GET", f"{self._url}/routes"))[0]

    async def whole_body(self) -> bytes:
        """What the whole list answers."""
        return (await self._list(limit=str(_ROUTES)))[1]

    async def settled(self) -> None:
        """Wait until everybody that is managed has the first revision."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline:
            _, body = await fetch(self._session, "GET", f"{self._url}/api/v1/live", headers=self._key)
            nlbs = orjson.loads(body)["nlbs"]
            if nlbs and all(nlb["is_current"] for nlb in nlbs):
                return
            await asyncio.sleep(0.2)
        raise NotReady("the NLB does not come to have what the manager has")

    async def _list(self, **query: str) -> tuple[float, bytes]:
        url = f"{self._url}/api/v1/routes"
        return await fetch(self._session, "GET", url, params=query, headers=self._key)


async def _times(ask: Callable[[], Awaitable[float]], count: int) -> list[float]:
    return [await ask() for _ in range(count)]


async def _play(
    managed: RunningManager, alone: RunningManager, directory: Path, *, quick: bool
) -> tuple[dict[str, float], dict[str, float]]:
    rounds: dict[str, list[list[float]]] = defaultdict(list)
    async with _visitor() as session, _visitor() as lonely, _visitor() as plain:
        await sign_in(session, managed)
        asking, by_itself = _Asking(managed, session), _Asking(alone, lonely)
        await asking.settled()
        (port,) = free_ports(1)
        (directory / "same.json").write_bytes(await asking.whole_body())
        command = python("bench.support.bare_fastapi", str(port), directory / "same.json")
        with child("bare", command, directory) as bare:
            url = f"http://127.0.0.1:{port}/"
            wait_for_http(url, bare, directory / "bare.log")

            async def same_bytes() -> float:
                return (await fetch(plain, "GET", url))[0]

            plan = (
                ("list", asking.page_of_list, 100),
                ("list_all", asking.whole_list, 20),
                ("bare", same_bytes, 20),
                ("apply", asking.change, 30),
                ("apply_alone", by_itself.change, 30),
                ("page", asking.page, 20),
            )
            for _, ask, _ in plan:
                await _times(ask, 2)
            for _ in range(2 if quick else 7):
                for name, ask, count in plan:
                    rounds[name].append(await _times(ask, count))
    figures = {
        f"{name}_p{percent}_ms": median(percentile(times, percent) for times in rounds[name])
        for name in rounds
        for percent in (50, 99)
    }
    middle = {name: [median(times) for times in rounds[name]] for name in rounds}
    return figures, {"list_all_vs_bare_fastapi": paired_ratio(middle["list_all"], middle["bare"])}


def _visitor() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))  # of an address, not of a name


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    state = catalogue(_ROUTES)
    with ExitStack() as stack:
        nlb = stack.enter_context(running_nlb("nlb", {}, directory))
        managed = stack.enter_context(running_manager("managed", state, directory, nlb=nlb.grpc))
        alone = stack.enter_context(running_manager("alone", state, directory))
        timed, ratios = uvloop.run(_play(managed, alone, directory, quick=quick))
        figures = {key if key in _AS_IT_IS else f"{key}_{_ROUTES}": value for key, value in timed.items()}
        figures["rss_mb"] = resident_mb(managed.process.pid)
    return Report("manager", _table(figures), ratios, figures, load_note())


def _table(figures: Mapping[str, float]) -> Table:
    table = Table(title=f"Manager, {_ROUTES:,} routes; a page of a list has {_PAGE}")
    table.add_column("figure")
    table.add_column("median round", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    for name in sorted(figures):
        target = _TARGETS.get(name)
        limit = "" if target is None else f"≤ {target:g}"
        verdict = "" if target is None else "[green]met[/]" if figures[name] <= target else "[red]missed[/]"
        table.add_row(name, f"{figures[name]:,.2f}", limit, verdict)
    return table


if __name__ == "__main__":
    run("manager", __doc__ or "", _measure)
