"""Streams: their keys, which route takes one, and whether two routes could take the same one. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from marchproxy.model.glob import any_globs_meet, is_meant
from marchproxy.model.network import is_among, networks_meet
from marchproxy.model.route import Route
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.ties import Beginnings, first_ties, of_patterns, of_texts

_PLAIN = RtmpRoute()
_NAMES = ("vhosts", "apps", "streams")
_LONGEST = 256
# control characters, and what stands for bytes that were no UTF-8
_UNSOUND = re.compile("[\x00-\x1f\x7f\ufffd\ud800-\udfff]")
_MOST_PARAMETERS = 64


@dataclass(frozen=True, slots=True)
class StreamKey:
    """What a stream is known by. `vhost` is in lower case and without a port; queries are part of none of the three.

    An app may have several segments (`live/eu`), a name has one, so that no two keys have the same text.
    """

    vhost: str
    app: str
    name: str

    @property
    def text(self) -> str:
        """The key as one text: vhost/app/name."""
        return f"{self.vhost}/{self.app}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "StreamKey":
        """The key that has this text; of a text that no key has, one that no stream has."""
        vhost, _, rest = text.partition("/")
        app, _, name = rest.rpartition("/")
        return cls(vhost, app, name)


def read_key(tc_url: str, app: str, name: str) -> tuple[StreamKey, str]:
    """The key of what a client names in `connect` and in `publish` or `play`, and the query that came with it.

    Queries stand behind a `?` in each of the three; the stream's comes first, then the app's. The key may be one that no
    stream can have: `key_fault` says so. What stands before a `/` in the stream's name belongs to the app.
    """
    host, url_query = _parts_of(tc_url)
    app, _, app_query = app.partition("?")
    name, _, query = name.partition("?")
    queries = dict.fromkeys(part for part in (query, app_query, url_query) if part)
    *segments, name = f"{app.strip('/')}/{name.lstrip('/')}".split("/")
    return StreamKey(host.lower(), "/".join(segments), name), "&".join(queries)


def parameters(query: str) -> dict[str, str]:
    """The parameters of a query, decoded; the first of equal names counts. None at all where there are more than 64."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def key_fault(key: StreamKey) -> str:
    """Why no stream can have this key, in words; empty: one can. Keys become parts of URLs and of paths of files."""
    if "/" in key.name:
        return "the stream name has a /"
    for word, text in (("host", key.vhost), ("app", key.app), ("stream name", key.name)):
        if not text and word != "host":
            return f"the {word} is empty"
        if len(text) > _LONGEST:
            return f"the {word} has more than {_LONGEST} characters"
        if _UNSOUND.search(text):
            return f"the {word} has a character that is none"
        if text and not {"", ".", ".."}.isdisjoint(text.split("/")):
            return f"the {word} has a segment that is empty, or of dots alone"
    return ""


def precision(route: Route) -> tuple[int, int]:
    """What goes first among the routes that take a stream: the priority, then how many conditions there are."""
    options = route.rtmp or _PLAIN
    named = (options.vhosts, options.apps, options.streams, route.sources, route.destination_port)
    return route.priority, sum(map(bool, named))


def takes(route: Route, key: StreamKey, source: str = "", port: int = 0) -> bool:
    """Whether a route is one for a stream and a client: its address, and the port that it came to (of an NLB's the NLB's)."""
    options = route.rtmp or _PLAIN
    return (
        is_meant(key.app, options.apps)
        and is_meant(key.name, options.streams)
        and is_meant(key.vhost, options.vhosts)
        and route.destination_port in {0, port}
        and (not route.sources or is_among(route.sources, source))
    )


def stream_ties(group: Sequence[Route]) -> Iterator[tuple[Route, Route]]:
    """Each route with the first earlier one that could take one of its streams; all of one precision."""
    return first_ties(group, _beginnings, streams_meet)


def streams_meet(first: Route, second: Route) -> bool:
    """Whether one stream could be either's. NLB listeners do not count, for the module does not know them."""
    one, other = first.rtmp or _PLAIN, second.rtmp or _PLAIN
    ports = {first.destination_port, second.destination_port}
    return (
        (0 in ports or len(ports) == 1)
        and networks_meet(first.sources, second.sources)
        and all(any_globs_meet(getattr(one, key), getattr(other, key)) for key in _NAMES)
    )


def _beginnings(route: Route) -> Beginnings:
    options = route.rtmp or _PLAIN
    return (
        *(of_patterns(getattr(options, key)) for key in _NAMES),
        of_texts([str(route.destination_port)] if route.destination_port else []),
    )


def _parts_of(url: str) -> tuple[str, str]:
    """Host and query; empty where there is none, or where this is no URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "", ""
    return host, parts.query
