"""Pools as Envoy's resources: a cluster, its endpoints, and the secrets of its TLS."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, UpstreamTls
from marchproxy.modules.http.extension import NOTHING_ADDED, Extension
from marchproxy.modules.http.resources.clusters import build_cluster, build_endpoints, dns_resolver
from marchproxy.modules.http.resources.endpoints import Target
from marchproxy.modules.http.resources.upstream_tls import PoolMaterial, pool_secrets


@dataclass(frozen=True, slots=True)
class PoolFindings:
    """What was read and found outside the document: of the files of TLS, and of endpoints by pool.

    `secrets` are those of the listeners; `instances` is how many ALBs share what is limited, this one included.
    """

    material: Mapping[UpstreamTls, PoolMaterial] = field(default_factory=dict)
    endpoints: Mapping[PoolName, tuple[Target, ...]] = field(default_factory=dict)
    secrets: tuple[Resource, ...] = ()
    instances: int = 1


NOTHING_FOUND = PoolFindings()


class PoolTable:
    """Builds the resources of pools, and remembers them: a change of one of 1,000 costs one."""

    def __init__(self, resolvers: Sequence[HostPort] = (), extension: Extension = NOTHING_ADDED) -> None:
        """`resolvers`: whom Envoy asks for host names; none: whom the system asks."""
        self._dns = dns_resolver(resolvers) if resolvers else None
        self._extension = extension
        self._built: dict[tuple[int, ...], tuple[object, tuple[Resource, ...]]] = {}

    def build(
        self, pools: Iterable[BackendPool], hashed: Collection[PoolName], findings: PoolFindings
    ) -> Iterator[Resource]:
        """Every resource once. `hashed`: the pools to which a route keeps its sessions by a hash.

        Raises KeyError for a pool with TLS and no material.
        """
        kept: dict[tuple[int, ...], tuple[object, tuple[Resource, ...]]] = {}
        built: dict[tuple[object, str], Resource] = {}  # pools share the secrets of the same files
        for pool in pools:
            if pool.beyond_http:
                continue
            material = None if pool.tls is None else findings.material[pool.tls]
            found = findings.endpoints.get(pool.name, ())
            # values are frozen and kept alive beside what was made of them, so identity tells what is new
            key = (id(pool), pool.name in hashed, id(material), id(found))
            kept[key] = self._built.get(key) or (
                (pool, material, found),
                tuple(self._resources(pool, material, found, hashed=pool.name in hashed)),
            )
            built.update({(resource.type, resource.name): resource for resource in kept[key][1]})
        self._built = kept
        yield from built.values()

    def _resources(
        self,
        pool: BackendPool,
        material: PoolMaterial | None,
        found: tuple[Target, ...],
        *,
        hashed: bool,
    ) -> Iterator[Resource]:
        cluster = build_cluster(pool, hashed=hashed)
        endpoints = build_endpoints(pool, found)
        if endpoints is not None:
            yield Resource.of(endpoints)
        elif self._dns is not None:
            cluster.typed_dns_resolver_config.CopyFrom(self._dns)
        self._extension.extend_cluster(cluster, pool)
        yield Resource.of(cluster)
        yield from self._extension.pool_resources(pool)
        if pool.tls is not None and material is not None:
            for secret in pool_secrets(pool.tls, material):
                yield Resource.of(secret)
