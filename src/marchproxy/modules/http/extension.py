"""Extension: what a module adds to the gateway that all modules with an HTTP Envoy share. By itself it adds nothing.

A module's own filters stand in every listener and are off, as the shared ones are; its routes turn them on.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from marchproxy.engines.envoy.log_rotation import RotationLimits
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.model.module import ModuleType, PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route


class Extension:
    """Additions to Envoy's resources. Pure: the same arguments, the same additions. `module`: whose routes are served."""

    module = ModuleType.ALB

    def filters(self) -> Iterable[Any]:
        """HttpFilters of every listener, behind the shared ones and before the router."""
        return ()

    def extend_manager(self, manager: Any) -> None:
        """Change an HttpConnectionManager that serves routes."""

    def extend_listener(self, listener: Any) -> None:
        """Change a Listener, all of whose chains are there."""

    def marked(self, _pools: Sequence[BackendPool], /) -> frozenset[PoolName]:
        """The pools that make a difference to routes which name them."""
        return frozenset()

    def extend_route(self, message: Any, route: Route, *, marked: bool) -> None:
        """Change one of the messages of a route; some of them answer by themselves. `marked`: it names a pool that is."""

    def extend_cluster(self, cluster: Any, pool: BackendPool) -> None:
        """Change the Cluster of a pool."""

    def pool_resources(self, _pool: BackendPool, /) -> Iterable[Resource]:
        """What a pool needs beside its cluster and endpoints. Of the same pool it must be the same."""
        return ()

    def logs(self) -> Iterable[tuple[Path, RotationLimits]]:
        """Files that Envoy appends to beside the access log, and how large they become."""
        return ()

    def resources(self) -> Iterable[Resource]:
        """What every draft has."""
        return ()


class FileSecrets:
    """Secrets of pools that lie in files. By itself there are none."""

    def problems(self, _pools: Sequence[BackendPool], /) -> Iterable[Problem]:
        """What keeps pools from running at all. Paths as in the document."""
        return ()

    def resources(self, _pools: Sequence[BackendPool], /) -> Iterable[Resource]:
        """Secrets of these pools, as they are now or were when they were last good, and of those that run.

        Raises UnusableFile when one never was.
        """
        return ()

    def changed(self) -> bool:
        """Whether a file in use was written since the last call; the first call tells of nothing."""
        return False

    def keep(self, pools: Sequence[BackendPool]) -> None:
        """These pools run now; forget all others."""

    def troubles(self, _pools: Sequence[BackendPool], /) -> Mapping[PoolName, str]:
        """The pools whose files are of no use now, and why."""
        return {}


NOTHING_ADDED = Extension()
NO_FILES = FileSecrets()
