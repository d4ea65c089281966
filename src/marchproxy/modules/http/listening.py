"""Listening: the settings of a module as the listeners that its Envoy opens, and the endpoints that NLBs are told of."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from marchproxy.kit.listening import PortInUse, check_free, choose_port
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol, TrafficEndpoint
from marchproxy.modules.http.certificates import tls_of
from marchproxy.modules.http.resources import ListenerSpec
from marchproxy.modules.http.settings import ADDRESSES, HttpSettings

_HTTPS_PORT = 443
_TRIES = 20
S = TypeVar("S", bound=HttpSettings)
_ALT_SVC_SECONDS = 24 * 3600


def choose_ports(settings: S) -> S:
    """The settings with ports that are free now in place of 0. Raises BindError."""
    given = {name: address for name in ADDRESSES if (address := getattr(settings, name)) is not None}
    chosen = {name: choose_port(address) for name, address in given.items()}
    if settings.http3 and settings.tls_traffic is not None and settings.tls_traffic.port == 0:
        chosen["tls_traffic"] = _port_of_both(settings.tls_traffic)
    return settings.model_copy(update=chosen)


def _port_of_both(address: HostPort) -> HostPort:
    """A port that is free for TCP and for UDP."""
    for _ in range(_TRIES):
        chosen = choose_port(address)
        with suppress(PortInUse):
            check_free(chosen, "tls_traffic", udp=True)
            return chosen
    raise PortInUse(address, "tls_traffic")


def endpoints(settings: HttpSettings) -> tuple[TrafficEndpoint, ...]:
    """What the instance tells the NLB of its traffic ports."""
    http3 = settings.tls_traffic if settings.http3 else None
    ports = (
        ("http", Protocol.HTTP, settings.traffic, False),
        ("http-proxied", Protocol.HTTP, settings.proxy_traffic, True),
        ("https", Protocol.HTTPS, settings.tls_traffic, False),
        ("https-proxied", Protocol.HTTPS, settings.tls_proxy_traffic, True),
        ("http3", Protocol.HTTP3, http3, False),
    )
    return tuple(
        TrafficEndpoint(name, protocol, str(settings.reachable(address)), proxied)
        for name, protocol, address, proxied in ports
        if address is not None
    )


def listeners(settings: HttpSettings, folder: Path) -> Iterator[ListenerSpec]:
    """The listeners of these settings, whose ports are real ones; `folder` keeps certificates that are made."""
    https = settings.https
    hsts = (("strict-transport-security", https.hsts.header()),) if https.hsts else ()
    redirect_port = public_port(settings) if https.redirect_http else 0
    underscores = settings.headers_with_underscores
    if (where := settings.traffic) is not None:
        yield ListenerSpec(
            "http", where.host, where.port, redirect_port=redirect_port, underscores=underscores
        )
    if (where := settings.proxy_traffic) is not None:
        yield ListenerSpec(
            "http-proxied",
            where.host,
            where.port,
            settings.proxy_sources,
            tls_ended_ports=https.tls_ended_ports,
            secure_headers=hsts,
            redirect_port=redirect_port,
            underscores=underscores,
        )
    yield from _secure_listeners(settings, folder, hsts)


def _secure_listeners(
    settings: HttpSettings, folder: Path, hsts: tuple[tuple[str, str], ...]
) -> Iterator[ListenerSpec]:
    tls, underscores = tls_of(settings.https, folder), settings.headers_with_underscores
    other_ways = (("alt-svc", f'h3=":{public_port(settings)}"; ma={_ALT_SVC_SECONDS}'),)
    headers = (*hsts, *(other_ways if settings.http3 else ()))
    if (where := settings.tls_traffic) is not None:
        spec = ListenerSpec(
            "https", where.host, where.port, tls=tls, secure_headers=headers, underscores=underscores
        )
        yield spec
        if settings.http3:
            yield replace(spec, name="http3", quic=True)
    if (where := settings.tls_proxy_traffic) is not None:
        yield ListenerSpec(
            "https-proxied",
            where.host,
            where.port,
            settings.proxy_sources,
            tls=tls,
            secure_headers=headers,
            underscores=underscores,
        )


def public_port(settings: HttpSettings) -> int:
    """The port that clients use for https."""
    own = settings.tls_traffic.port if settings.tls_traffic is not None else _HTTPS_PORT
    return settings.https.public_port or own


def check_ports(settings: HttpSettings) -> None:
    """Raise PortInUse or BindError for a traffic port that somebody has.

    Envoy listens with SO_REUSEPORT and would silently share a port with another process that does.
    """
    for name in ("traffic", "proxy_traffic", "tls_traffic", "tls_proxy_traffic"):
        address: HostPort | None = getattr(settings, name)
        if address is not None:
            check_free(address, name)
    if settings.http3 and settings.tls_traffic is not None:
        check_free(settings.tls_traffic, "tls_traffic", udp=True)
