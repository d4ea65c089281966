"""Told: what takes the place of a programmer where somebody else programs Envoy. It is told what that one does."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from marchproxy.engines.envoy.central import write_resources
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import ModuleType, PoolName
from marchproxy.model.problem import Problem
from marchproxy.model.state import DesiredState
from marchproxy.modules.alb.central.watch import CentralWatch
from marchproxy.modules.base.engine import Isolate
from marchproxy.modules.http.quarantine import NOTHING_HELD, Quarantine
from marchproxy.modules.http.resources.build import is_own
from marchproxy.modules.http.resources.fleet import FLEET, bounded, build_fleet

_log = get_logger(__name__)


class Told:
    """Changes nothing of what Envoy serves but its share of limits."""

    def __init__(self, fleet: Path, watch: CentralWatch) -> None:
        """`fleet`: the file in which Envoy finds how many instances there are. `watch`: who knows what it has. Raises OSError."""
        self._fleet = fleet
        self.watch = watch
        self._instances = 1
        if not fleet.exists():
            self._write()

    @property
    def quarantine(self) -> Quarantine:
        """Nothing is held back here."""
        return NOTHING_HELD

    @property
    def instances(self) -> int:
        """As an NLB said last; 1 before one has."""
        return self._instances

    def divide(self, instances: int) -> None:
        """Grant one of so many shares of each shared limit."""
        divided = bounded(instances)
        if divided != self._instances:
            self._instances = divided
            try:
                self._write()
            except OSError as error:
                _log.error("limits stay divided as before", file=str(self._fleet), reason=str(error))

    def faults(self, state: DesiredState) -> Iterator[Problem]:
        """What needs files of this machine, of which the central server knows nothing."""
        for index, route in enumerate(state.routes):
            if route.authentication and is_own(route, ModuleType.ALB):
                yield Problem(f"routes[{index}].authentication", "is not served by a central xDS server")

    def troubles(self) -> Mapping[PoolName, str]:
        """None that are known here."""
        return {}

    async def rehearse(self, state: DesiredState, isolate: Isolate) -> tuple[Problem, ...]:
        """It is for the central server to find out."""
        del state, isolate
        return ()

    async def apply(self, state: DesiredState, isolate: Isolate) -> tuple[Problem, ...]:
        """Take note, and look soon whether Envoy has it."""
        del state, isolate
        self.watch.hurry()
        return ()

    def _write(self) -> None:
        write_resources(self._fleet, [Resource.of(build_fleet(FLEET, self._instances))])
