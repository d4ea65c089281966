"""Certificates: what clients are shown, copied to where workers find it, and only ever in a form that is good."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from marchproxy.engines.certificates.self_signed import SelfSigned
from marchproxy.engines.certificates.watched import Watched
from marchproxy.engines.envoy.pem import UnusableFile, read_authorities, read_pair
from marchproxy.kit.clock import Clock
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.modules.reception.section import ClientTlsSection
from marchproxy.modules.reception.serving import TlsMaterial

_log = get_logger(__name__)
#: Files, what reads them, and where to what they hold is copied.
_Wanted: TypeAlias = tuple[tuple[Path, ...], Callable[[], Sequence[bytes]], tuple[Path, ...]]


class ClientCertificates:
    """The files of `client_tls`. `folder` exists, and keeps the copies, and what is made."""

    def __init__(self, section: ClientTlsSection, folder: Path, *, clock: Clock) -> None:
        """Raises SettingsError with every fault of every file."""
        self._clock = clock
        self._made = SelfSigned(folder, section.self_signed) if section.self_signed else None
        copies = folder / "clients.crt", folder / "clients.key"
        self._authorities = folder / "clients-ca.crt" if section.client_ca is not None else None
        self.material = TlsMaterial(
            str(copies[0]), str(copies[1]), str(self._authorities or ""), section.required
        )
        """Where workers find it."""
        problems: list[Problem] = []
        self._watched: list[tuple[Watched[Sequence[bytes]], Sequence[Path]]] = []
        self._ensure()
        pair = self._pair(section)
        wanted: list[_Wanted] = [(pair, partial(_pair, *map(str, pair)), copies)]
        if (path := section.client_ca) is not None and self._authorities is not None:
            wanted.append(((path,), partial(_authorities, str(path)), (self._authorities,)))
        for files, read, targets in wanted:
            try:
                self._watched.append((Watched(files, read), targets))
            except UnusableFile as error:
                problems.append(Problem(f"client_tls.{error.field}", str(error)))
        if problems:
            raise SettingsError(problems)
        self._copy()

    def look(self) -> bool:
        """Look at the files; whether there is something else now, which is good and has been copied."""
        self._ensure()
        changed = [watched.look() for watched, _ in self._watched]
        if any(changed):
            self._copy()
            _log.info("certificates for clients have changed")
        return any(changed)

    def trouble(self) -> str:
        """Why files are of no use now, while what was good before goes on; empty: nothing is wrong."""
        return next((watched.trouble for watched, _ in self._watched if watched.trouble), "")

    def _pair(self, section: ClientTlsSection) -> tuple[Path, Path]:
        if self._made is not None:
            return self._made.certificate, self._made.key
        if section.certificate is None or section.key is None:
            raise ValueError("a section without certificates")
        return section.certificate, section.key

    def _ensure(self) -> None:
        if self._made is None:
            return
        try:
            self._made.ensure(self._clock.now())
        except OSError as error:
            _log.error("cannot make the self-signed certificate", reason=error.strerror or str(error))

    def _copy(self) -> None:
        for watched, targets in self._watched:
            for content, target in zip(watched.content, targets, strict=True):
                write_atomically(target, content, durable=False)


def _pair(certificate: str, key: str) -> Sequence[bytes]:
    return read_pair(certificate, key)


def _authorities(path: str) -> Sequence[bytes]:
    return (read_authorities("client_ca", path),)
