"""Checks of listeners, each by itself; those at one address are looked at together in `sharing`."""

import re
from collections.abc import Iterator, Sequence

from marchproxy.model.checks.sharing import check_sharing
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import HTTP_FAMILY, Protocol
from marchproxy.model.problem import Problem
from marchproxy.model.route import VersionWeight
from marchproxy.model.rules import (
    HOST,
    check_count,
    check_duration,
    check_name,
    check_networks,
    check_shares,
    duplicates,
    ip_address,
)
from marchproxy.model.sharing import names_hello

_ALPN = re.compile(r"[\x21-\x7e]{1,255}")  # RFC 7301 allows any bytes; those registered are printable
_TLS_INSIDE = {Protocol.POSTGRES: "PostgreSQL", Protocol.MYSQL: "MySQL"}
#: protocols that are not TLS while another word stands for the same in TLS
_IN_THE_CLEAR = {**dict.fromkeys(HTTP_FAMILY, "https"), Protocol.RTMP: "rtmps"}


def check_listeners(listeners: Sequence[Listener]) -> Iterator[Problem]:
    """Faults of the NLB's listeners."""
    yield from duplicates("listeners", "name", listeners, lambda listener: listener.name)
    for index, listener in enumerate(listeners):
        path = f"listeners[{index}]"
        yield from check_name(listener.name, f"{path}.name")
        if not 1 <= listener.port <= 65535:
            yield Problem(f"{path}.address", f"port {listener.port} is not between 1 and 65535")
        if ip_address(listener.host) is None:
            yield Problem(
                f"{path}.address", f'"{listener.host}" is not an IP address; use 0.0.0.0 for every IPv4 one'
            )
        yield from check_version_weights(listener.version_weights, f"{path}.version_weights")
        yield from check_duration(listener.idle_timeout, f"{path}.idle_timeout")
        yield from _check_clients(listener, path)
        yield from _check_hello(listener, path)
        yield from _check_protocol(listener, path)
    yield from check_sharing(listeners)


def check_version_weights(weights: Sequence[VersionWeight], path: str) -> Iterator[Problem]:
    """Faults of a split between versions; no split at all is sound."""
    yield from duplicates(path, "version", weights, lambda item: item.version)
    for item in weights:
        yield from check_name(item.version, f"{path}.{item.version}")
    yield from check_shares([(f"{path}.{item.version}", item.weight) for item in weights], path)


def _check_clients(listener: Listener, path: str) -> Iterator[Problem]:
    """Who may connect, and how often."""
    yield from check_networks(listener.allow, f"{path}.allow")
    yield from check_networks(listener.deny, f"{path}.deny")
    yield from check_networks(listener.trusted_proxies, f"{path}.trusted_proxies")
    yield from check_count(listener.max_connections, f"{path}.max_connections")
    yield from check_count(listener.max_connections_per_source, f"{path}.max_connections_per_source")
    if listener.trusted_proxies and not listener.proxy_protocol:
        yield Problem(f"{path}.trusted_proxies", "goes with proxy_protocol, which is not set")


def _check_hello(listener: Listener, path: str) -> Iterator[Problem]:
    for number, name in enumerate(listener.server_names):
        where = f"{path}.server_names[{number}]"
        if name == "*":
            yield Problem(where, "any name is what a listener without server_names takes; leave it out")
        elif not HOST.fullmatch(name):
            yield Problem(where, f'"{name}" is neither a host name nor *.a.host.name')
        elif ip_address(name) is not None:
            yield Problem(where, f"clients do not ask for {name} by name (RFC 6066, section 3)")
    yield from _check_alpn(listener.alpn, f"{path}.alpn")
    if listener.tls is not None:
        yield from _check_tls(listener.tls, f"{path}.tls")


def _check_alpn(protocols: Sequence[str], path: str) -> Iterator[Problem]:
    for number, protocol in enumerate(protocols):
        if not _ALPN.fullmatch(protocol):
            yield Problem(f"{path}[{number}]", f'"{protocol}" is not an ALPN protocol such as h2')
        elif protocol in protocols[:number]:
            yield Problem(f"{path}[{number}]", f'"{protocol}" stands there twice')


def _check_tls(tls: TlsTermination, path: str) -> Iterator[Problem]:
    for key, file in (("certificate", tls.certificate), ("key", tls.key), ("client_ca", tls.client_ca)):
        if not file and key == "client_ca":
            continue
        if not file.startswith("/") or "\0" in file:
            yield Problem(f"{path}.{key}", f'"{file}" is not the absolute path of a file on the NLB\'s host')
    yield from _check_alpn(tls.alpn, f"{path}.alpn")


def _check_protocol(listener: Listener, path: str) -> Iterator[Problem]:
    """What the protocol rules out."""
    word = listener.protocol.value
    asked = [key for key in ("tls", "server_names", "alpn") if getattr(listener, key)]
    if listener.over_udp:
        for key in (*asked, *(["proxy_protocol"] if listener.proxy_protocol else [])):
            yield Problem(f"{path}.{key}", f"is for TCP; {word} travels over UDP")
    elif (name := _TLS_INSIDE.get(listener.protocol)) is not None:
        for key in asked:
            yield Problem(
                f"{path}.{key}",
                f"{name} begins TLS in the middle of its own conversation; leave it to the module behind",
            )
    elif listener.tls is None and names_hello(listener) and listener.protocol in _IN_THE_CLEAR:
        in_tls = _IN_THE_CLEAR[listener.protocol]
        yield Problem(
            f"{path}.{asked[0]}",
            f"is about TLS, which {word} is not; give `tls`, or {in_tls} as protocol to pass TLS through",
        )
