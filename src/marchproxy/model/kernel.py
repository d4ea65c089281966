"""Kernel: what a listener asks for that the kernel's forwarding cannot do. Instances are judged apart (`plan`)."""

import ipaddress
from collections.abc import Iterator

from marchproxy.model.listener import DEFAULT_IDLE_TIMEOUT, Listener
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.problem import Problem


def kernel_limits(listener: Listener, path: str = "") -> Iterator[Problem]:
    """Everything that keeps the kernel from carrying it as it is written; `path` is the listener's in the document."""
    if listener.balance is BalancePolicy.LEAST_CONNECTIONS:
        yield Problem(
            f"{path}.balance",
            "the kernel cannot choose by open connections; use random, round_robin or source_hash",
        )
    if listener.idle_timeout not in {0.0, DEFAULT_IDLE_TIMEOUT}:
        yield Problem(f"{path}.idle_timeout", "the kernel has no idle timeout by listener; leave it out")
    yield from _needs_bytes(listener, path)
    yield from _other_family(listener, path)
    if listener.max_connections:
        yield Problem(
            f"{path}.max_connections",
            "the kernel counts connections by source only; use max_connections_per_source, or data_plane envoy",
        )
    if _is_loopback(listener.host):
        yield Problem(
            f"{path}.address",
            f"the kernel does not forward what comes to a loopback address ({listener.host})",
        )


def _needs_bytes(listener: Listener, path: str) -> Iterator[Problem]:
    asked = {
        "server_names": listener.server_names,
        "alpn": listener.alpn,
        "tls": listener.tls,
        "proxy_protocol": listener.proxy_protocol,
    }
    for key, value in asked.items():
        if value:
            yield Problem(f"{path}.{key}", "the kernel does not look into connections; use data_plane envoy")


def _other_family(listener: Listener, path: str) -> Iterator[Problem]:
    """Its rules are of one IP version; an `allow` of which nothing is left would let everybody in."""
    version = _version(listener.host)
    for key, networks in (("allow", listener.allow), ("deny", listener.deny)):
        if any(_version(network) != version for network in networks):
            yield Problem(
                f"{path}.{key}",
                f"at {listener.host} the kernel forwards IPv{version} and cannot compare it with other networks",
            )


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # no IP address at all, which is told elsewhere
