"""Checks of pools of origins: how streams get to them."""

from collections.abc import Iterator

from marchproxy.model.checks.protocols import in_words
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.rtmp import ORIGIN_PROTOCOLS, RtmpPool
from marchproxy.model.streams import StreamKey, key_fault

_PLAIN = RtmpPool()
_SMALLEST_WINDOW, _LARGEST_WINDOW = 4096, 2**31 - 1
_HEADERS = (0, 1, 2)


def check_origin_pool(pool: BackendPool, path: str) -> Iterator[Problem]:
    """Faults of a pool of a streaming protocol, or of one that has what only those have."""
    word = pool.protocol.value
    if pool.protocol not in ORIGIN_PROTOCOLS:
        key = "protocol" if pool.rtmp is None else "rtmp"
        yield Problem(
            f"{path}.{key}",
            f"origins are spoken to by {in_words(ORIGIN_PROTOCOLS)}, not by {word}; set protocol",
        )
        return
    discovery = pool.discovery
    if not (pool.endpoints or discovery.dns or discovery.srv or discovery.file):
        yield Problem(f"{path}.endpoints", "a pool of origins needs their addresses")
    if pool.protocol is Protocol.RTMPS and pool.tls is None:
        yield Problem(f"{path}.tls", "is needed with rtmps; `tls: {}` has all defaults")
    if pool.protocol is Protocol.RTMP and pool.tls is not None:
        yield Problem(f"{path}.tls", "goes with protocol: rtmps")
    if pool.health_check is not None and pool.health_check.path:
        yield Problem(f"{path}.health_check.path", f"is for HTTP; {word} has no such thing: remove it")
    yield from _check_options(pool.rtmp or _PLAIN, f"{path}.rtmp")


def _check_options(options: RtmpPool, path: str) -> Iterator[Problem]:
    if options.app:
        fault = key_fault(StreamKey("", options.app, "any"))
        if fault or "?" in options.app:
            yield Problem(f"{path}.app", f'"{options.app}" is no app: {fault or "a query is not part of it"}')
    if options.proxy_protocol not in _HEADERS:
        yield Problem(
            f"{path}.proxy_protocol",
            f"{options.proxy_protocol} is no version: 1 or 2, or 0 for no header at all",
        )
    if not _SMALLEST_WINDOW <= options.window <= _LARGEST_WINDOW:
        yield Problem(
            f"{path}.window",
            f"{options.window} is not between {_SMALLEST_WINDOW} and {_LARGEST_WINDOW} bytes",
        )
