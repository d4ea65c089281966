"""Outgoing: what an engine is asked, as bytes of HTTP/1.1. Pure.

The body is changed without being read where that is possible: the decider has read it, and says where the model stands.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects import rewriting
from marchproxy.modules.ailb.dialects.asked import Asked, read
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.relay.heard import Heard
from marchproxy.modules.ailb.relay.plan import Way
from marchproxy.modules.ailb.relay.stripping import Strip
from marchproxy.modules.ailb.translate.exchange import Exchange as Translation
from marchproxy.modules.ailb.translate.exchange import is_needed
from marchproxy.wire.http1_answer import HOP_BY_HOP

#: Tells a client which fields of its request the model's provider was not told, since its API has none like them.
LEFT_OUT = b"x-marchproxy-left-out"
_OPTIONS = b"stream_options"
_USAGE = b',"stream_options":{"include_usage":true}}'
_USAGE_EACH = b',"stream_options":{"include_usage":true,"continuous_usage_stats":true}}'
_ASKED_FOR_USAGE = frozenset({Operation.CHAT, Operation.COMPLETIONS})
_ANTHROPIC_VERSION = (b"anthropic-version", b"2023-06-01")
#: What concerns nobody behind us. `accept-encoding`: nobody here reads what is compressed.
_DROPPED = HOP_BY_HOP | {
    b"host", b"content-length", b"accept-encoding", b"expect", b"authorization", b"x-api-key", b"x-forwarded-for",
    b"x-forwarded-proto", b"cookie",
}  # fmt: skip
_OURS = (asking.OURS.encode(), b"x-envoy-")
#: Says whose API is meant; to be dropped where it is another one's.
_OF_DIALECT = {Dialect.ANTHROPIC: (b"openai-",), Dialect.OPENAI: (b"anthropic-",)}


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Outgoing:
    """A request to an engine, and what is to be done to its answer. `translation`: None, it speaks the client's dialect.

    `left_out`: fields that the engine's dialect does not have, for `LEFT_OUT`.
    """

    body: bytes
    path: str
    strip: Strip = Strip.NOTHING
    translation: Translation | None = None
    left_out: str = ""


def compose(heard: Heard, body: bytes, way: Way, *, created: int, default_output: int) -> Outgoing | Failure:
    """What to ask, or why it cannot be asked there. `created`: Unix time, as `Translation` wants it."""
    provider = way.pool.options.provider
    if is_needed(heard.operation, provider):
        asked = read(heard.operation, body)
        if isinstance(asked, Failure):
            return asked
        translation = Translation(asked, provider, created)
        request = translation.request(model=_name(heard, asked), default_output=default_output)
        if isinstance(request, Failure):
            return request
        query = heard.path.partition("?")[2]
        path = f"{request.operation.path}?{query}" if query else request.operation.path
        return Outgoing(request.body, path, translation=translation, left_out=request.left_out)
    wants = heard.stream and heard.operation in _ASKED_FOR_USAGE
    each = wants and provider.is_engine
    if wants and _OPTIONS in body:
        return _reworded(heard, body, each=each)
    if heard.at is not None and heard.name is not None:
        first, last = heard.at
        body = b"".join((body[:first], heard.name.encode(), body[last:]))
    if not wants:
        return Outgoing(body, heard.path)
    more = _USAGE_EACH if each else _USAGE
    return Outgoing(body[: body.rindex(b"}")] + more, heard.path, Strip.ALL)


def encode(outgoing: Outgoing, fields: dict[bytes, bytes], heard: Heard, way: Way, place: str) -> bytes:
    """As bytes, to an endpoint, or with `place` empty to the egress, which knows the way by what it is told."""
    dialect = way.pool.dialect
    goes = _GOES[dialect]
    sent = [pair for pair in fields.items() if goes(pair[0])]
    if dialect is Dialect.ANTHROPIC and b"anthropic-version" not in fields:
        sent.append(_ANTHROPIC_VERSION)
    sent.append((b"content-length", b"%d" % len(outgoing.body)))
    if not place:
        sent += _to_egress(outgoing, heard, way)
    elif way.shown is not None:
        sent.append(way.shown)
    lines = b"".join([b"%b: %b\r\n" % pair for pair in sent])
    target = f"{way.base}{outgoing.path}".encode("latin-1")
    host = ((way.name or place) if place else "egress").encode()
    return b"".join((b"POST ", target, b" HTTP/1.1\r\nhost: ", host, b"\r\n", lines, b"\r\n", outgoing.body))


def _rule(dialect: Dialect) -> Callable[[bytes], bool]:
    dropped = (*_OURS, *_OF_DIALECT[dialect])
    return lru_cache(maxsize=1024)(lambda name: name not in _DROPPED and not name.startswith(dropped))


#: Whether a field is passed on, by the engine's dialect.
_GOES = {dialect: _rule(dialect) for dialect in Dialect}


def _to_egress(outgoing: Outgoing, heard: Heard, way: Way) -> list[tuple[bytes, bytes]]:
    hosts = heard.hosts
    if 1 < heard.attempt <= len(hosts):  # to the egress it is the first one
        at = heard.attempt - 1
        hosts = hosts[at:] + hosts[:at]
    told = [
        (asking.CLUSTER, asking.pool_cluster(way.pool.name)),
        (asking.PATH, outgoing.path),
        (asking.HOST, ",".join(hosts)),
    ]
    return [(name.encode(), value.encode("latin-1")) for name, value in told if value]


def _reworded(heard: Heard, body: bytes, *, each: bool) -> Outgoing | Failure:
    """What asks for numbers, or does not, in words of its own."""
    asked = read(heard.operation, body)
    if isinstance(asked, Failure):
        return asked
    options = asked.body.members.get("stream_options")
    gets_each = isinstance(options, dict) and options.get("continuous_usage_stats") is True
    strip = Strip.ALL if not asked.wants_usage else Strip.NOTHING if gets_each or not each else Strip.EACH
    changed = rewriting.request(asked, model=_name(heard, asked), usage=True, each=each)
    return Outgoing(changed, heard.path, strip)


def _name(heard: Heard, asked: Asked) -> str:
    return str(json.loads(heard.name)) if heard.name is not None else asked.model


def misunderstood() -> Failure:
    """The request cannot be understood although the decider has let it pass."""
    return Failure(Reason.INTERNAL, "the gateway's parts do not understand each other: try again")
