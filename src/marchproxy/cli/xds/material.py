"""Material: what the files of certificates hold that a document names, as nodes are given it over SDS."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from marchproxy.engines.envoy.pem import UnusableFile, read_authorities, read_pair
from marchproxy.engines.envoy.secrets import authorities_secret, certificate_secret
from marchproxy.engines.envoy.xds import Resource
from marchproxy.kit.files import file_signature
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import PoolName
from marchproxy.model.pool import UpstreamTls
from marchproxy.model.problem import InvalidValue, Problem
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.pool_files import read
from marchproxy.modules.http.resources.downstream_tls import DownstreamTls
from marchproxy.modules.http.resources.endpoints import Target
from marchproxy.modules.http.resources.pools import PoolFindings
from marchproxy.modules.http.resources.upstream_tls import PoolMaterial


@dataclass(frozen=True, slots=True)
class Material:
    """By listener its secrets, by pool's TLS what its files hold; `files` are all that were read.

    `endpoints` are those that were found, by pool; `albs` is among how many ALBs shared limits are divided.
    """

    listeners: Mapping[str, tuple[Resource, ...]] = field(default_factory=dict, repr=False)
    pools: Mapping[UpstreamTls, PoolMaterial] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    endpoints: Mapping[PoolName, tuple[Target, ...]] = field(default_factory=dict)
    albs: int = 1

    def findings(self, listeners: Iterable[Listener]) -> PoolFindings:
        """What the snapshot of some nodes is made of: of secrets those of their own listeners, and no others."""
        secrets = [secret for one in listeners for secret in self.listeners.get(one.name, ())]
        return PoolFindings(
            material=self.pools, endpoints=self.endpoints, secrets=tuple(secrets), instances=self.albs
        )


NO_MATERIAL = Material()


def read_material(state: DesiredState) -> Material:
    """Read the files that a document names. Raises InvalidValue with every one that cannot be used."""
    problems: list[Problem] = []
    listeners: dict[str, tuple[Resource, ...]] = {}
    pools: dict[UpstreamTls, PoolMaterial] = {}
    for index, listener in enumerate(state.listeners):
        if listener.tls is not None:
            try:
                listeners[listener.name] = tuple(_secrets(listener.name, listener.tls))
            except UnusableFile as error:
                problems.append(Problem(f"listeners[{index}].tls.{error.field}", str(error)))
    for index, pool in enumerate(state.pools):
        if pool.tls is not None and pool.tls not in pools and not pool.beyond_http:
            try:
                pools[pool.tls] = read(pool.tls)
            except UnusableFile as error:
                problems.append(Problem(f"pools[{index}].tls.{error.field}", str(error)))
    if problems:
        raise InvalidValue(problems)
    return Material(listeners, pools, tuple(dict.fromkeys(_files(state))))


def downstream_tls(listener: Listener) -> DownstreamTls | None:
    """What a listener shows and asks for, by the names of its secrets."""
    if listener.tls is None:
        return None
    client_ca = _authorities_name(listener.name) if listener.tls.client_ca else ""
    return DownstreamTls((_certificate_name(listener.name),), client_ca)


def signatures(files: Iterable[str]) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes when one of the files does."""
    return tuple(file_signature(file) for file in files)


def _secrets(name: str, tls: TlsTermination) -> Iterator[Resource]:
    pair = read_pair(tls.certificate, tls.key)
    yield Resource.of(certificate_secret(_certificate_name(name), *pair))
    if tls.client_ca:
        authorities = read_authorities("client_ca", tls.client_ca)
        yield Resource.of(authorities_secret(_authorities_name(name), authorities))


def _certificate_name(listener: str) -> str:
    return f"listener.{listener}.certificate"


def _authorities_name(listener: str) -> str:
    return f"listener.{listener}.client-ca"


def _files(state: DesiredState) -> Iterator[str]:
    for listener in state.listeners:
        if listener.tls is not None:
            yield from filter(None, (listener.tls.certificate, listener.tls.key, listener.tls.client_ca))
    for pool in state.pools:
        if pool.tls is not None and not pool.beyond_http:
            yield from filter(None, (pool.tls.ca, pool.tls.certificate, pool.tls.key))
