"""Certificates: the files that the section `https` names, as Envoy's secrets in their last good form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from marchproxy.engines.certificates.facts import Facts, UnfitCertificate, facts_of
from marchproxy.engines.certificates.section import CertificateFiles
from marchproxy.engines.certificates.self_signed import SelfSigned
from marchproxy.engines.certificates.watched import Watched
from marchproxy.engines.envoy.pem import UnusableFile, read_authorities, read_pair
from marchproxy.engines.envoy.secrets import authorities_secret, certificate_secret
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.model.series import Point
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.certificates.standing import Standing, certificate_points, with_certificates
from marchproxy.modules.http.https_section import HttpsSection
from marchproxy.modules.http.resources.downstream_tls import DownstreamTls

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Pair:
    facts: Facts
    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "_Pair(...)"  # a key never gets into a log


class Certificates:
    """What listeners show to clients, and by whom those of clients must be signed. Made by `open_certificates`."""

    def __init__(
        self,
        pairs: Sequence[tuple[CertificateFiles, Watched[_Pair]]],
        authorities: tuple[Path, Watched[bytes]] | None,
        made: SelfSigned | None,
        *,
        warning_days: int,
        clock: Clock,
    ) -> None:
        self._pairs = tuple(pairs)
        self._authorities = authorities
        self._made = made
        self._warning_days = warning_days
        self._clock = clock

    def look(self, *, at_once: bool = False) -> bool:
        """Look at the files; True when other secrets are to be published. `at_once`: in the middle of a change, too."""
        if self._made is not None:
            try:
                self._made.ensure(self._clock.now())
            except OSError as error:
                _log.error("cannot renew the self-signed certificate", reason=error.strerror or str(error))
        watched: list[Watched[_Pair] | Watched[bytes]] = [watched for _, watched in self._pairs]
        if self._authorities is not None:
            watched.append(self._authorities[1])
        changed = [one.look(at_once=at_once) for one in watched]
        if any(changed):
            _log.info("certificates have changed", files=[standing.file for standing in self.standings()])
        return any(changed)

    def take_back(self, name: str, reason: str) -> bool:
        """Go back to the secret that had the name before, as Envoy refuses the new one; False: there is none."""
        taken = [
            watched.take_back(f"{files.certificate}: Envoy refused it: {reason}")
            for files, watched in self._pairs
            if certificate_name(files.certificate) == name
        ]
        if self._authorities is not None and authorities_name(self._authorities[0]) == name:
            path, authorities = self._authorities
            taken.append(authorities.take_back(f"{path}: Envoy refused it: {reason}"))
        return any(taken)

    def resources(self) -> Iterator[Resource]:
        """The secrets that the listeners ask for."""
        for files, watched in self._pairs:
            name = certificate_name(files.certificate)
            yield Resource.of(certificate_secret(name, watched.content.certificate, watched.content.key))
        if self._authorities is not None:
            path, authorities = self._authorities
            yield Resource.of(authorities_secret(authorities_name(path), authorities.content))

    def judge(self, health: EngineHealth) -> EngineHealth:
        """The health of what shows these certificates; degraded when one expires soon, or its file is of no use."""
        now = self._clock.now()
        return with_certificates(health, self.standings(), now=now, warning_days=self._warning_days)

    def points(self) -> tuple[Point, ...]:
        """For metrics: days left, and whether files are of use."""
        return certificate_points(self.standings(), self._clock.now())

    def standings(self) -> tuple[Standing, ...]:
        """How it is with each file now."""
        found = [
            Standing(
                str(files.certificate),
                watched.content.facts.not_before,
                watched.content.facts.not_after,
                watched.trouble,
            )
            for files, watched in self._pairs
        ]
        if self._authorities is not None:
            path, authorities = self._authorities
            found.append(Standing(str(path), trouble=authorities.trouble))
        return tuple(found)


def open_certificates(https: HttpsSection, folder: Path, *, clock: Clock) -> Certificates:
    """Read all files; `folder` exists, and keeps what is made. Raises SettingsError with every fault of every file."""
    made = SelfSigned(folder, https.self_signed) if https.self_signed else None
    problems: list[Problem] = []
    try:
        if made is not None:
            made.ensure(clock.now())
    except OSError as error:
        reason = f"cannot write to {folder}: {error.strerror or error}"
        raise SettingsError([Problem("https.self_signed", reason)]) from error
    pairs: list[tuple[CertificateFiles, Watched[_Pair]]] = []
    for number, files in enumerate(_files_of(https, folder)):
        try:
            pairs.append((files, Watched((files.certificate, files.key), partial(_read, files))))
        except UnusableFile as error:
            problems.append(Problem(f"https.certificates[{number}].{error.field}", str(error)))
    authorities = None
    if (path := https.client_ca) is not None:
        try:
            read = partial(read_authorities, "client_ca", str(path))
            authorities = path, Watched((path,), read)
        except UnusableFile as error:
            problems.append(Problem("https.client_ca", str(error)))
    if problems:
        raise SettingsError(problems)
    return Certificates(pairs, authorities, made, warning_days=https.warning_days, clock=clock)


def tls_of(https: HttpsSection, folder: Path) -> DownstreamTls:
    """What the listeners ask for of what `Certificates` gives."""
    return DownstreamTls(
        tuple(certificate_name(files.certificate) for files in _files_of(https, folder)),
        "" if https.client_ca is None else authorities_name(https.client_ca),
        client_required=https.client_certificate == "required",
        minimum_version=https.minimum_version,
    )


def certificate_name(file: Path) -> str:
    """The secret's name; those of pools are called otherwise."""
    return f"https.certificate.{file}"


def authorities_name(file: Path) -> str:
    """The secret's name; those of pools are called otherwise."""
    return f"https.authorities.{file}"


def _files_of(https: HttpsSection, folder: Path) -> tuple[CertificateFiles, ...]:
    if not https.self_signed:
        return https.certificates
    made = SelfSigned(folder, https.self_signed)
    return (CertificateFiles(certificate=made.certificate, key=made.key),)


def _read(files: CertificateFiles) -> _Pair:
    certificate, key = read_pair(str(files.certificate), str(files.key))
    try:
        return _Pair(facts_of(certificate), certificate, key)
    except UnfitCertificate as error:
        raise UnusableFile("certificate", f"{files.certificate}: {error}") from error
