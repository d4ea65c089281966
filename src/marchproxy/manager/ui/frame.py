"""Frame: an open page. What it shows is drawn again when there is something new, and what is pressed on it is done here."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from markupsafe import Markup
from nicegui import ui
from starlette.requests import Request

from marchproxy.kit.logs import get_logger
from marchproxy.manager.access import AccessError, PasswordChangeNeeded, Scope, Unauthenticated
from marchproxy.manager.desk import Desk
from marchproxy.manager.revising import Outcome
from marchproxy.manager.ui.components.controls import go
from marchproxy.manager.ui.components.fragment import Acting, Fragment
from marchproxy.manager.ui.components.states import banner, refusal
from marchproxy.manager.ui.failing import FAILURES, told
from marchproxy.manager.ui.visit import Visit
from marchproxy.manager.watching import LiveView
from marchproxy.model.identity import Principal, Role
from marchproxy.model.revision import Author
from marchproxy.store import StoreUnavailable

_log = get_logger(__name__)
#: Seconds between two looks of a page.
BEAT = 2.0
_BEATS_PER_CHECK = 5
_BEATS_PER_LOOKUP = 3
_LONGEST = 90.0
_Result = TypeVar("_Result")
Render = Callable[[LiveView], Markup]
LookUp = Callable[[], Awaitable[Markup]]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that a visitor does: as it is on record, and what it takes."""

    action: str
    target: str
    role: Role
    scope: Scope
    done: str = ""
    """What is said when it was done."""
    detail: str = ""
    """What the record says of it beside."""
    recorded: bool = True
    """Whether it goes into the audit log; what changes nothing does not."""


class Frame:
    """One page of one visitor, for as long as it is open."""

    def __init__(self, visit: Visit, request: Request) -> None:
        self.visit = visit
        self._here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.path = dict(request.path_params)
        self.query = dict(request.query_params)
        self.scheme = request.cookies.get("marchproxy-scheme", "light")
        """The colours that the browser shows: "light" or "dark"."""
        self._parts: list[tuple[Fragment, Render]] = []
        self._looked_up: list[tuple[Fragment, LookUp]] = []
        self._each_beat: list[Callable[[LiveView], None]] = []
        self._beats = 0
        self._seen = (-1, "")
        self.notice: Fragment | None = None
        """Where it is said what became of what was pressed."""

    @property
    def desk(self) -> Desk:
        """What everything is asked of."""
        return self.visit.desk

    def live(self, render: Render, *, on_act: Acting | None = None) -> Fragment:
        """A part that is drawn from each new view; `on_act` hears of its buttons."""
        part = Fragment(render(self.desk.live.view), on_act=on_act)
        self._parts.append((part, render))
        return part

    async def looked_up(self, look: LookUp) -> Fragment:
        """A part that asks the store, now and every third beat; `look` says itself what it could not read."""
        part = Fragment(await look())
        self._looked_up.append((part, look))
        return part

    def on_beat(self, look: Callable[[LiveView], None]) -> None:
        """Call something with each new view: for charts."""
        self._each_beat.append(look)

    def number(self, name: str) -> int:
        """A number of the query; 0 where there is none."""
        text = self.query.get(name, "")
        return int(text) if text.isdigit() and len(text) < 12 else 0

    def redraw(self) -> None:
        """Draw what is live at once."""
        view = self.desk.live.view
        for part, render in self._parts:
            part.show(render(view))
        for look in self._each_beat:
            look(view)

    async def beat(self) -> None:
        """Look whether there is something new, and now and then whether the visitor may still be here."""
        self._beats += 1
        if self._beats % _BEATS_PER_CHECK == 0 and not await self._still_here():
            return
        view = self.desk.live.view
        applying = self.desk.revisions.progress
        seen = (view.version, repr(applying))
        if seen != self._seen or view.is_stale:
            self._seen = seen
            self.redraw()
        if self._beats % _BEATS_PER_LOOKUP == 0:
            for part, look in self._looked_up:
                part.show(await look())

    async def perform(
        self, act: Act, work: Callable[[Author], Awaitable[_Result]], *, notice: Fragment | None = None
    ) -> _Result | None:
        """Do something if the visitor still may; it is on record. None: it was not done, and has been said why."""
        shown = notice or self.notice
        assert shown is not None
        shown.show(banner("busy", "activity", "Under way …"))
        try:
            result = await self._done(act, work)
        except (Unauthenticated, PasswordChangeNeeded):
            self._leave()
            return None
        except FAILURES as error:
            shown.show(told(error))
            return None
        except Exception:  # noqa: BLE001 - a fault of ours; whoever pressed the button is told of it, too
            _log.exception("something that was pressed failed", action=act.action, target=act.target)
            shown.show(refusal("This failed in the manager", ["The log of the manager says more."]))
            return None
        shown.show(banner("ok", "done", act.done) if act.done else Markup())
        self.redraw()
        return result

    async def _done(self, act: Act, work: Callable[[Author], Awaitable[_Result]]) -> _Result:
        access, principal = self.desk.access, await self.visit.again()
        async with AsyncExitStack() as stack:
            if act.recorded:
                record = access.audited(
                    principal, act.action, act.target, detail=act.detail, address=self.visit.address
                )
                noted = await stack.enter_async_context(record)
            access.require(principal, act.role, act.scope)
            async with asyncio.timeout(_LONGEST):
                result = await work(_author(principal))
            if act.recorded and isinstance(result, Outcome):
                noted.detail = f"revision {result.revision.number}" if result.applied else "nothing new"
        return result

    def _leave(self) -> None:
        go(f"/sign-in?to={quote(self._here)}")

    async def _still_here(self) -> bool:
        try:
            await self.visit.again()
        except AccessError:
            self._leave()
            return False
        except StoreUnavailable:
            return True  # what is shown comes from memory, and whoever acts is asked again
        return True


def _author(principal: Principal) -> Author:
    return Author(principal.name, "user")


def beating(frame: Frame) -> None:
    """Begin the beat of a page."""
    ui.timer(BEAT, frame.beat)
