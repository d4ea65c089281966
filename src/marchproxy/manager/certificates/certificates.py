"""Certificates: judged, kept sealed in the store, and written where documents can name them."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from marchproxy.engines.certificates.facts import Facts, UnfitCertificate, facts_of
from marchproxy.engines.envoy.pem import UnusableFile, read_pair
from marchproxy.kit.clock import Clock
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.manager.certificates.naming import KnownCertificate, NamedPair, named_pairs
from marchproxy.model.changes import Document
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.model.record import StoredCertificate
from marchproxy.store import Store, StoreUnavailable

_log = get_logger(__name__)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_LARGEST = 256 * 1024  # bytes of a chain, and of a key
_CHAIN, _KEY = "cert.pem", "key.pem"


class Certificates:
    """Stored certificates in `directory`/NAME/{cert,key}.pem, mode 0600, and the facts of those in use.

    Files are read on this host: one that only an NLB elsewhere has is known by its name, with the trouble to read it.
    """

    def __init__(
        self, store: Store, directory: Path, document: Callable[[], Document], *, clock: Clock
    ) -> None:
        """`document`: the plain document in force."""
        self._store = store
        self._directory = directory.absolute()
        self._document = document
        self._clock = clock
        self._writing = asyncio.Lock()

    def files(self, name: str) -> tuple[Path, Path]:
        """Where a stored certificate and its key are, as documents name them."""
        return self._directory / name / _CHAIN, self._directory / name / _KEY

    async def restore(self) -> None:
        """Write every stored certificate whose files are not as stored.

        Raises StoreUnavailable; a folder that cannot be written is logged.
        """
        for stored in await self._store.certificates():
            try:
                async with self._writing:
                    await asyncio.to_thread(_write, self._directory / stored.name, stored)
            except OSError as error:
                _log.error("a certificate cannot be written", name=stored.name, reason=str(error))

    async def run(self) -> None:
        """Write what other managers of the same database store, until cancelled."""
        async for topic in self._store.changes():
            if topic != "certificates":
                continue
            try:
                await self.restore()
            except StoreUnavailable as error:
                _log.warning("certificates are looked at later", reason=str(error))

    async def known(self) -> tuple[KnownCertificate, ...]:
        """The stored ones by name, then the others that the document names, by path."""
        stored = await self._store.certificates()
        return await asyncio.to_thread(self._known, stored, tuple(named_pairs(self._document())))

    async def put(self, name: str, chain: bytes, key: bytes, *, by: str) -> KnownCertificate:
        """Store a certificate (PEM, the leaf first) and its key, and write both; an earlier one of that name is replaced.

        Raises InvalidValue for a pair that no Envoy would take, and Refused when it cannot be written.
        """
        problems = list(_faults(name, chain, key))
        if problems:
            raise InvalidValue(problems)
        stored = StoredCertificate(name, chain, key, self._clock.now(), by)
        try:
            async with self._writing:
                await asyncio.to_thread(_judge, self._directory, stored)
                await self._store.put_certificate(stored)
                await asyncio.to_thread(_write, self._directory / name, stored)
        except OSError as error:
            raise Refused(
                RefusalCode.ERROR, f"{self._directory / name} cannot be written: {error}"
            ) from error
        return next(found for found in await self.known() if found.name == name)

    async def remove(self, name: str) -> None:
        """Forget a stored certificate and its files. Raises Refused when it is named in the document, or not there."""
        certificate = str(self.files(name)[0])
        users = [pair.path for pair in named_pairs(self._document()) if pair.certificate == certificate]
        if users:
            text = f'the certificate "{name}" is in use by {", ".join(users)}; take it from there first'
            raise Refused(RefusalCode.ALREADY_EXISTS, text)
        async with self._writing:
            await self._store.remove_certificate(name)
            await asyncio.to_thread(shutil.rmtree, self._directory / name, ignore_errors=True)

    def _known(
        self, stored: tuple[StoredCertificate, ...], named: tuple[NamedPair, ...]
    ) -> tuple[KnownCertificate, ...]:
        own = {str(self.files(one.name)[0]): one for one in stored}
        users: dict[str, list[NamedPair]] = {}
        for pair in named:
            users.setdefault(pair.certificate, []).append(pair)
        kept = [self._stored(one, users.get(path, [])) for path, one in own.items()]
        others = [_named(path, pairs) for path, pairs in sorted(users.items()) if path not in own]
        return (*kept, *others)

    def _stored(self, one: StoredCertificate, users: list[NamedPair]) -> KnownCertificate:
        certificate, key = self.files(one.name)
        facts, trouble = _facts(one.chain_pem)
        paths = tuple(pair.path for pair in users)
        return KnownCertificate(
            one.name, str(certificate), str(key), facts, trouble, paths, one.created_at, one.by
        )


def _named(certificate: str, users: list[NamedPair]) -> KnownCertificate:
    key = users[0].key
    paths = tuple(pair.path for pair in users)
    try:
        chain, _ = read_pair(certificate, key)
    except UnusableFile as error:
        return KnownCertificate("", certificate, key, None, str(error), paths)
    return KnownCertificate("", certificate, key, *_facts(chain), paths)


def _facts(chain: bytes) -> tuple[Facts | None, str]:
    try:
        return facts_of(chain), ""
    except UnfitCertificate as error:
        return None, str(error)


def _faults(name: str, chain: bytes, key: bytes) -> list[Problem]:
    faults = []
    if not _NAME.fullmatch(name):
        message = "must be of lower-case letters, digits, dots, underscores and hyphens, at most 63"
        faults.append(Problem("name", message))
    for field, content in (("certificate", chain), ("key", key)):
        if len(content) > _LARGEST:
            faults.append(Problem(field, f"{len(content)} bytes are more than the {_LARGEST} allowed"))
    return faults


def _judge(directory: Path, stored: StoredCertificate) -> None:
    """Raise InvalidValue for a pair that cannot be used; it is tried as files, in a folder that nobody else reads."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".judged-") as folder:
        _write(Path(folder), stored)
        try:
            chain, _ = read_pair(str(Path(folder) / _CHAIN), str(Path(folder) / _KEY))
            facts_of(chain)
        except UnusableFile as error:
            message = str(error).replace(f"{folder}/", "")
            raise InvalidValue([Problem(error.field, message)]) from error
        except UnfitCertificate as error:
            raise InvalidValue([Problem("certificate", str(error))]) from error


def _write(folder: Path, stored: StoredCertificate) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # in between, the two do not fit, and whoever reads them sees that
    for name, content in ((_KEY, stored.key_pem), (_CHAIN, stored.chain_pem)):
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)
