"""Audience: who watches which stream, by who asked for its lists of late. Pure."""

from marchproxy.model.streams import StreamKey

_MOST = 20_000  # of one stream; more are counted as so many


class Audience:
    """Viewers by stream. One is known by address and browser; who stays away for `seconds` has gone."""

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds
        self._seen: dict[StreamKey, dict[str, float]] = {}

    def note(self, key: StreamKey, viewer: str, now: float) -> None:
        """Somebody has asked for a list."""
        viewers = self._seen.setdefault(key, {})
        if viewer in viewers or len(viewers) < _MOST:
            viewers[viewer] = now

    def count(self, key: StreamKey) -> int:
        """How many watch it."""
        return len(self._seen.get(key, ()))

    def sweep(self, now: float) -> list[StreamKey]:
        """Forget who has gone; the streams that are watched."""
        for key, viewers in list(self._seen.items()):
            staying = {viewer: seen for viewer, seen in viewers.items() if now - seen < self._seconds}
            if staying:
                self._seen[key] = staying
            else:
                del self._seen[key]
        return list(self._seen)
