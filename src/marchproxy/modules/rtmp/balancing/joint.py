"""Joint: where a player goes over from one origin to the next. The last frames of a stream are still on their way through the one
before when the next one has the first; so these wait, a moment at most.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from marchproxy.modules.rtmp.balancing.downlink import Downlink

#: Frames that were sent to the origin before should have come in this time, if it does not say that it has no more.
_SECONDS: Final = 0.25


class Joint:
    """`over` is called with the next link, and what it has brought, when nothing more is waited for."""

    def __init__(self, over: Callable[[Downlink, bytes], None]) -> None:
        self._over = over
        self._held: tuple[Downlink, bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, link: Downlink, data: bytes) -> None:
        """Wait, and have no more come by the next link."""
        self.drop()
        link.pause()
        self._held = (link, data)
        self._timer = asyncio.get_running_loop().call_later(_SECONDS, self.end)

    def drop(self) -> None:
        """Nobody goes over."""
        if self._timer is not None:
            self._timer.cancel()
        self._held = self._timer = None

    def end(self) -> None:
        """Go over now, if that is waited for."""
        held = self._held
        self.drop()
        if held is not None:
            held[0].resume()
            self._over(*held)
