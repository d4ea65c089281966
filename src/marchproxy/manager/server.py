"""Server: starts a manager in order, keeps its loops running, and stops it in reverse.

Start: the store, what is in force, HTTP, ready. Stop: not ready, requests end, loops end, the store is closed.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from marchproxy.kit.logs import get_logger
from marchproxy.manager.desk import Desk
from marchproxy.manager.settings import ManagerSettings
from marchproxy.model.state import DesiredState

_log = get_logger(__name__)

Extra: TypeAlias = Callable[[Desk], AbstractAsyncContextManager[None]]
"""Something that runs beside the manager for as long as it does, and is entered once the desk is complete."""


@dataclass(frozen=True, slots=True)
class Manager:
    """A running manager, as its process sees it; the ports differ from the settings where those say 0."""

    desk: Desk
    http: int
    metrics: int


async def serve(
    settings: ManagerSettings,
    state: DesiredState,
    stop: asyncio.Event,
    *,
    file: Path,
    started: Callable[[Manager], None] = lambda _: None,
    extras: Sequence[Extra] = (),
) -> None:
    """Run a manager until `stop` is set; `started` is called once it is ready.

    `state` is what `file` says now. Raises what keeps it from starting: PortInUse, BindError, SettingsError,
    StoreUnavailable, OSError.
    """
    raise NotImplementedError
