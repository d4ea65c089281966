"""Target: where a copy of a stream goes, as a URL of its route says. Pure."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from marchproxy.model.streams import StreamKey

_PORTS: Final = {"rtmp": 1935, "rtmps": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A stream of another server. `name` has the query, in which there may be a key: it is for the server alone."""

    host: str
    port: int
    secure: bool
    app: str
    name: str

    @property
    def place(self) -> str:
        """The server, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def tc_url(self) -> str:
        """What `connect` says of it."""
        return f"{'rtmps' if self.secure else 'rtmp'}://{self.place}/{self.app}"


def target_of(url: str, key: StreamKey) -> Target:
    """What a URL of a route's `push` means for a stream: its last segment is the stream's name there, the others are the app.

    The URL is as `model.checks.pushing` wants it.
    """
    parts = urlsplit(url)
    app, _, name = parts.path.strip("/").rpartition("/")
    query = f"?{parts.query}" if parts.query else ""
    return Target(
        parts.hostname or "",
        parts.port or _PORTS[parts.scheme],
        parts.scheme == "rtmps",
        _filled(app, key),
        _filled(name + query, key),
    )


def _filled(text: str, key: StreamKey) -> str:
    """With the stream's own words in their places; what stands in them is not looked at again."""
    words = {"vhost": key.vhost, "app": key.app, "stream": key.name}
    out, rest = [], text
    while rest:
        before, brace, rest = rest.partition("{")
        name, _, behind = rest.partition("}")
        out.append(before)
        if brace and name in words:
            out.append(words[name])
            rest = behind
        elif brace:
            out.append(brace)
    return "".join(out)
