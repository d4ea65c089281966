"""Delivery: brings every cohort to the newest catalogue, one node first, and no node more often than it should be."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.cohorts import Cohort, Cohorts, Kind
from marchproxy.cli.xds.counts import Counts
from marchproxy.cli.xds.keeping import Keeper, Kept
from marchproxy.cli.xds.settings import PlaneSettings
from marchproxy.cli.xds.trial import Means, Trial, judged
from marchproxy.engines.envoy.validation import Validator
from marchproxy.engines.envoy.xds import AdsServer, Identity, InconsistentSnapshot, Snapshot
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.problem import InvalidValue, Problem, Refused
from marchproxy.modules.http.blame import blame
from marchproxy.modules.http.discovery import Follower, SrvResolver
from marchproxy.modules.http.isolation import Isolation
from marchproxy.modules.http.mixture import Inputs
from marchproxy.modules.http.quarantine import NOTHING_HELD, Quarantine

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """What a cohort is given now: of which state, and what of that it is not given."""

    snapshot: Snapshot
    inputs: Inputs = Inputs()
    quarantine: Quarantine = NOTHING_HELD
    refused: str = ""


class Delivery:
    """The only one who says what nodes are given."""

    def __init__(
        self,
        settings: PlaneSettings,
        *,
        validator: Validator | None,
        keeper: Keeper,
        counts: Counts,
        clock: Clock,
    ) -> None:
        self.ads = AdsServer(max_streams=settings.max_streams, assign=self.assign)
        self._settings = settings
        self._means = Means(self.ads, validator, counts, settings.canary_timeout)
        self._keeper = keeper
        self._clock = clock
        self._cohorts = Cohorts(settings.nodes)
        self._in_force: dict[Cohort, InForce] = {}
        self._newest: Catalogue | None = None
        self._delivered: Catalogue | None = None
        self._follower = Follower(SrvResolver(settings.resolvers), clock=clock)
        self._divided = 0
        self._wake = asyncio.Event()

    def assign(self, identity: Identity) -> Snapshot | None:
        """What a node is given; None: nothing is meant for it."""
        cohort = self._cohorts.of(identity)
        found = None if cohort is None else self._in_force.get(cohort)
        return None if found is None else found.snapshot

    def faults(self) -> Mapping[str, str]:
        """What of the newest file some cohorts are not given, by cohort."""
        words = {
            str(cohort): found.refused or "; ".join(map(str, found.quarantine.problems))
            for cohort, found in self._in_force.items()
        }
        return {cohort: fault for cohort, fault in words.items() if fault}

    def held(self) -> int:
        """How many routes and pools are quarantined, in all cohorts."""
        return sum(len(found.quarantine.held) for found in self._in_force.values())

    async def judge(self, catalogue: Catalogue) -> None:
        """Find out whether Envoy would refuse anything of it. Raises InvalidValue with everything."""
        problems: dict[Problem, None] = {}
        for cohort in catalogue.cohorts.all():
            snapshot = catalogue.snapshot_of(cohort)
            faults = await judged(self._means.validator, cohort, snapshot)
            problems |= {found.problem: None for found in blame(faults, catalogue.state, snapshot)}
        if problems:
            raise InvalidValue(problems)

    def resume(self, kept: Kept) -> None:
        """Give nodes what an earlier process gave them."""
        self._cohorts = Cohorts(kept.settings.nodes)
        self._in_force = {cohort: InForce(snapshot) for cohort, snapshot in kept.snapshots.items()}

    def offer(self, catalogue: Catalogue) -> None:
        """Have it delivered, in place of one that was not yet begun with."""
        self._newest = catalogue
        self._wake.set()

    async def run(self) -> None:
        """Deliver what is offered, and endpoints that are found, until cancelled; once in each `push_interval`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run(), name="discovery")
            group.create_task(self._offer_again(), name="endpoints")
            await self._deliver_all()

    def look(self) -> None:
        """Have limits divided anew when ALBs have come or gone. Call it often; it does little."""
        if self._albs() != self._divided and self._newest is None and self._delivered is not None:
            self.offer(self._delivered)

    def _albs(self) -> int:
        return sum(_is_alb(self._cohorts.of(one)) for one in self.ads.connected())

    async def _offer_again(self) -> None:
        while True:
            await self._follower.changed.wait()
            self._follower.changed.clear()
            if self._newest is None and self._delivered is not None:
                self.offer(self._delivered)

    async def _deliver_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            catalogue, self._newest = self._newest, None
            started = self._clock.monotonic()
            if catalogue is not None:
                try:
                    await self.deliver(catalogue)
                except (InvalidValue, InconsistentSnapshot) as error:
                    _log.error("what was found for pools cannot be served", reason=str(error))
            await self._clock.sleep(
                max(0.0, started + self._settings.push_interval - self._clock.monotonic())
            )

    async def deliver(self, catalogue: Catalogue) -> None:
        """Bring every cohort to it, with the endpoints of its pools. A cohort that is not known yet gets it at once."""
        self._delivered = catalogue
        catalogue = await self._with_endpoints(catalogue)
        self._cohorts = catalogue.cohorts
        wanted = catalogue.cohorts.all()
        known = {cohort: found for cohort, found in self._in_force.items() if cohort in wanted}
        fresh = {
            cohort: InForce(catalogue.snapshot_of(cohort), catalogue.inputs_of(cohort))
            for cohort in wanted
            if cohort not in known
        }
        self._in_force = known | fresh
        self.ads.reassign(lambda identity: self._cohorts.of(identity) not in known)
        async with asyncio.TaskGroup() as group:
            for cohort in known:
                group.create_task(self._bring(cohort, catalogue))
        settings = self._settings.model_copy(update={"nodes": catalogue.nodes})
        self._keeper.keep(settings, {cohort: found.snapshot for cohort, found in self._in_force.items()})

    async def _with_endpoints(self, catalogue: Catalogue) -> Catalogue:
        pools = catalogue.state.pools
        await self._follower.look(pools)
        self._follower.keep(pools)
        found, self._divided = self._follower.endpoints(pools), self._albs()
        # thousands of routes take a while, in which streams must go on
        wanted = catalogue.is_among(found, self._divided)
        return catalogue if wanted else await asyncio.to_thread(catalogue.among, found, self._divided)

    async def _bring(self, cohort: Cohort, catalogue: Catalogue) -> None:
        was = self._in_force[cohort]
        wanted = InForce(catalogue.snapshot_of(cohort), catalogue.inputs_of(cohort))
        if wanted.snapshot != was.snapshot:
            try:
                wanted = await self._try(cohort, was, wanted.inputs)
            except Refused as refused:
                _log.error("a canary refused a change", cohort=str(cohort), reason=refused.message)
                wanted = replace(was, refused=refused.message)
        self._in_force[cohort] = wanted
        self.ads.reassign(lambda identity: self._cohorts.of(identity) == cohort)

    async def _try(self, cohort: Cohort, was: InForce, inputs: Inputs) -> InForce:
        members = [one for one in self.ads.connected() if self._cohorts.of(one) == cohort]
        trial = Trial(self._means, cohort, members, was.snapshot)
        given, held = await Isolation(trial).serve(was.inputs, inputs, NOTHING_HELD)
        return InForce(trial.accepted, given, held)


def _is_alb(cohort: Cohort | None) -> bool:
    return cohort is not None and cohort.kind is Kind.ALB
