"""Wayfinder: the ways of a relay, from what it is told and from the files of keys that providers are shown."""

import asyncio
from collections.abc import Mapping

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb.credential import KeyFiles, secret_name
from marchproxy.modules.ailb.relay.plan import Ways, compile_ways
from marchproxy.modules.ailb.talk import Places


class Wayfinder:
    """Files are read in a thread: a disk that does not answer holds up no stream."""

    def __init__(self) -> None:
        self._state: DesiredState | None = None
        self._places: Places = {}
        self._files = KeyFiles()
        self._keys: Mapping[str, str] = {}
        self._turn = asyncio.Lock()

    async def follow(self, state: DesiredState, places: Places) -> Ways:
        """The ways of a sound state."""
        async with self._turn:
            keys = await asyncio.to_thread(self._read, state)
            ways = compile_ways(state, places, keys)
            self._state, self._places, self._keys = state, places, keys
        return ways

    def move(self, places: Places) -> Ways | None:
        """The ways when endpoints are there; None: nothing was told yet."""
        if self._state is None:
            return None
        self._places = places
        return compile_ways(self._state, places, self._keys)

    async def look(self) -> Ways | None:
        """Once a second or so: other ways, where a provider is to be shown another key."""
        async with self._turn:
            if self._state is None or not await asyncio.to_thread(self._files.changed):
                return None
            self._keys = await asyncio.to_thread(self._read, self._state)
            return compile_ways(self._state, self._places, self._keys)

    def _read(self, state: DesiredState) -> Mapping[str, str]:
        """What can be read; the rest is left to Envoy, which has it in its last good form."""
        found: dict[str, str] = {}
        for pool in state.pools:
            ai = pool.ai
            if ai is None or not ai.credential or pool.tls is not None:
                continue
            try:
                found[secret_name(ai)] = self._files.look(ai)
            except UnusableFile:
                continue  # the AILB says so, where it is read for Envoy
        self._files.keep(found.keys())
        return found
