"""`marchproxy demo`: runs the chapters in order under signals, and prints the story."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial

import typer
from rich.console import Console
from rich.text import Text

from marchproxy.cli.demo import chapters, story
from marchproxy.cli.demo.chapters import Chapter
from marchproxy.cli.demo.load import Bounds, run_load
from marchproxy.cli.demo.world import DemoFailed, World, running_world
from marchproxy.cli.failing import FAILED, failing_clearly
from marchproxy.cli.screen import stdout
from marchproxy.contract.fleet.client import CallFailed
from marchproxy.kit import tasks
from marchproxy.manager.places import FIRST_USER

_INTERRUPTED = 130
_TRICKLE = 10
_PAUSE_SECONDS = 0.5

Step = Callable[[World], Awaitable[Chapter]]
STEPS: tuple[Step, ...] = (
    chapters.first_light,
    partial(chapters.canary, percent=5, requests=10_000),
    partial(chapters.canary, percent=50, requests=20_000),
    chapters.lost_backend,
    chapters.rate_limit,
    chapters.limit_lifted,
    chapters.secured,
    chapters.explained,
)


class Demo:
    """One run of the story."""

    def __init__(self, *, keep: bool, as_json: bool) -> None:
        self._keep = keep
        self._as_json = as_json
        self._console = Console(quiet=True) if as_json else stdout()
        self._told: list[Chapter] = []
        self.held = False
        self.interrupted = False

    async def run(self, stop: asyncio.Event) -> None:
        """Tell the story, or stop in the middle of it; nothing is left running. Raises DemoFailed, CallFailed."""
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(_outcome(self._tell()))
            stopper = group.create_task(self._cancel_when(stop, telling))
            await asyncio.wait([telling])
            stopper.cancel()
        if not telling.cancelled() and (error := telling.result()) is not None:
            raise error

    async def _tell(self) -> None:
        started = time.monotonic()
        steps = STEPS if self._keep else (*STEPS, chapters.drained)
        story.tell_opening(self._console, len(steps))
        async with running_world(managed=self._keep) as world:
            for number, step in enumerate(steps, start=1):
                chapter = await step(world)
                self._told.append(chapter)
                story.tell(self._console, number, chapter)
            seconds = time.monotonic() - started
            self.held = story.tell_summary(self._console, self._told, seconds)
            if self._as_json:
                typer.echo(json.dumps(story.as_data(self._told, seconds)))
            if self._keep:
                await self._say_kept(world)
                await _trickle(world)

    async def _say_kept(self, world: World) -> None:
        option = f"--nlb {world.config.nlb}"
        self._console.print(
            Text("\nIt goes on running until Ctrl-C, with a little traffic. Look at it:", style="bold")
        )
        url, password = f"http://{world.config.ui}/", await world.first_password()
        self._console.print(
            Text(f"    {url}", style="bold cyan")
            + Text(f"    user {FIRST_USER}, password {password} (to be changed at the first login)")
        )
        self._console.print(Text("Or try:", style="bold"))
        for command in (
            f"curl -i http://{world.config.web}/",
            f"marchproxy get stats {option} --watch",
            f"marchproxy explain http://{world.config.web}/cart {option}",
            f"marchproxy top --key-file {world.local_key}",
            f"less {world.file}",
        ):
            self._console.print(Text(f"    {command}"))

    async def _cancel_when(self, stop: asyncio.Event, telling: "asyncio.Task[Exception | None]") -> None:
        await stop.wait()
        # with --keep a stop after the end of the story is its proper end
        self.interrupted = not (self._keep and self._told and len(self._told) == len(STEPS))
        telling.cancel()


async def _trickle(world: World) -> None:
    """Some traffic, so that there is something to see, until cancelled."""
    while True:
        await run_load(world.config.web, Bounds(requests=_TRICKLE), connections=1)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _outcome(work: Awaitable[None]) -> Exception | None:
    # handed over as a value, so that the TaskGroup does not wrap it in a group
    try:
        await work
    except (DemoFailed, CallFailed) as error:
        return error
    return None


def run_demo(*, keep: bool, as_json: bool) -> None:
    """Run the demo. Raises typer.Exit: 1 when a claim did not hold, 130 when it was interrupted."""
    demo = Demo(keep=keep, as_json=as_json)
    with failing_clearly(DemoFailed, CallFailed):
        finished = tasks.run(lambda: tasks.run_service(demo.run))
    if demo.interrupted or not finished:
        raise typer.Exit(_INTERRUPTED)
    if not demo.held:
        raise typer.Exit(FAILED)
