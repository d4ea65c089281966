"""Sorting: which listener of a port a connection belongs to, by what its client said first. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from marchproxy.model.hello import find_by_hello
from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol as Served
from marchproxy.model.sharing import Speech, speech_of
from marchproxy.wire.detect import Detected, Protocol

_SPEECHES: Mapping[Protocol, Speech] = {
    Protocol.TLS: Speech.TLS,
    Protocol.HTTP1: Speech.HTTP,
    Protocol.HTTP2: Speech.HTTP,
    Protocol.POSTGRES: Speech.POSTGRES,
    Protocol.MYSQL: Speech.MYSQL,
    Protocol.REDIS: Speech.REDIS,
    Protocol.MONGODB: Speech.MONGODB,
    Protocol.RTMP: Speech.RTMP,
}
_HTTP2 = frozenset({Served.HTTP2, Served.GRPC})


def expected(listeners: Iterable[Listener]) -> frozenset[Protocol]:
    """The protocols that tell these listeners' clients apart."""
    spoken = {speech_of(listener) for listener in listeners}
    return frozenset(protocol for protocol, speech in _SPEECHES.items() if speech in spoken)


def find_rest(listeners: Iterable[Listener]) -> Listener | None:
    """The listener that takes what no other one recognises."""
    unspoken = (listener for listener in listeners if speech_of(listener) in {None, Speech.ANYTHING})
    return next(unspoken, None)


def find_listener(listeners: Sequence[Listener], detected: Detected | None) -> Listener | None:
    """The listener that takes it; None: nobody. `detected` None: nothing was recognised, or nothing was asked."""
    found = _find(listeners, detected) if detected is not None else None
    return found or find_rest(listeners)


def _find(listeners: Sequence[Listener], detected: Detected) -> Listener | None:
    speech = _SPEECHES.get(detected.protocol)
    alike = [listener for listener in listeners if speech_of(listener) is speech]
    if speech is Speech.TLS:
        # ALPN is bytes; RFC 7301 §6 registers ASCII names, and others match nothing
        offered = [name.decode("ascii", errors="replace") for name in detected.alpn]
        return find_by_hello(alike, detected.sni, offered)
    # a module that serves HTTP answers for all of its versions; the listener of the client's own goes first
    if speech is Speech.HTTP:
        prefers_2 = detected.protocol is Protocol.HTTP2
        alike.sort(key=lambda listener: (listener.protocol in _HTTP2) is not prefers_2)
    return next(iter(alike), None)
