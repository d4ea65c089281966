"""Arrival: which listener a connection or request arrives at, told apart as the data planes do it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from marchproxy.model.hello import find_by_hello
from marchproxy.model.listener import Listener
from marchproxy.model.matching import find_route
from marchproxy.model.module import Protocol
from marchproxy.model.route import Route, RouteId
from marchproxy.model.sharing import (
    Port,
    Sharing,
    Speech,
    listener_for,
    names_hello,
    shows_requests,
    speech_of,
)
from marchproxy.nlb.rules.question import Question, same_family

_INSIDE: Mapping[Protocol, Protocol] = {Protocol.HTTPS: Protocol.HTTP, Protocol.RTMPS: Protocol.RTMP}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A listener that the connection may arrive at. `told_by`: what told it from others at its address, or empty."""

    listener: Listener
    told_by: str = ""


def find_arrivals(question: Question, ports: Sequence[Port], routes: Sequence[Route]) -> list[Arrival]:
    """Every listener that the question fits; one, unless too little is known or nobody takes it."""
    return [
        arrival
        for port in ports
        for arrival in _at(port, question, routes)
        if question.module_type in {None, arrival.listener.module_type}
    ]


def _at(port: Port, question: Question, routes: Sequence[Route]) -> Iterator[Arrival]:
    if question.listener:
        yield from (Arrival(item) for item in port.listeners if item.name == question.listener)
        return
    if question.port not in {0, port.first.port}:
        return
    match port.sharing:
        case Sharing.ALONE:
            found = _alone(port.first, question)
        case Sharing.HELLO:
            found = _by_hello(port.listeners, question)
        case Sharing.REQUEST:
            found = _by_request(port, question, routes)
        case Sharing.BYTES:
            found = _by_bytes(port.listeners, question)
    yield from found


def _alone(listener: Listener, question: Question) -> Iterator[Arrival]:
    if not _carries(listener, question):
        return
    if not names_hello(listener) or find_by_hello((listener,), question.sni, question.alpn):
        yield Arrival(listener)


def _by_hello(listeners: Sequence[Listener], question: Question) -> Iterator[Arrival]:
    if question.speech not in {None, Speech.TLS, Speech.ANYTHING}:
        others = (item for item in listeners if not names_hello(item) and _carries(item, question))
        yield from (Arrival(item, "it speaks no TLS, and this one takes all others") for item in others)
        return
    found = find_by_hello(listeners, question.sni, question.alpn)
    if found is not None and (question.port or _carries(found, question)):
        yield Arrival(found, _hello_in_words(question))


def _by_request(port: Port, question: Question, routes: Sequence[Route]) -> Iterator[Arrival]:
    if not _carries(port.first, question):
        return
    if question.request is None:
        typed = (item for item in port.listeners if item.module_type is question.module_type)
        yield Arrival(next(typed, port.first), "no request is known; each is routed by itself")
        return
    choosing = {RouteId(route.route_id): to for route in routes if (to := listener_for(port, route))}
    route = find_route([route for route in routes if route.route_id in choosing], question.request)
    if route is None:
        yield Arrival(
            port.first, "no route that names a module type matches; the first listener takes the rest"
        )
    else:
        found = choosing[route.route_id]
        yield Arrival(found, f'route "{route.route_id}" sends the request to {found.module_type.value}')


def _by_bytes(listeners: Sequence[Listener], question: Question) -> Iterator[Arrival]:
    speech = question.speech
    if speech is None:
        yield from (Arrival(item) for item in listeners if _carries(item, question))
        return
    alike = [item for item in listeners if speech_of(item) is speech]
    if speech is Speech.TLS:
        found = find_by_hello(alike, question.sni, question.alpn)
        words = f"the first bytes are TLS, {_hello_in_words(question)}"
    else:
        found, words = next(iter(alike), None), f"the first bytes are {speech.value}"
    if found is None:
        found = next((item for item in listeners if speech_of(item) is Speech.ANYTHING), None)
        words += ", which no other takes"
    if found is not None and (question.port or _carries(found, question)):
        yield Arrival(found, words)


def _carries(listener: Listener, question: Question) -> bool:
    """Whether what the question speaks is what the listener is for."""
    wanted = question.protocol
    if wanted is None:
        return True
    if listener.over_udp or wanted in {Protocol.UDP, Protocol.HTTP3}:
        return wanted is listener.protocol
    if listener.protocol is Protocol.TCP and question.port:
        return True  # whatever it is
    in_tls = speech_of(listener) is Speech.TLS
    if wanted in _INSIDE and not in_tls:
        return False
    if listener.protocol in _INSIDE and not (wanted in _INSIDE or question.sni or shows_requests(listener)):
        return False
    return same_family(_INSIDE.get(wanted, wanted), _INSIDE.get(listener.protocol, listener.protocol))


def _hello_in_words(question: Question) -> str:
    name = f"for server name {question.sni}" if question.sni else "without a server name"
    return f"the TLS hello is {name}" + (f", offering {', '.join(question.alpn)}" if question.alpn else "")
