"""Programmer: brings Envoy to a desired state with what lies around it, and keeps it there as that changes."""

import asyncio
from collections.abc import Iterator, Mapping

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.engines.envoy.xds.publish import Publisher, PublishTimeout, SnapshotRejected
from marchproxy.engines.envoy.xds.snapshot import InconsistentSnapshot, check
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import beside
from marchproxy.model.module import PoolName
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.alb import rules
from marchproxy.modules.alb.credentials import UnreadableCredentials, read_credentials
from marchproxy.modules.alb.resources import Builder
from marchproxy.modules.alb.surroundings import Surroundings

_log = get_logger(__name__)
_PUBLISH_SECONDS = 5.0
_AGAIN_SECONDS = 1.0


class Programmer:
    """The only one who publishes to the ALB's Envoy; one publication at a time."""

    def __init__(self, publisher: Publisher, builder: Builder, around: Surroundings, *, clock: Clock) -> None:
        self._publisher = publisher
        self._builder = builder
        self._around = around
        self._clock = clock
        self._publishing = asyncio.Lock()
        self._applied: DesiredState | None = None

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

    async def apply(self, state: DesiredState) -> None:
        """Return when Envoy acknowledged everything; Refused (with Envoy's own words): it runs what it ran before."""
        async with self._publishing:
            await self._publish(state)
            self._applied = state
            self._around.keep(state.pools)

    async def follow(self) -> None:
        """Publish anew whenever other endpoints are found, until cancelled."""
        async with beside(self._around.follow(), name="discovery"):
            while True:
                await self._around.changed.wait()
                self._around.changed.clear()
                await self._publish_again()

    async def _publish_again(self) -> None:
        try:
            async with self._publishing:
                if self._applied is not None:
                    await self._publish(self._applied)
        except Refused as refused:
            _log.error("endpoints that were found are not in use yet", reason=refused.message)
            await self._clock.sleep(_AGAIN_SECONDS)
            self._around.changed.set()

    async def _publish(self, state: DesiredState) -> None:
        before = self._applied or DesiredState()
        try:
            credentials = read_credentials(state.authentication)
            findings = await self._around.find(state.pools)
            snapshot = check(self._builder.build(state, credentials, findings))
            await self._publisher.publish(snapshot, timeout=_PUBLISH_SECONDS)
        except UnreadableCredentials as error:
            raise Refused(RefusalCode.INVALID_ARGUMENT, str(error), error.problems) from error
        except UnusableFile as error:
            raise Refused(RefusalCode.INVALID_ARGUMENT, f"TLS of a pool: {error}") from error
        except InconsistentSnapshot as error:
            raise Refused(RefusalCode.INVALID_ARGUMENT, f"not consistent: {error}") from error
        except SnapshotRejected as error:
            problems = tuple(rules.blame(before, state, error.type, error.names, error.message))
            raise Refused(RefusalCode.INVALID_ARGUMENT, str(problems[0]), problems) from error
        except PublishTimeout as error:
            raise Refused(
                RefusalCode.UNAVAILABLE, f"Envoy did not acknowledge the change, which is taken back: {error}"
            ) from error
