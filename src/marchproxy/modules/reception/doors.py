"""Doors: how clients are let in, as settings and files say it now."""

from collections.abc import Sequence

from marchproxy.modules.reception.certificates import ClientCertificates
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.serving import Serving


class Doors:
    """Of an instance; `ports` are real ones. See `Serving` for the rest."""

    def __init__(
        self,
        ports: Sequence[Port],
        sources: Sequence[str],
        drain_seconds: float,
        certificates: ClientCertificates | None = None,
    ) -> None:
        self._ports = tuple(ports)
        self._sources = tuple(sources)
        self._drain_seconds = drain_seconds
        self._certificates = certificates

    def serving(self) -> Serving:
        """What those who listen are told."""
        material = None if self._certificates is None else self._certificates.material
        return Serving(self._ports, self._sources, material, self._drain_seconds)

    def look(self) -> bool:
        """Look at the certificates' files; whether they who listen are to be told again, for they hold something else."""
        return self._certificates is not None and self._certificates.look()

    def trouble(self) -> str:
        """Why what was good before goes on, as files are of no use now; empty: nothing is wrong."""
        return "" if self._certificates is None else self._certificates.trouble()
