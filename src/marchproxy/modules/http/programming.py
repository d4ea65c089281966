"""Programming: what an engine needs of whoever brings its Envoy to a desired state."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from marchproxy.model.module import PoolName
from marchproxy.model.problem import Problem
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import Isolate
from marchproxy.modules.http.quarantine import Quarantine


class Programs(Protocol):
    """See `Programmer`, which does it over xDS from this process."""

    @property
    def quarantine(self) -> Quarantine:
        """What of the applied state Envoy is not given."""
        ...

    @property
    def instances(self) -> int:
        """Among how many limits are divided."""
        ...

    def divide(self, instances: int) -> None:
        """Divide them among so many from now on."""
        ...

    def faults(self, state: DesiredState) -> Iterable[Problem]:
        """What keeps a sound state from running."""
        ...

    def troubles(self) -> Mapping[PoolName, str]:
        """What is wrong around each pool that runs all the same."""
        ...

    async def rehearse(self, state: DesiredState, isolate: Isolate) -> Sequence[Problem]:
        """What Envoy would refuse of a state."""
        ...

    async def apply(self, state: DesiredState, isolate: Isolate) -> Sequence[Problem]:
        """Run a state; the problems of what is set aside. Raises Refused."""
        ...
