"""What `explain` is asked: a URL and what goes with it, as messages of the contract. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2

_PORTS = {"http": 80, "https": 443}
_PROTOCOLS = {"http": types_pb2.PROTOCOL_HTTP, "https": types_pb2.PROTOCOL_HTTPS}


class NotAQuestion(ValueError):
    """A URL or header that cannot be read; says how it is written."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, or (`tcp`) a bare connection. `host` is the one asked for, `port` the one connected to."""

    scheme: str
    host: str
    port: int
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_request(self) -> bool:
        """Whether there is a request to be matched, or only a connection."""
        return self.scheme != "tcp"

    def in_words(self) -> str:
        """The question on one line."""
        if not self.is_request:
            return f"a connection to {self.host}:{self.port}"
        return f"{self.method} {self.scheme}://{self.host}:{self.port}{self.path}"

    def for_nlb(self) -> nlb_pb2.RouteRequestRequest:
        """RouteRequest, without any effect on counters. The port picks the listener."""
        context = {"method": self.method} if self.is_request else {}
        return nlb_pb2.RouteRequestRequest(route=self._route(), context=context, dry_run=True)

    def for_module(self, listener: types_pb2.Protocol.ValueType) -> module_pb2.CanHandleRequest:
        """CanHandle, with the listener's protocol where only the connection is known."""
        route = self._route()
        if self.is_request:
            route.path_match = types_pb2.PATH_MATCH_KIND_EXACT
            route.methods.append(self.method)
        else:
            route.protocol = listener
        context = {"method": self.method, "explain": "true"}
        return module_pb2.CanHandleRequest(route=route, context=context)

    def _route(self) -> types_pb2.Route:
        if not self.is_request:
            # what a connection carries is not known: the listener's protocol decides
            return types_pb2.Route(destination_port=self.port)
        return types_pb2.Route(
            protocol=_PROTOCOLS[self.scheme],
            destination_pattern=self.host,
            destination_port=self.port,
            path_pattern=self.path,
            headers=self.headers,
        )


def read_question(url: str, method: str, headers: Sequence[str]) -> Question:
    """From what was typed; a Host header names the host that is asked for. Raises NotAQuestion."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotAQuestion(f"{url}: {error}") from error
    if parts.scheme not in {*_PORTS, "tcp"} or not parts.hostname:
        raise NotAQuestion(f"{url}: write http://host:port/path, https://… or tcp://host:port")
    port = port or _PORTS.get(parts.scheme, 0)
    if not port:
        raise NotAQuestion(f"{url}: which port? write tcp://{parts.hostname}:PORT")
    fields = _read_headers(headers)
    asked = fields.pop("host", None)
    return Question(
        scheme=parts.scheme,
        host=parts.hostname if asked is None else _without_port(asked),
        port=port,
        path=parts.path or "/",
        method=method.upper(),
        headers=fields,
    )


def _read_headers(headers: Sequence[str]) -> dict[str, str]:
    fields = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise NotAQuestion(f'-H {header}: write "name: value"')
        fields[name.strip().lower()] = value.strip()
    return fields


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
