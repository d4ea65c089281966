"""The pages put into an application: who asks is known before anything is built, and the open pages are counted."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

import nicegui
from fastapi import FastAPI
from nicegui import ui
from nicegui.client import Client
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from marchproxy.kit.logs import get_logger
from marchproxy.manager.access import Unauthenticated
from marchproxy.manager.desk import Desk
from marchproxy.manager.ui import doors
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.looks import FOLDER, HEAD, PLACE
from marchproxy.manager.ui.shell import shell
from marchproxy.manager.ui.visit import visit_of
from marchproxy.store import StoreUnavailable

_log = get_logger(__name__)
#: Pages that may be open at once; each costs some 300 KiB and a look every two seconds.
MOST_OPEN = 200
_UNCONNECTED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its address, its title, the entry of the navigation it belongs to, and what builds it."""

    address: str
    title: str
    here: str
    build: Callable[[Frame], Awaitable[None]]


def install_pages(app: FastAPI, desk: Desk, pages: tuple[Page, ...]) -> None:
    """Serve the pages beside what the application has. Once in a process: NiceGUI has one application of its own."""
    nicegui.app.state.desk = desk
    nicegui.app.add_static_files(PLACE, FOLDER, max_cache_age=31_536_000)
    nicegui.app.on_exception(_failed)
    nicegui.app.on_page_exception(lambda: ui.html(doors.failed(), sanitize=False))
    nicegui.app.add_exception_handler(404, _not_found)
    app.include_router(doors.router)
    ui.add_head_html(str(HEAD), shared=True)
    for page in pages:
        _register(page, desk)
    ui.run_with(
        app,
        title="MarchProxy",
        favicon=FOLDER / "favicon.svg",
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
        reconnect_timeout=10.0,
        message_history_length=50,
    )


def _register(page: Page, desk: Desk) -> None:
    async def shown(request: Request) -> Response | None:
        try:
            visit = await visit_of(request, desk)
        except Unauthenticated:
            to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?to={quote(to)}", 303)
        except StoreUnavailable as error:
            return doors.unavailable(error)
        if visit.principal.must_change:
            return RedirectResponse("/password", 303)
        if _is_crowded():
            return doors.crowded()
        frame = Frame(visit, request)
        with shell(frame, page.title, page.here):
            await page.build(frame)
        return None

    ui.page(page.address, title=page.title, response_timeout=10.0)(shown)


def _is_crowded() -> bool:
    """Whether there are too many pages, without those that no browser has connected to for a while."""
    if len(Client.instances) >= MOST_OPEN:
        Client.prune_instances(client_age_threshold=_UNCONNECTED_SECONDS)
    return len(Client.instances) >= MOST_OPEN


async def _not_found(_request: Request, _error: Exception) -> Response:
    return doors.not_found()


def _failed(error: Exception) -> None:
    _log.error("a page failed", exc_info=error)
