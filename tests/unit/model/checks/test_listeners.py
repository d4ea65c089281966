"""What a listener may ask for by itself."""

from dataclasses import replace

import pytest

from marchproxy.model.checks import check_listeners
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BalancePolicy

TLS = TlsTermination("/c.pem", "/k.pem")
HTTPS = Listener("web", "0.0.0.0", 443, Protocol.HTTPS)
DATABASE = Listener("db", "0.0.0.0", 5432, Protocol.POSTGRES)
DNS = Listener("dns", "0.0.0.0", 53, Protocol.UDP)
KERNEL = Listener(
    "raw", "0.0.0.0", 1, Protocol.TCP, balance=BalancePolicy.RANDOM, data_plane=DataPlaneKind.KERNEL
)
DETECT = replace(HTTPS, data_plane=DataPlaneKind.DETECT)
ENVOY = replace(HTTPS, data_plane=DataPlaneKind.ENVOY)


@pytest.mark.parametrize(
    "listener",
    [
        replace(HTTPS, server_names=("a.example", "*.A.example", "xn--bcher-kva.example"), alpn=("h2", "x")),
        replace(HTTPS, server_names=("a.example",), tls=TLS),
        replace(HTTPS, tls=replace(TLS, client_ca="/ca.pem", alpn=("h2", "http/1.1"))),
        replace(HTTPS, protocol=Protocol.HTTP, tls=TLS, server_names=("a.example",)),
        replace(HTTPS, protocol=Protocol.REDIS, server_names=("a.example",)),  # TLS from the first byte
        replace(HTTPS, allow=("10.0.0.0/8", "::1", "192.0.2.7"), deny=("10.1.2.3/8",)),
        replace(HTTPS, max_connections=2**31 - 1, proxy_protocol=True),
        replace(HTTPS, proxy_protocol=True, trusted_proxies=("10.0.0.0/8",)),
        replace(DATABASE, proxy_protocol=True),
        replace(DNS, balance=BalancePolicy.RANDOM, allow=("10.0.0.0/8",), max_connections_per_source=5),
        replace(KERNEL, deny=("10.0.0.0/8",), max_connections_per_source=5),
        replace(DETECT, server_names=("a",), alpn=("h2",), max_connections=1, max_connections_per_source=1),
        replace(ENVOY, tls=TLS, max_connections=1, proxy_protocol=True),
        replace(HTTPS, max_connections=1, max_connections_per_source=1),  # auto: the detect data plane can
    ],
)
def test_sound_listeners(listener):
    assert list(check_listeners([listener])) == []


FAULTS = [
    (replace(HTTPS, server_names=("*",)), "server_names[0]", "leave it out"),
    (replace(HTTPS, server_names=("a", "a b")), "server_names[1]", "neither a host name nor *.a.host.name"),
    (replace(HTTPS, server_names=("a.*.example",)), "server_names[0]", "neither"),
    (replace(HTTPS, server_names=("10.0.0.1",)), "server_names[0]", "do not ask for 10.0.0.1 by name (RFC 6066"),
    (replace(HTTPS, alpn=("",)), "alpn[0]", '"" is not an ALPN protocol'),
    (replace(HTTPS, alpn=("h 2",)), "alpn[0]", "is not an ALPN protocol such as h2"),
    (replace(HTTPS, alpn=("h2", "h2")), "alpn[1]", "twice"),
    (replace(HTTPS, alpn=("x" * 256,)), "alpn[0]", "is not an ALPN protocol"),
    (replace(HTTPS, tls=replace(TLS, certificate="c.pem")), "tls.certificate", '"c.pem" is not the absolute path'),
    (replace(HTTPS, tls=replace(TLS, key="")), "tls.key", '"" is not the absolute path'),
    (replace(HTTPS, tls=replace(TLS, client_ca="/a\0b")), "tls.client_ca", "is not the absolute path"),
    (replace(HTTPS, tls=replace(TLS, alpn=("é",))), "tls.alpn[0]", "is not an ALPN protocol"),
    (replace(HTTPS, allow=("10.0.0.0/33",)), "allow[0]", "is not an IP network such as 10.0.0.0/8"),
    (replace(HTTPS, deny=("::/0", "a.example")), "deny[1]", "is not an IP network"),
    (replace(HTTPS, proxy_protocol=True, trusted_proxies=("x",)), "trusted_proxies[0]", "is not an IP network"),
    (replace(HTTPS, trusted_proxies=("::1",)), "trusted_proxies", "goes with proxy_protocol, which is not set"),
    (replace(HTTPS, max_connections=-1), "max_connections", "-1 is not between 0 and 2147483647"),
    (replace(HTTPS, max_connections_per_source=2**31), "max_connections_per_source", "is not between 0 and"),
    (replace(DNS, tls=TLS), "tls", "is for TCP; udp travels over UDP"),
    (replace(DNS, protocol=Protocol.HTTP3, alpn=("h3",)), "alpn", "is for TCP; http3 travels over UDP"),
    (replace(DNS, server_names=("a",)), "server_names", "is for TCP"),
    (replace(DNS, proxy_protocol=True), "proxy_protocol", "is for TCP"),
    (replace(DATABASE, tls=TLS), "tls", "PostgreSQL begins TLS in the middle of its own conversation"),
    (replace(DATABASE, protocol=Protocol.MYSQL, server_names=("a",)), "server_names", "leave it to the module"),
    (replace(HTTPS, protocol=Protocol.GRPC, alpn=("h2",)), "alpn", "give `tls`, or https as protocol"),
    (replace(HTTPS, protocol=Protocol.RTMP, server_names=("a",)), "server_names", "or rtmps as protocol"),
    (replace(KERNEL, tls=TLS), "tls", "the kernel does not look into connections; use data_plane envoy"),
    (replace(KERNEL, server_names=("a",)), "server_names", "the kernel does not look into"),
    (replace(KERNEL, alpn=("h2",)), "alpn", "the kernel does not look into"),
    (replace(KERNEL, proxy_protocol=True), "proxy_protocol", "the kernel does not look into"),
    (replace(KERNEL, allow=("10.0.0.0/8", "fd00::/8")), "allow", "at 0.0.0.0 the kernel forwards IPv4"),
    (replace(KERNEL, host="::", deny=("10.0.0.9",)), "deny", "at :: the kernel forwards IPv6"),
    (replace(KERNEL, max_connections=1), "max_connections", "by source only; use max_connections_per_source"),
    (replace(KERNEL, balance=BalancePolicy.LEAST_CONNECTIONS), "balance", "cannot choose by open connections"),
    (replace(KERNEL, idle_timeout=5.0), "idle_timeout", "the kernel has no idle timeout"),
    (replace(KERNEL, host="127.0.0.1"), "address", "does not forward what comes to a loopback address"),
    (replace(DETECT, tls=TLS), "tls", "the detect data plane does not end TLS; use data_plane envoy"),
    (replace(DETECT, protocol=Protocol.UDP), "data_plane", "the detect data plane does not forward UDP (udp)"),
    (replace(ENVOY, max_connections_per_source=1), "max_connections_per_source", "use data_plane kernel or detect"),
    (
        replace(HTTPS, tls=TLS, max_connections_per_source=1),
        "data_plane",
        "no data plane can do all of it: kernel: the kernel cannot choose by open connections; use random",
    ),
]  # fmt: skip


def test_each_data_plane_says_what_it_cannot():
    (problem,) = check_listeners([replace(HTTPS, tls=TLS, max_connections_per_source=1)])
    assert "; envoy: Envoy cannot count connections by source" in problem.message
    assert "; detect: the detect data plane does not end TLS" in problem.message


@pytest.mark.parametrize(("listener", "path", "message"), FAULTS)
def test_each_fault_is_told_once_at_its_path(listener, path, message):
    (problem,) = check_listeners([listener])
    assert problem.path == f"listeners[0].{path}"
    assert message in problem.message
