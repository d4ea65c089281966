"""Chromium without a screen, told what to do by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.real.support.process import start
from tests.real.support.waiting import until

_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0",
    "--autoplay-policy=no-user-gesture-required", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
)  # fmt: skip


class Page:
    """A page of its own."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session

    async def run(self, script: str) -> Any:
        """The value of a script's last expression, awaited if it is a promise; fails with what it throws."""
        parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
        found = await self._browser.ask("Runtime.evaluate", parameters, self._session)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")


class Browser:
    """A running Chromium."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}

    async def listen(self) -> None:
        """Hand answers to who asked."""
        async for text in self._line:
            message = json.loads(text)
            if (asked := self._asked.pop(message.get("id", 0), None)) is not None and not asked.done():
                asked.set_result(message)

    async def ask(self, method: str, parameters: dict[str, Any], session: str | None = None) -> Any:
        """The result of a method."""
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        told = {"id": number, "method": method, "params": parameters}
        await self._line.send(json.dumps(told | ({"sessionId": session} if session else {})))
        async with asyncio.timeout(30):
            found = await answer
        assert "result" in found, found
        return found["result"]

    async def page(self) -> Page:
        """A new, empty page."""
        target = await self.ask("Target.createTarget", {"url": "about:blank"})
        attach = {"targetId": target["targetId"], "flatten": True}
        return Page(self, (await self.ask("Target.attachToTarget", attach))["sessionId"])


@asynccontextmanager
async def chromium(directory: Path) -> AsyncIterator[Browser]:
    """A Chromium whose files are in `directory`; nothing of it is left afterwards."""
    profile = directory / "chromium"
    process = await start(["chromium", *_OPTIONS, f"--user-data-dir={profile}"], directory / "chromium.log")
    try:
        port_file = profile / "DevToolsActivePort"
        await until(lambda: port_file.exists() and port_file.read_text().count("\n") >= 1, within=60)
        port, path = port_file.read_text().splitlines()[:2]
        async with (
            connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as line,
            asyncio.TaskGroup() as group,
        ):
            browser = Browser(line)
            listening = group.create_task(browser.listen())
            yield browser
            await browser.ask("Browser.close", {})
            listening.cancel()
    finally:
        await process.end()
