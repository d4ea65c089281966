"""Ceiling: whether a stream has been above its bitrate for too long. Pure."""

from typing import Final

#: Encoders may be above it for so long, as they are when they begin or when a picture changes.
PATIENCE_SECONDS: Final = 10.0


class Ceiling:
    """Looked at about once a second."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: float | None = None

    def exceeded(self, now: float, bitrate: float, most: float) -> bool:
        """Whether this is the end of it; `most` 0: nothing is too much. kbit/s, and the clock's seconds."""
        if not most or bitrate <= most:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= PATIENCE_SECONDS
