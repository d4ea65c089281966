"""Upstream TLS: what TLS to the servers of a pool begins with."""

import ssl
from functools import lru_cache
from pathlib import Path

from marchproxy.model.pool import UpstreamTls


class TlsFault(OSError):
    """The files of a pool's TLS are of no use; says which, and why."""


def context_of(tls: UpstreamTls) -> ssl.SSLContext:
    """What TLS to the servers of a pool begins with; files that have changed are read again. Raises TlsFault."""
    paths = [path for path in (tls.ca, tls.certificate, tls.key) if path]
    try:
        return _context(tls, tuple(Path(path).stat().st_mtime_ns for path in paths))
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(paths) or "the system's certificates"
        raise TlsFault(f"TLS to the servers cannot begin with {named}: {error}") from error


@lru_cache(maxsize=64)
def _context(tls: UpstreamTls, _written: tuple[int, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca or None)
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key or None)
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
