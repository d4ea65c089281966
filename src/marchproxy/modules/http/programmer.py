"""Programmer: brings Envoy to a desired state with what lies around it, and keeps it there as that changes."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import beside
from marchproxy.model.module import PoolName
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import Isolate
from marchproxy.modules.http.blame import blame, narrowed
from marchproxy.modules.http.credentials import UnreadableCredentials, read_credentials
from marchproxy.modules.http.isolation import Isolation
from marchproxy.modules.http.mixture import Inputs
from marchproxy.modules.http.publication import Publication, Rejected
from marchproxy.modules.http.quarantine import NOTHING_HELD, Quarantine
from marchproxy.modules.http.surroundings import Surroundings

_log = get_logger(__name__)
_AGAIN_SECONDS = 1.0


class Programmer:
    """The only one who publishes to the ALB's Envoy; one publication at a time."""

    def __init__(self, publication: Publication, around: Surroundings, *, clock: Clock) -> None:
        self._publication = publication
        self._isolation = Isolation(publication)
        self._around = around
        self._clock = clock
        self._publishing = asyncio.Lock()
        self._applied: DesiredState | None = None
        self._given = Inputs()  # what Envoy runs
        self._quarantine = NOTHING_HELD

    @property
    def quarantine(self) -> Quarantine:
        """What of the applied state Envoy is not given."""
        return self._quarantine

    def faults(self, state: DesiredState) -> Iterator[Problem]:
        """What is wrong with the files that a state names."""
        yield from self._around.problems(state.pools)
        try:
            read_credentials(state.authentication)
        except UnreadableCredentials as error:
            yield from error.problems

    def troubles(self) -> Mapping[PoolName, str]:
        """What is wrong around each pool that runs all the same, by its name."""
        return {} if self._applied is None else self._around.troubles(self._applied.pools)

    async def rehearse(self, state: DesiredState, isolate: Isolate) -> tuple[Problem, ...]:
        """Everything that Envoy would refuse of `state`; changes nothing. Raises Refused for what was not asked of it."""
        held = self._quarantine.still_meant(state) if isolate is Isolate.NOTHING else NOTHING_HELD
        try:
            await self._publication.judge(await self._inputs(held.applied(state)))
        except Rejected as rejected:
            return self._problems(rejected, state)
        return ()

    async def apply(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> tuple[Problem, ...]:
        """Return when Envoy acknowledged everything but what is set aside, with what is wrong with that.

        Refused (with Envoy's own words): it runs what it ran before.
        """
        async with self._publishing:
            held = self._quarantine.still_meant(state) if isolate is Isolate.NOTHING else NOTHING_HELD
            self._quarantine = await self._put(state, held, isolate)
            self._applied = state
            self._around.keep(state.pools)
            return self._quarantine.problems

    @property
    def instances(self) -> int:
        """Among how many limits are divided."""
        return self._around.instances

    def divide(self, instances: int) -> None:
        """Publish anew, soon, for a fleet of this size."""
        self._around.divide(instances)

    async def follow(self) -> None:
        """Publish anew whenever other endpoints or files are found, until cancelled."""
        async with beside(self._around.follow(), name="discovery"):
            while True:
                await self._around.changed.wait()
                self._around.changed.clear()
                await self._publish_again()

    async def _publish_again(self) -> None:
        try:
            async with self._publishing:
                if self._applied is not None:
                    self._quarantine = await self._put(self._applied, self._quarantine, Isolate.FAULTY)
        except Refused as refused:
            _log.error("what was found around the pools is not in use yet", reason=refused.message)
            await self._clock.sleep(_AGAIN_SECONDS)
            self._around.changed.set()

    async def _put(self, state: DesiredState, held: Quarantine, isolate: Isolate) -> Quarantine:
        inputs = await self._inputs(state)
        offered = replace(inputs, state=held.applied(state))
        try:
            await self._publication.publish(await self._publication.judge(offered))
        except Rejected as rejected:
            if self._around.take_back(rejected.faults):  # a file of ours is at fault, not the document
                return await self._put(state, held, isolate)
            if isolate is Isolate.NOTHING or (isolate is Isolate.REJECTED and rejected.beforehand):
                problems = self._problems(rejected, state)
                raise Refused(RefusalCode.INVALID_ARGUMENT, _summary(problems), problems) from rejected
            offered, held = await self._isolate(inputs, held)
        self._given = offered
        return held

    async def _isolate(self, inputs: Inputs, held: Quarantine) -> tuple[Inputs, Quarantine]:
        try:
            return await self._isolation.serve(self._given, inputs, held)
        except BaseException:
            self._around.changed.set()  # parts of it are out there: what was applied is published anew
            raise

    async def _inputs(self, state: DesiredState) -> Inputs:
        try:
            return Inputs(state, read_credentials(state.authentication), await self._around.find(state.pools))
        except UnreadableCredentials as error:
            raise Refused(RefusalCode.INVALID_ARGUMENT, str(error), error.problems) from error
        except UnusableFile as error:
            raise Refused(RefusalCode.INVALID_ARGUMENT, f"a pool's {error.field}: {error}") from error

    def _problems(self, rejected: Rejected, state: DesiredState) -> tuple[Problem, ...]:
        faults = narrowed(rejected.faults, self._applied or DesiredState(), state)
        return tuple(found.problem for found in blame(faults, state, rejected.snapshot))


def _summary(problems: tuple[Problem, ...]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}"
