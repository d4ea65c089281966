"""The live screen: looks at a manager once a second, and does what keys say."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from marchproxy.cli.managed.asked import Asked
from marchproxy.cli.managed.client import Api, NotAccepted, Unreachable
from marchproxy.cli.managed.running import run_api
from marchproxy.cli.managed.top.frame import Scene, last_first, lines, rows_of, screen
from marchproxy.cli.managed.top.keyboard import Key, keys
from marchproxy.cli.screen import stdout

_LOOK_SECONDS = 1.0
_PAGES = {Key.LEFT: -1, Key.RIGHT: 1}
_NOT_MODIFIED = 304


def show_top(asked: Asked, *, once: bool) -> None:
    """The live screen until q; one frame with `once`, or where there is no terminal. Raises typer.Exit."""
    console = stdout()
    if asked.as_json:
        typer.echo(json.dumps(run_api(asked, _view)))
    elif once or not (console.is_terminal and sys.stdin.isatty()):
        run_api(asked, lambda api: _print_once(api, console))
    else:
        run_api(asked, lambda api: _Top(api, console).run())


async def _view(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("/live")).json()
    return found


async def _print_once(api: Api, console: Console) -> None:
    scene = Scene(await _view(api), api.url)
    for line in lines(scene, console.width):
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


class _Top:
    """One run of the screen."""

    def __init__(self, api: Api, console: Console) -> None:
        self._api, self._console = api, console
        self._etag = ""

    async def run(self) -> None:
        """Until q is pressed. Raises as Api when there is nothing to begin with."""
        self._scene = Scene(await self._look({}), self._api.url)
        with Live(console=self._console, screen=True, auto_refresh=False) as live, keys() as pressed:
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(self._keep_looking())
                await self._draw_until_quit(live, pressed)
                looking.cancel()

    async def _draw_until_quit(self, live: Live, pressed: "asyncio.Queue[Key]") -> None:
        while True:
            width, height = self._console.size
            shown = screen(self._scene, width, height)
            live.update(Text("\n", no_wrap=True, overflow="crop").join(shown), refresh=True)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    key = await pressed.get()
            except TimeoutError:
                continue
            if key is Key.QUIT:
                return
            self._scene = _moved(self._scene, key, width, height)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                view = await self._look(self._scene.view)
                self._scene = replace(self._scene, view=view, failure="")
            except (Unreachable, NotAccepted) as error:  # it may be started again just now
                self._scene = replace(self._scene, failure=str(error))

    async def _look(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self._api.get("/live", headers={"if-none-match": self._etag} if self._etag else {})
        if answer.status_code == _NOT_MODIFIED:
            return before
        self._etag = answer.headers.get("etag", "")
        found: dict[str, Any] = answer.json()
        return found


def _moved(scene: Scene, key: Key, width: int, height: int) -> Scene:
    """The scene after a key."""
    if key in _PAGES:
        return replace(scene, page=scene.page.beside(_PAGES[key]), first=0)
    length, room = rows_of(scene, width, height)
    step = {Key.UP: -1, Key.DOWN: 1, Key.PAGE_UP: -room, Key.PAGE_DOWN: room}.get(key, -length)
    return replace(scene, first=max(0, min(scene.first + step, last_first(length, room))))
