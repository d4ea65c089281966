"""Credentials: the keys that providers are shown, as secrets of Envoy's, so that a renewed one touches no connection."""

from collections.abc import Iterator, Mapping, Sequence

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.model.ai import AiPool
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.modules.ailb.credential import FIELD, KeyFiles, read_credential, secret_name
from marchproxy.modules.http.extension import FileSecrets


def credential_secret(ai: AiPool, value: str) -> Resource:
    """The secret that the clusters of pools with this credential ask for; `value`: as `value_of` has it."""
    source = base_pb2.DataSource(inline_string=value)
    generic = secret_pb2.GenericSecret(secret=source)
    return Resource.of(secret_pb2.Secret(name=secret_name(ai), generic_secret=generic))


class CredentialFiles(FileSecrets):
    """The credentials of all pools."""

    def __init__(self) -> None:
        self._files = KeyFiles()

    def problems(self, pools: Sequence[BackendPool], /) -> Iterator[Problem]:
        """As a FileSecrets's."""
        for index, pool in enumerate(pools):
            ai = pool.ai
            if ai is not None and ai.credential and secret_name(ai) not in self._files:
                try:
                    read_credential(ai.credential)
                except UnusableFile as error:
                    yield Problem(f"pools[{index}].{FIELD}", str(error))

    def resources(self, pools: Sequence[BackendPool], /) -> Iterator[Resource]:
        """As a FileSecrets's."""
        for pool in pools:
            if pool.ai is not None and pool.ai.credential:
                self._files.look(pool.ai)
        for ai, value in self._files.values():
            yield credential_secret(ai, value)

    def changed(self) -> bool:
        """As a FileSecrets's."""
        return self._files.changed()

    def keep(self, pools: Sequence[BackendPool], /) -> None:
        """As a FileSecrets's."""
        self._files.keep({secret_name(pool.ai) for pool in pools if pool.ai is not None})

    def troubles(self, pools: Sequence[BackendPool], /) -> Mapping[PoolName, str]:
        """As a FileSecrets's."""
        faults = self._files.faults
        return {
            pool.name: f"{faults[name]}; the earlier one stays in use"
            for pool in pools
            if pool.ai is not None and (name := secret_name(pool.ai)) in faults
        }
