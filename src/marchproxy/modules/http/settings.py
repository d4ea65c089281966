"""What the settings of every module with an HTTP Envoy have."""

import ipaddress
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from marchproxy.engines.envoy.section import EnvoySection
from marchproxy.kit.settings import HostPort
from marchproxy.modules.base.settings import ModuleSettings
from marchproxy.modules.http.access_log_section import HttpAccessLog
from marchproxy.modules.http.downstream import Underscores
from marchproxy.modules.http.https_section import HttpsSection

#: The settings that are addresses of TCP ports which such a module opens.
ADDRESSES = ("grpc", "health", "metrics", "traffic", "proxy_traffic", "tls_traffic", "tls_proxy_traffic")


class JudgedEnvoySection(EnvoySection):
    """An Envoy whose changes are judged first."""

    validate_changes: bool = True
    """Whether every change is judged by an Envoy of its own before the one that serves is given it; up to 50 ms each."""


class HttpSettings(ModuleSettings):
    """One instance. A port of 0 anywhere is chosen by the system."""

    traffic: HostPort | None = HostPort("127.0.0.1", 10000)
    """Plain HTTP: clients, or an NLB that keeps the client's address by itself; none: closed."""
    proxy_traffic: HostPort | None = None
    """HTTP behind a PROXY protocol v2 header, which every connection must begin with; none: closed."""
    tls_traffic: HostPort | None = None
    """HTTPS: clients, or an NLB that keeps the client's address by itself; none: closed."""
    tls_proxy_traffic: HostPort | None = None
    """HTTPS behind a PROXY protocol v2 header; none: closed."""
    proxy_sources: Annotated[tuple[str, ...], Field(min_length=1)] = ("127.0.0.0/8", "::1/128")
    """The networks of the NLBs: only they may connect to `proxy_traffic` and `tls_proxy_traffic`, or a client could
    forge its address."""
    http3: bool = False
    """Whether HTTP/3 is spoken at the UDP port of `tls_traffic`, and told to clients of HTTPS by `alt-svc`."""
    https: HttpsSection = HttpsSection()
    """What HTTPS and HTTP/3 show, ask for and say; nothing to do with `tls`, which is gRPC's."""
    headers_with_underscores: Underscores = Underscores.REJECT
    """What becomes of a request's headers with a `_` in their name: some backends take it for a `-`."""
    resolvers: tuple[HostPort, ...] = ()
    """The DNS servers that are asked for endpoints of pools; none: those of the system."""
    access_log: HttpAccessLog | None = None
    """A line for each request; none: none are written."""
    envoy: JudgedEnvoySection = JudgedEnvoySection()
    stats_window: Annotated[int, Field(ge=1, le=300)] = 5
    """Seconds over which latency percentiles are taken."""

    @field_validator("proxy_sources")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network, strict=False)
        return networks

    @model_validator(mode="after")
    def _https_fits(self) -> Self:
        for wrong, words in self._misfits():
            if wrong:
                raise ValueError(words)
        return self

    def _misfits(self) -> tuple[tuple[bool, str], ...]:
        https = self.https
        shown = bool(https.certificates or https.self_signed)
        ports = "tls_traffic or tls_proxy_traffic"
        is_open = self.tls_traffic is not None or self.tls_proxy_traffic is not None
        return (
            (is_open and not shown, f"{ports} needs https.certificates, or names in https.self_signed"),
            (shown and not is_open, f"https.certificates and https.self_signed are for {ports}; give one"),
            (self.http3 and self.tls_traffic is None, "http3 needs tls_traffic, whose port it shares"),
            (
                https.client_ca is not None and not is_open,
                f"https.client_ca is for {ports}; give one",
            ),
            (
                bool(https.tls_ended_ports) and self.proxy_traffic is None,
                "https.tls_ended_ports needs proxy_traffic, where the NLB tells the port",
            ),
            (
                https.redirect_http and not is_open and not https.tls_ended_ports,
                f"https.redirect_http needs {ports}, or https.tls_ended_ports: nobody would answer there",
            ),
        )
