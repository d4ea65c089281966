"""A manager as people run it, and somebody who signs in."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.real.support.process import Started, start
from tests.real.support.up import MARCHPROXY
from tests.real.support.waiting import until

GOOD = "correct horse battery"


class Visitor:
    """A browser as far as HTTP goes: it keeps cookies, and sends the CSRF token of its session."""

    def __init__(self, url: str, **options: Any) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=20.0, trust_env=False, **options)

    async def sign_in(self, name: str, password: str) -> httpx.Response:
        answer = await self.http.post("/api/v1/session", json={"name": name, "password": password})
        self._take(answer)
        return answer

    async def change_password(self, old: str, new: str) -> httpx.Response:
        answer = await self.http.post("/api/v1/session/password", json={"old": old, "new": new})
        self._take(answer)
        return answer

    def _take(self, answer: httpx.Response) -> None:
        if answer.is_success:
            self.http.headers["x-csrf-token"] = answer.json()["csrf"]


@asynccontextmanager
async def visitor(url: str, **options: Any) -> AsyncIterator[Visitor]:
    found = Visitor(url, **options)
    async with found.http:
        yield found


class Alone:
    """`marchproxy manager` by itself: no NLB, a database in a file."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.port, metrics = free_port(), free_port()
        self.home = folder / "state" / "manager-1"
        section = {
            "http": f"127.0.0.1:{self.port}",
            "metrics": f"127.0.0.1:{metrics}",
            "state_dir": str(folder / "state"),
            **settings,
        }
        self.ready_at = f"http://127.0.0.1:{metrics}/readyz"
        self.url = f"{'https' if 'tls' in settings else 'http'}://127.0.0.1:{self.port}"
        self.file = folder / "manager.yaml"
        self.file.write_text(json.dumps({"manager": section}))
        self.process: Started | None = None

    async def launch(self) -> Started:
        command = (*MARCHPROXY, "manager", "--config", str(self.file))
        self.process = await start(command, self.folder / "manager.log")
        await until(self._ready, within=60.0)
        return self.process

    @property
    def initial_password(self) -> str:
        return (self.home / "initial-password").read_text().strip()

    async def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.running, self.process.log.read_text()
        with suppress(httpx.TransportError):
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(self.ready_at)).status_code == 200
        return False


@asynccontextmanager
async def manager_alone(folder: Path, **settings: Any) -> AsyncIterator[Alone]:
    alone = Alone(folder, **settings)
    try:
        await alone.launch()
        yield alone
    finally:
        if alone.process is not None:
            await alone.process.end()


async def contents(folder: Path) -> bytes:
    """Everything that is kept in files below a folder."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(await asyncio.to_thread(lambda: [path.read_bytes() for path in found]))
