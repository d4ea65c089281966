"""What `explain` is asked: a URL and what goes with it, as messages of the contract. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2

_DATABASES = frozenset({"postgres", "postgresql", "mysql", "mongodb", "redis"})
_STREAMS = frozenset({"rtmp", "rtmps", "hls", "dash"})
#: Where a URL leads that names no port.
PORTS = {"http": 80, "https": 443, "rtmp": 1935}
_REQUESTS = {"http": types_pb2.PROTOCOL_HTTP, "https": types_pb2.PROTOCOL_HTTPS}
# what a connection carries; of tcp that is not known, so the listener's protocol decides
_CONNECTIONS = {
    "tcp": types_pb2.PROTOCOL_UNSPECIFIED,
    "udp": types_pb2.PROTOCOL_UDP,
    "postgres": types_pb2.PROTOCOL_POSTGRES,
    "postgresql": types_pb2.PROTOCOL_POSTGRES,
    "mysql": types_pb2.PROTOCOL_MYSQL,
    "mongodb": types_pb2.PROTOCOL_MONGODB,
    "redis": types_pb2.PROTOCOL_REDIS,
    "rtmp": types_pb2.PROTOCOL_RTMP,
    "rtmps": types_pb2.PROTOCOL_RTMPS,
    "hls": types_pb2.PROTOCOL_HLS,
    "dash": types_pb2.PROTOCOL_DASH,
}


class NotAQuestion(ValueError):
    """A URL or header that cannot be read; says how it is written."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, or a bare connection. `host` is the one asked for, `port` the one connected to.

    `sni`: the server name in the client's TLS hello, where it is another. `client`: its address, where it matters.
    `query`: without its question mark. `model`: of a language, that the body would name. `user`, `database` and
    `application`: of a database's client. `app` and `stream`: of a stream's, who asks for it at `host`.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    sni: str = ""
    client: str = ""
    query: str = ""
    user: str = ""
    database: str = ""
    application: str = ""
    app: str = ""
    stream: str = ""
    model: str = ""

    @property
    def is_request(self) -> bool:
        """Whether there is a request to be matched, or only a connection."""
        return self.scheme in _REQUESTS

    @property
    def is_session(self) -> bool:
        """Whether a client of a database or of a stream asks, who is refused and not answered with a status of HTTP."""
        return self.scheme in _DATABASES | _STREAMS

    def in_words(self) -> str:
        """The question on one line."""
        told = "".join(
            f" {word} {value}"
            for word, value in (
                ("of user", self.user),
                ("for database", self.database),
                ("as application", self.application),
                ("for stream", f"{self.app}/{self.stream}" if self.stream else ""),
                ("for model", self.model),
                ("with server name", self.sni),
                ("from", self.client),
            )
            if value
        )
        if not self.is_request:
            article = "an" if self.scheme in {"rtmp", "rtmps", "hls"} else "a"
            kind = "a connection" if self.scheme == "tcp" else f"{article} {self.scheme} connection"
            return f"{kind} to {self.host}:{self.port}{told}"
        query = f"?{self.query}" if self.query else ""
        return f"{self.method} {self.scheme}://{self.host}:{self.port}{self.path}{query}{told}"

    def for_nlb(self) -> nlb_pb2.RouteRequestRequest:
        """RouteRequest, without any effect on counters. The port picks the listener."""
        known = {
            "method": self.method if self.is_request else "",
            "sni": self.sni,
            "client": self.client,
            "query": self.query,
        }
        context = {key: value for key, value in known.items() if value}
        return nlb_pb2.RouteRequestRequest(route=self._route(), context=context, dry_run=True)

    def for_module(self, spoken: types_pb2.Protocol.ValueType) -> module_pb2.CanHandleRequest:
        """CanHandle; `spoken` is what the module gets from the listener, such as HTTP where TLS has ended there."""
        route = self._route()
        route.protocol = spoken
        if self.is_request:
            route.path_match = types_pb2.PATH_MATCH_KIND_EXACT
            route.methods.append(self.method)
        known = {
            "method": self.method,
            "explain": "true",
            "client": self.client,
            "query": self.query,
            "model": self.model,
            "user": self.user,
            "database": self.database,
            "application": self.application,
            "vhost": self.host if self.stream else "",
            "app": self.app,
            "stream": self.stream,
        }
        context = {key: value for key, value in known.items() if value}
        return module_pb2.CanHandleRequest(route=route, context=context)

    def _route(self) -> types_pb2.Route:
        if not self.is_request:
            return types_pb2.Route(protocol=_CONNECTIONS[self.scheme], destination_port=self.port)
        return types_pb2.Route(
            protocol=_REQUESTS[self.scheme],
            destination_pattern=self.host,
            destination_port=self.port,
            path_pattern=self.path,
            headers=self.headers,
        )


def read_question(
    url: str, method: str, headers: Sequence[str], *, sni: str = "", client: str = "", query: str = ""
) -> Question:
    """From what was typed; a Host header names the host that is asked for, `query` replaces the URL's.

    A database's URL is as its clients have it: postgres://USER@HOST:PORT/DATABASE?application_name=NAME. So is a stream's:
    rtmp://HOST/APP/STREAM; hls and dash in place of rtmp ask for the same by those.

    Raises NotAQuestion.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotAQuestion(f"{url}: {error}") from error
    if parts.scheme not in {*_REQUESTS, *_CONNECTIONS} or not parts.hostname:
        others = ", ".join(f"{scheme}://…" for scheme in _CONNECTIONS if scheme != "tcp")
        raise NotAQuestion(f"{url}: write http://host:port/path, https://…, tcp://host:port, or {others}")
    port = port or PORTS.get(parts.scheme, 0)
    if not port:
        raise NotAQuestion(f"{url}: which port? write {parts.scheme}://{parts.hostname}:PORT")
    fields = _read_headers(headers)
    asked = fields.pop("host", None)
    if parts.scheme in _DATABASES:
        return Question(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port,
            sni=sni,
            client=client,
            user=unquote(parts.username or ""),
            database=unquote(parts.path.removeprefix("/")),
            application=dict(parse_qsl(parts.query)).get("application_name", ""),
        )
    *app, stream = _segments(parts.path) if parts.scheme in _STREAMS else [""]
    return Question(
        scheme=parts.scheme,
        host=parts.hostname if asked is None else _without_port(asked),
        port=port,
        path=parts.path or "/",
        app="/".join(app),
        stream=stream,
        method=method.upper(),
        headers=fields,
        sni=sni or (parts.hostname if parts.scheme == "rtmps" and not _is_address(parts.hostname) else ""),
        client=client,
        query=query.removeprefix("?") or parts.query,
    )


def _segments(path: str) -> list[str]:
    """Of an app and of a stream, which is the last one; one alone says nothing of a stream."""
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    return segments if len(segments) > 1 else [*segments, ""]


def _read_headers(headers: Sequence[str]) -> dict[str, str]:
    fields = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise NotAQuestion(f'-H {header}: write "name: value"')
        fields[name.strip().lower()] = value.strip()
    return fields


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
