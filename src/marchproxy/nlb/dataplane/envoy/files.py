"""Files of TLS listeners: read, checked, and kept in their last good form.

A file that a renewal has half written must not stop a plan: what was good before stays in use, and is told in the log.
"""

from collections.abc import Iterable, Iterator, Sequence

from marchproxy.engines.envoy.pem import UnusableFile, read_authorities, read_pair
from marchproxy.kit.logs import get_logger
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.problem import Problem
from marchproxy.nlb.dataplane.resources.tls import Material

_log = get_logger(__name__)


class TlsFiles:
    """The material of each listener with TLS, by name."""

    def __init__(self) -> None:
        self._good: dict[str, tuple[TlsTermination, Material]] = {}

    def problems(self, listeners: Sequence[Listener]) -> Iterator[Problem]:
        """What is wrong with the files now; paths as in the document."""
        for index, listener in enumerate(listeners):
            if listener.tls is None:
                continue
            try:
                read(listener.tls)
            except UnusableFile as error:
                yield Problem(f"listeners[{index}].tls.{error.field}", str(error))

    def material(self, listeners: Iterable[Listener]) -> dict[str, Material]:
        """What the files hold, or what they held when they were last good. Raises UnusableFile when they never were."""
        good: dict[str, tuple[TlsTermination, Material]] = {}
        for listener in listeners:
            if listener.tls is not None:
                good[listener.name] = (listener.tls, self._newest(listener, listener.tls))
        self._good = good
        return {name: material for name, (_, material) in good.items()}

    def _newest(self, listener: Listener, tls: TlsTermination) -> Material:
        try:
            return read(tls)
        except UnusableFile as error:
            known = self._good.get(listener.name)
            if known is None or known[0] != tls:
                raise
            _log.error("the certificate in use is kept", listener=listener.name, reason=str(error))
            return known[1]


def read(tls: TlsTermination) -> Material:
    """Read and check the files. Raises UnusableFile."""
    certificate, key = read_pair(tls.certificate, tls.key)
    client_ca = read_authorities("client_ca", tls.client_ca) if tls.client_ca else b""
    return Material(certificate, key, client_ca)
