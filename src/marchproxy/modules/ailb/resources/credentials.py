"""Credentials: the keys that providers are shown, read from files and kept in their last good form. Never logged.

They reach Envoy as secrets of their own, so that a renewed one touches no connection.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.kit.files import file_signature
from marchproxy.kit.logs import get_logger
from marchproxy.model.ai import AiPool, Provider
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.modules.http.extension import FileSecrets

_log = get_logger(__name__)
_LONGEST = 8192
_PLAIN = re.compile(rb"[\x21-\x7e]+")
_FIELD = "ai.credential"
_Signature = tuple[int, int, int] | None


def header_of(provider: Provider) -> str:
    """The header in which a provider looks for its key."""
    return "x-api-key" if provider is Provider.ANTHROPIC else "authorization"


def value_of(provider: Provider, key: str) -> str:
    """What stands in it."""
    return key if provider is Provider.ANTHROPIC else f"Bearer {key}"


def secret_name(ai: AiPool) -> str:
    """The secret's name; pools that show the same file alike share it."""
    return f"credential.{header_of(ai.provider)}.{ai.credential}"


def read_credential(path: str) -> str:
    """The key that a file holds. Raises UnusableFile, which never tells the key."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST + 1).strip()
    except OSError as error:
        raise UnusableFile(_FIELD, f"{path}: {error.strerror or error}") from error
    if len(content) > _LONGEST:
        raise UnusableFile(_FIELD, f"{path}: larger than {_LONGEST} bytes")
    if not content:
        raise UnusableFile(_FIELD, f"{path}: is empty; it holds the provider's key and nothing else")
    if _PLAIN.fullmatch(content) is None:
        raise UnusableFile(_FIELD, f"{path}: holds more than one word of ASCII; it is for the key alone")
    return content.decode("ascii")


def credential_secret(ai: AiPool, key: str) -> Resource:
    """The secret that the clusters of pools with this credential ask for."""
    source = base_pb2.DataSource(inline_string=value_of(ai.provider, key))
    generic = secret_pb2.GenericSecret(secret=source)
    return Resource.of(secret_pb2.Secret(name=secret_name(ai), generic_secret=generic))


class CredentialFiles(FileSecrets):
    """The credentials of all pools."""

    def __init__(self) -> None:
        self._good: dict[str, tuple[AiPool, _Signature, str]] = {}
        self._faulty: dict[str, str] = {}
        self._looked: dict[str, _Signature] = {}

    def problems(self, pools: Sequence[BackendPool], /) -> Iterator[Problem]:
        """As a FileSecrets's."""
        for index, pool in enumerate(pools):
            ai = pool.ai
            if ai is not None and ai.credential and secret_name(ai) not in self._good:
                try:
                    read_credential(ai.credential)
                except UnusableFile as error:
                    yield Problem(f"pools[{index}].{_FIELD}", str(error))

    def resources(self, pools: Sequence[BackendPool], /) -> Iterator[Resource]:
        """As a FileSecrets's."""
        for pool in pools:
            if pool.ai is not None and pool.ai.credential:
                self._look(pool.ai)
        for ai, _, key in self._good.values():
            yield credential_secret(ai, key)

    def changed(self) -> bool:
        """As a FileSecrets's."""
        before = self._looked
        self._looked = {name: file_signature(ai.credential) for name, (ai, _, _) in self._good.items()}
        return any(before.get(name, signature) != signature for name, signature in self._looked.items())

    def keep(self, pools: Sequence[BackendPool], /) -> None:
        """As a FileSecrets's."""
        wanted = {secret_name(pool.ai) for pool in pools if pool.ai is not None}
        self._good = {name: good for name, good in self._good.items() if name in wanted}
        self._faulty = {name: fault for name, fault in self._faulty.items() if name in wanted}

    def troubles(self, pools: Sequence[BackendPool], /) -> Mapping[PoolName, str]:
        """As a FileSecrets's."""
        return {
            pool.name: f"{self._faulty[name]}; the earlier one stays in use"
            for pool in pools
            if pool.ai is not None and (name := secret_name(pool.ai)) in self._faulty
        }

    def _look(self, ai: AiPool) -> None:
        name, signature = secret_name(ai), file_signature(ai.credential)
        known = self._good.get(name)
        if known is not None and known[1] == signature and signature is not None:
            self._faulty.pop(name, None)
            return
        try:
            self._good[name] = ai, signature, read_credential(ai.credential)
            self._faulty.pop(name, None)
        except UnusableFile as error:
            if known is None:
                raise
            if self._faulty.get(name) != str(error):
                _log.error("the earlier credential stays in use", reason=str(error))
            self._faulty[name] = str(error)
