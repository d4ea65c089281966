"""RouteRequest's message as a question: the fields of its route hold what a connection has, not patterns."""

from dataclasses import replace

from marchproxy.contract.convert.enums import PROTOCOLS
from marchproxy.contract.pb import nlb_pb2
from marchproxy.kit.grpc.status import invalid
from marchproxy.model.matching import Request
from marchproxy.model.module import Protocol
from marchproxy.model.problem import InvalidValue
from marchproxy.model.rules import ip_address
from marchproxy.model.sharing import Speech
from marchproxy.nlb.api.desk import module_type
from marchproxy.nlb.rules.question import Question

_HTTP_ALPN = ("h2", "http/1.1")


def read_question(request: nlb_pb2.RouteRequestRequest) -> Question:
    """The question. A TLS client asks for the host's name, and an HTTPS one offers HTTP, unless told otherwise.

    Raises Misuse.
    """
    pb, context = request.route, request.context
    try:
        protocol = PROTOCOLS.from_pb(pb.protocol, "route.protocol")
    except InvalidValue as error:
        raise invalid(str(error)) from error
    sni, offered = context.get("sni", ""), _listed(context.get("alpn", ""))
    host = _without_port(pb.destination_pattern) or sni
    asked = bool(pb.destination_pattern or pb.path_pattern or pb.headers or "method" in context)
    path, _, query = (pb.path_pattern or "/").partition("?")
    http = Request(
        host=host,
        path=path,
        method=context.get("method", "GET").upper(),
        headers={name.lower(): value for name, value in pb.headers.items()},
        query=context.get("query", "") or query,
    )
    question = Question(
        listener=context.get("listener", ""),
        port=pb.destination_port,
        protocol=protocol,
        module_type=module_type(pb.module_type, "route.module_type"),
        source=context.get("source", "") or context.get("client", "") or pb.source_pattern,
        request=http if asked else None,
        sni=sni,
        alpn=offered,
    )
    return _as_clients_do(question, host) if question.speech is Speech.TLS else question


def _as_clients_do(question: Question, host: str) -> Question:
    """What a TLS client puts into its hello without being told: the name it was given, and HTTP in both versions."""
    name = host if ip_address(host.strip("[]")) is None else ""  # RFC 6066, section 3
    alpn = _HTTP_ALPN if question.protocol is Protocol.HTTPS else ()
    return replace(question, sni=question.sni or name, alpn=question.alpn or alpn)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
