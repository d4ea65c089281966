"""Files of pools with TLS: read, checked, and kept in their last good form.

A file that a renewal has half written must not stop a change: what was good before stays in use, and is told.
"""

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from marchproxy.engines.envoy.pem import UnusableFile, read_authorities, read_pair
from marchproxy.kit.files import file_signature
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, UpstreamTls
from marchproxy.model.problem import Problem
from marchproxy.modules.http.resources.upstream_tls import PoolMaterial

_log = get_logger(__name__)
# where systems keep the authorities that they trust: Debian, Fedora, SUSE, Alpine
_SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_Signature = tuple[tuple[int, int, int] | None, ...]


class PoolFiles:
    """The material of every pool with TLS."""

    def __init__(self) -> None:
        self._good: dict[UpstreamTls, tuple[_Signature, PoolMaterial]] = {}
        self._faulty: dict[UpstreamTls, str] = {}
        self._looked: dict[UpstreamTls, _Signature] = {}

    def problems(self, pools: Sequence[BackendPool]) -> Iterator[Problem]:
        """What is wrong with files that were never good: without them a pool cannot run. Paths as in the document."""
        for index, pool in enumerate(pools):
            if pool.tls is not None and pool.tls not in self._good and not pool.beyond_http:
                try:
                    read(pool.tls)
                except UnusableFile as error:
                    yield Problem(f"pools[{index}].tls.{error.field}", str(error))

    def material(self, pools: Sequence[BackendPool]) -> Mapping[UpstreamTls, PoolMaterial]:
        """What the files hold, or what they held when they were last good. Raises UnusableFile when they never were."""
        wanted = {pool.tls for pool in pools if pool.tls is not None}
        for tls in wanted:
            try:
                self._good[tls] = self._newest(tls)
                self._faulty.pop(tls, None)
            except UnusableFile as error:
                if tls not in self._good:
                    raise
                if self._faulty.get(tls) != str(error):
                    _log.error("the earlier certificates stay in use", reason=str(error))
                self._faulty[tls] = str(error)
        return {tls: self._good[tls][1] for tls in wanted}

    def changed(self) -> bool:
        """Whether a file in use was written since the last call; the first call tells of nothing."""
        before, self._looked = self._looked, {tls: _signature(tls) for tls in self._good}
        return any(before.get(tls, signature) != signature for tls, signature in self._looked.items())

    def keep(self, pools: Sequence[BackendPool]) -> None:
        """Forget the files of all other pools."""
        wanted = {pool.tls for pool in pools}
        self._good = {tls: good for tls, good in self._good.items() if tls in wanted}
        self._faulty = {tls: fault for tls, fault in self._faulty.items() if tls in wanted}

    def troubles(self, pools: Sequence[BackendPool]) -> Mapping[PoolName, str]:
        """The pools whose files are of no use now, and why; they run with what was there before."""
        return {
            pool.name: f"{self._faulty[pool.tls]}; the earlier one stays in use"
            for pool in pools
            if pool.tls is not None and pool.tls in self._faulty
        }

    def _newest(self, tls: UpstreamTls) -> tuple[_Signature, PoolMaterial]:
        signature = _signature(tls)
        known = self._good.get(tls)
        if known is not None and known[0] == signature and None not in signature:
            return known
        return signature, read(tls)


def read(tls: UpstreamTls) -> PoolMaterial:
    """Read and check the files. Raises UnusableFile."""
    ca = b"" if tls.insecure else read_authorities("ca", tls.ca or _system_authorities())
    if not tls.certificate:
        return PoolMaterial(ca)
    return PoolMaterial(ca, *read_pair(tls.certificate, tls.key))


def _signature(tls: UpstreamTls) -> _Signature:
    try:
        return tuple(file_signature(path) for path in _paths(tls))
    except UnusableFile:  # the system's own file is gone
        return (None,)


def _paths(tls: UpstreamTls) -> tuple[str, ...]:
    ca = () if tls.insecure else (tls.ca or _system_authorities(),)
    return ca + ((tls.certificate, tls.key) if tls.certificate else ())


def _system_authorities() -> str:
    """The file of those whom the system trusts; SSL_CERT_FILE goes before, as with OpenSSL. Raises UnusableFile."""
    defaults = ssl.get_default_verify_paths()
    places = (os.environ.get("SSL_CERT_FILE", ""), *_SYSTEM, defaults.openssl_cafile)
    for place in places:
        if place and Path(place).is_file():
            return place
    raise UnusableFile("ca", "the system has no file of authorities that it trusts; name one")
