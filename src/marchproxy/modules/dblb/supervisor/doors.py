"""Doors: how workers let clients in, as settings and files say it now."""

from marchproxy.modules.dblb.settings import DblbSettings
from marchproxy.modules.dblb.supervisor.certificates import ClientCertificates
from marchproxy.modules.dblb.talk import Serving


class Doors:
    """Of an instance; ports in `settings` are real ones."""

    def __init__(self, settings: DblbSettings, certificates: ClientCertificates | None = None) -> None:
        self._settings = settings
        self._certificates = certificates

    def serving(self) -> Serving:
        """What workers are told."""
        settings, certificates = self._settings, self._certificates
        material = None if certificates is None else certificates.material
        return Serving(settings.ports(), settings.proxy_sources, material, settings.drain_seconds)

    def look(self) -> bool:
        """Look at the certificates' files; whether workers are to be told again, for they hold something else."""
        return self._certificates is not None and self._certificates.look()

    def trouble(self) -> str:
        """Why what was good before goes on, as files are of no use now; empty: nothing is wrong."""
        return "" if self._certificates is None else self._certificates.trouble()
