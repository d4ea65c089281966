"""Saver: writes the files soon after a change, or at once; `load` reads them at the start."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from google.protobuf import json_format

from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.nlb.service.memory.desired import dump_desired, parse_desired
from marchproxy.nlb.service.memory.registry import RegistryText, parse_registry
from marchproxy.nlb.service.memory.routes import RoutesText
from marchproxy.nlb.service.memory.saved import Saved
from marchproxy.nlb.state.member import Moment

_log = get_logger(__name__)
T = TypeVar("T")
# What forwarding rests on is saved before it is applied; this is for the rest, such as the routing table.
_DEBOUNCE_SECONDS = 0.2
_REGISTRY, _DESIRED = "registry.json", "desired.json"
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, json_format.ParseError)


class Saver:
    """Writes what `take` returns into a directory, soon after a `touch`."""

    def __init__(self, directory: Path, take: Callable[[], Saved] | None = None) -> None:
        self.take = take
        self._directory = directory
        self._touched = asyncio.Event()
        self._writing = asyncio.Lock()
        self._registry, self._routes = RegistryText(), RoutesText()
        self._routes_of: Saved | None = None
        self._routes_name = ""

    def touch(self) -> None:
        """Something worth remembering changed."""
        self._touched.set()

    async def run(self) -> None:
        """Save until cancelled."""
        while True:
            await self._touched.wait()
            await asyncio.sleep(_DEBOUNCE_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Save now. A disk that refuses is logged: forwarding goes on, the next restart starts from an older state."""
        if self.take is None:
            return
        async with self._writing:
            self._touched.clear()
            saved = self.take()
            await self._write_members(saved)
            # in a thread: with thousands of routes it is long, and they are values that do not change
            await asyncio.to_thread(self._write_configuration, saved)

    async def save_members(self) -> None:
        """Save now whom the NLB forwards to; errors as in `save`."""
        if self.take is None:
            return
        async with self._writing:
            await self._write_members(self.take())

    async def _write_members(self, saved: Saved) -> None:
        path = self._directory / _REGISTRY
        data = self._registry.dump(saved)
        try:
            # when the host goes down, what it forwarded is gone as well: members register again
            await asyncio.to_thread(write_atomically, path, data, durable=False)
        except OSError as error:
            _log.error("state could not be saved", file=str(path), reason=str(error))

    def _write_configuration(self, saved: Saved) -> None:
        try:
            self._write_routes(saved)
            write_atomically(self._directory / _DESIRED, dump_desired(saved, self._routes_name))
            for old in self._directory.glob("routes-*.json"):
                if old.name != self._routes_name:
                    old.unlink()
        except OSError as error:
            _log.error("state could not be saved", file=str(self._directory / _DESIRED), reason=str(error))

    def _write_routes(self, saved: Saved) -> None:
        """Under a name of its own for each content: whichever desired.json is there finds the routes it goes with."""
        last = self._routes_of
        if last and last.table is saved.table and last.desired.routes is saved.desired.routes:
            return
        data = self._routes.dump(saved)
        name = f"routes-{sha256(data).hexdigest()[:16]}.json"
        write_atomically(self._directory / name, data)
        self._routes_of, self._routes_name = saved, name


def load(directory: Path, now: Moment) -> Saved:
    """What was saved. Members and configuration stand for themselves: either may be missing or damaged."""
    saved = _read(directory / _DESIRED, lambda data: parse_desired(data, _reader(directory))) or Saved()
    if known := _read(directory / _REGISTRY, lambda data: parse_registry(data, now)):
        members, answers = known
        return replace(saved, members=members, answers=answers)
    return saved


def _reader(directory: Path) -> Callable[[str], bytes]:
    return lambda name: (directory / name).read_bytes()


def _read(path: Path, parse: Callable[[bytes], T]) -> T | None:
    """None when there is no file or it cannot be understood."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError as error:
        if error.filename == str(path):
            return None
        _log.error("saved state is not complete; starting without", file=str(path), reason=str(error))
    except OSError as error:
        _log.error("saved state cannot be read; starting without", file=str(path), reason=str(error))
    except _DAMAGE as error:
        _log.error("saved state is damaged; starting without", file=str(path), reason=repr(error))
    return None
