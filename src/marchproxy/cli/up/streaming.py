"""What to type to see that streams work: how to publish one, to play it, and to watch it in a browser. No I/O."""

from collections.abc import Iterator

from marchproxy.contract.document.schema.rtmp import RtmpRouteDocument
from marchproxy.contract.document.schema.state import StateDocument
from marchproxy.kit.settings import HostPort
from marchproxy.model.glob import is_glob
from marchproxy.model.http import AuthenticationKind
from marchproxy.model.module import Protocol

#: What a client adds to the name of a stream, by the way in which it shows that it may.
_SHOWN = {
    AuthenticationKind.STREAM_KEYS: "?key=KEY",
    AuthenticationKind.SIGNED: "?expires=SECONDS&signature=HEX",
}
_APP, _STREAM = "live", "test"


def stream_commands(document: StateDocument, protocol: Protocol, address: HostPort) -> Iterator[str]:
    """Commands for a port of streams, with names that the document's first route of them takes."""
    wanted = next(
        (
            route.rtmp
            for route in document.routes
            if route.protocol is Protocol.RTMP and route.rtmp is not None
        ),
        RtmpRouteDocument(),
    )
    path = f"{_first(wanted.apps, _APP)}/{_first(wanted.streams, _STREAM)}"
    play = _shown(document, wanted.play)
    if protocol in {Protocol.RTMP, Protocol.RTMPS}:
        url = f"{protocol.value}://{address}/{path}"
        yield f'ffmpeg -re -i FILE -c copy -f flv "{url}{_shown(document, wanted.publish)}"'
        yield f'ffplay "{url}{play}"'
    elif wanted.packaging is not None:
        files = {
            Protocol.HLS: ("index.m3u8", wanted.packaging.hls),
            Protocol.DASH: ("manifest.mpd", wanted.packaging.dash),
        }
        name, is_made = files[protocol]
        if is_made:
            yield f'ffplay "http://{address}/{path}/{name}{play}"'


def _first(names: tuple[str, ...], other: str) -> str:
    return next((name for name in names if not is_glob(name)), other)


def _shown(document: StateDocument, names: tuple[str, ...]) -> str:
    """What a client shows by the first of these ways that is in its URL; nothing, where it need not show any."""
    kinds = {way.name: way.kind for way in document.authentication}
    return next((_SHOWN[kinds[name]] for name in names if kinds.get(name) in _SHOWN), "")
