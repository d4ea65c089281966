"""A running system with its manager, and a Chromium that people look at it with."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.real.support.backends import Backend
from tests.real.support.manager import GOOD, Alone, visitor
from tests.real.support.system import System, running

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server",
)  # fmt: skip
_QUICK = {"heartbeat_interval": 0.4}
_WAIT = 30_000
expect.set_options(timeout=_WAIT)


@dataclass
class House:
    """The system, its manager, and the browser. `backends` are those of shop-v1 and shop-v2."""

    system: System
    manager: Alone
    browser: Browser
    backends: tuple[Backend, Backend]

    @property
    def url(self) -> str:
        return self.manager.url

    @asynccontextmanager
    async def person(self, name: str = "admin", **options: Any) -> AsyncIterator[Page]:
        """A page of somebody who has signed in; nothing may have gone wrong in it when the block ends."""
        async with self.stranger(**options) as page:
            await page.goto(f"{self.url}/sign-in")
            await fill_in(page, name, GOOD)
            await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
            yield page

    @asynccontextmanager
    async def stranger(self, **options: Any) -> AsyncIterator[Page]:
        """A page of somebody who is not known. Errors of scripts and of the policy on their sources are the test's."""
        context: BrowserContext = await self.browser.new_context(reduced_motion="reduce", **options)
        context.set_default_timeout(_WAIT)
        page = await context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _is_wrong(said.type, said.text) else None)
        try:
            yield page
        finally:
            await context.close()
        assert wrong == []

    async def add_user(self, name: str, role: str) -> None:
        """A user whose password is GOOD."""
        async with visitor(self.url) as admin:
            await admin.sign_in("admin", GOOD)
            made = await admin.http.post("/api/v1/users", json={"name": name, "role": role})
            assert made.is_success, made.text
        async with visitor(self.url) as somebody:
            given = made.json()["password"]
            await somebody.sign_in(name, given)
            changed = await somebody.change_password(given, GOOD)
            assert changed.is_success, changed.text


def _is_wrong(kind: str, text: str) -> bool:
    return kind == "error" and "Failed to load resource" not in text  # an answer of 401 is one


async def fill_in(page: Page, name: str, password: str) -> None:
    """Fill in the form of the door."""
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def type_yaml(page: Page, text: str) -> None:
    """Write into the editor, in place of what is there."""
    editor = page.locator(".cm-content")
    await editor.click()
    await page.keyboard.press("Control+a")
    await page.keyboard.insert_text(text)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """An NLB, an ALB, a manager beside them, two backends, and Chromium."""
    async with AsyncExitStack() as stack:
        backends = Backend("blue"), Backend("green")
        for backend in backends:
            await backend.start()
            stack.push_async_callback(backend.stop)
        alb = {**_QUICK, "metrics_interval": 0.5, "stats_window": 1}
        system = await stack.enter_async_context(
            running(folder, _state(backends), {"alb-1": "v1"}, _QUICK, alb)
        )
        manager = Alone(folder, nlbs=[f"127.0.0.1:{system.nlb.grpc}"])
        manager.file.write_text(
            yaml.safe_dump({**yaml.safe_load(manager.file.read_text()), **system.state()})
        )
        stack.push_async_callback(_end, manager)
        await manager.launch()
        driver = await stack.enter_async_context(async_playwright())
        browser = await driver.chromium.launch(executable_path="/usr/bin/chromium", args=list(_OPTIONS))
        stack.push_async_callback(browser.close)
        yield House(system, manager, browser, backends)


def _state(backends: tuple[Backend, Backend]) -> dict[str, Any]:
    blue, green = backends
    shares = [{"pool": "shop-v1", "weight": 100}, {"pool": "shop-v2", "weight": 0}]
    return {
        "routes": [{"id": "shop", "path": "/shop", "backends": shares}],
        "pools": [
            {"name": "shop-v1", "version": "v1", "endpoints": [blue.address]},
            {"name": "shop-v2", "version": "v2", "endpoints": [green.address]},
        ],
        "rate_limits": [{"id": "shop-limit", "target": "shop", "requests_per_second": 100_000}],
    }


async def _end(manager: Alone) -> None:
    if manager.process is not None:
        await manager.process.end()
