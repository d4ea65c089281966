"""Core: the one owner of the NLB's state. Every change goes through it; decisions are made in `state` and `rules`."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.lasting import Lasting, lasting_listeners
from marchproxy.model.module import InstanceId, ModuleInstance
from marchproxy.model.plan import Planner
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.nlb.dataplane.plane import DataPlane, Forwarding
from marchproxy.nlb.service.applier import Applier, carry
from marchproxy.nlb.service.asker import Modules
from marchproxy.nlb.service.checksums import Checksums
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.memory import Saved, Saver
from marchproxy.nlb.service.questions import Questions
from marchproxy.nlb.service.watch import Watch
from marchproxy.nlb.state import registry as registering
from marchproxy.nlb.state.member import Member, Moment, Trouble
from marchproxy.nlb.state.progress import Progress
from marchproxy.nlb.state.registry import Beat, Change, Changed, Patience
from marchproxy.nlb.state.table import (
    OPERATOR,
    RoutingTable,
    TableUpdate,
    apply_update,
    check_update,
    delete_route,
    forget_sources,
)
from marchproxy.nlb.state.verdicts import Answers
from marchproxy.nlb.state.world import Rebalance, World, forward

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a core works with."""

    plane: DataPlane
    modules: Modules
    saver: Saver
    gauges: NlbGauges
    clock: Clock
    patience: Patience


class Core:
    """State and the steps that change it. Steps that end in the data plane are coroutines."""

    def __init__(self, around: Surroundings, saved: Saved, desired: DesiredState) -> None:
        """Begin with what was saved, under the configuration file `desired`.

        As long as the file is the one that the saved configuration grew from, the saved one goes on; a changed file
        replaces it. Members stay either way, until they register again or time out.
        """
        self._around = around
        self._checksums = Checksums()
        self._base = self._checksums.of(desired)
        resumed = bool(self._base) and self._base == saved.base
        registry = registering.restore(saved.members, self.now())
        self.world = World(registry=registry, table=saved.table if resumed else RoutingTable())
        self._planner = Planner()
        self.used: dict[RouteId, datetime] = {}
        self.checksum = ""
        self.configured_at: datetime = around.clock.now()
        self.applier = Applier(
            around.plane,
            self.wanted,
            remember=around.saver.save_members,
            clock=around.clock,
            gauges=around.gauges,
        )
        self._left: list[str] = []
        self.watch = Watch(around.modules, lambda: self.world.registry, around.patience, clock=around.clock)
        self.questions = Questions(
            around.modules,
            lambda: self.world,
            Answers(dict(saved.answers)),
            heard=self._plan_may_change,
            clock=around.clock,
        )
        if resumed:
            origin = saved.checksum or self._checksums.of(saved.desired)
            self._set(saved.desired, saved.table, saved.progress, origin)
        else:
            self._take(desired, Lasting(desired))

    def now(self) -> Moment:
        """The time, on both clocks."""
        return Moment(self._around.clock.monotonic(), self._around.clock.now())

    def wanted(self) -> Forwarding:
        """What the data plane should carry now."""
        return self._forwarding_of(self.world)

    def member(self, instance_id: InstanceId) -> Member | None:
        """A member, or None."""
        return self.world.registry.members.get(instance_id)

    def saved(self) -> Saved:
        """What must survive a restart."""
        members = tuple(self.world.registry.members.values())
        world = self.world
        return Saved(
            members,
            world.table,
            self.questions.answers.listeners,
            world.desired,
            self._base,
            self.checksum,
            world.progress,
        )

    def register(self, instance: ModuleInstance, routes: Sequence[Route]) -> Member:
        """Admit an instance with the routes it brings along. Raises Refused; then nothing is changed."""
        now = self.now()
        registry, changed = registering.register(self.world.registry, instance, secrets.token_hex(8), now)
        update = TableUpdate(instance.instance_id, tuple(routes), replace_all=True)
        if found := check_update(self.world.table, update):
            problems = [Problem(f"initial_{problem.path}", problem.message) for problem in found]
            raise Refused(RefusalCode.INVALID_ARGUMENT, "the routes it brings along have faults", problems)
        table, _ = apply_update(self.world.table, update, now.wall)
        weights = {k: w for k, w in self.world.rebalance.weights.items() if k != instance.instance_id}
        rebalance = replace(self.world.rebalance, weights=weights)
        self._commit(replace(self.world, registry=registry, table=table, rebalance=rebalance), (changed,))
        return registry.members[instance.instance_id]

    def heartbeat(self, beat: Beat) -> Member:
        """Take in a heartbeat. Raises Refused when the sender has to register."""
        before = self.member(beat.instance_id)
        registry, changes = registering.heartbeat(self.world.registry, beat, self.now())
        member = registry.members[beat.instance_id]
        if changes or (before and before.instance.config_checksum != member.instance.config_checksum):
            self._commit(replace(self.world, registry=registry), changes)
        else:
            self.world = replace(self.world, registry=registry)  # only counts: nothing follows from them
        return member

    def begin_leaving(self, instance_id: InstanceId, registration_id: str) -> Member:
        """Take a member out of the plan, keeping it known. Raises Refused."""
        registry = registering.leave(self.world.registry, instance_id, registration_id)
        self._commit(replace(self.world, registry=registry))
        return registry.members[instance_id]

    def forget(self, member: Member) -> None:
        """Remove a member and what only it announced, unless it registered anew."""
        instance_id = member.instance.instance_id
        registry = registering.remove(self.world.registry, instance_id, member.registration_id)
        if registry is not self.world.registry:
            table = forget_sources(self.world.table, [instance_id])
            removed = Changed(instance_id, Change.REMOVED, "unregistered")
            self._left.append(member.instance.address)
            self._commit(replace(self.world, registry=registry, table=table), (removed,))

    def note_trouble(self, instance_id: InstanceId, trouble: Trouble, reason: str) -> None:
        """Remember what is wrong with a member; an empty reason: nothing any more."""
        registry, changes = registering.note_trouble(self.world.registry, instance_id, trouble, reason)
        if changes:
            self._commit(replace(self.world, registry=registry), changes)
        elif registry is not self.world.registry:
            self.world = replace(self.world, registry=registry)  # other words for the same

    async def tick(self) -> None:
        """Time has passed: act on missed heartbeats, and end a rebalance that is over."""
        now = self.now()  # before the probes: whoever is overdue by then has been weighed
        finding = await self.watch.look()
        self._around.gauges.cut_off(yes=finding.cut_off)
        registry, changes = registering.tick(
            self.world.registry, now, self._around.patience, finding.reprieved.keys()
        )
        gone = [changed.instance_id for changed in changes if changed.change is Change.REMOVED]
        self._left += [self.world.registry.members[key].instance.address for key in gone]
        rebalance = self.world.rebalance
        if rebalance.weights and now.monotonic >= rebalance.until:
            rebalance = Rebalance()
            _log.info("rebalance is over; configured weights hold again")
        if changes or rebalance is not self.world.rebalance:
            table = forget_sources(self.world.table, gone)
            self._commit(replace(self.world, registry=registry, table=table, rebalance=rebalance), changes)
        await self._forget_addresses()

    async def _forget_addresses(self) -> None:
        """Close what is open to addresses that nobody has any more."""
        left, self._left = self._left, []
        used = {member.instance.address for member in self.world.registry.members.values()} if left else set()
        for address in left:
            if address not in used:
                await self._around.modules.forget(address)

    def update_routing(self, update: TableUpdate, *, validate_only: bool = False) -> int:
        """Change the table; return how many routes changed. Raises InvalidValue with every fault."""
        if problems := check_update(self.world.table, update):
            raise InvalidValue(problems)
        table, changed = apply_update(self.world.table, update, self.now().wall)
        if changed and not validate_only:
            self._commit(replace(self.world, table=table))
            _log.info("routing table changed", source=update.source or "operator", routes=changed)
        return changed

    def delete_routing(self, route_id: RouteId, source: str, *, validate_only: bool = False) -> None:
        """Remove a route. Raises Refused."""
        table = delete_route(self.world.table, route_id, source)
        if not validate_only:
            self._commit(replace(self.world, table=table))
            _log.info("route removed", route=route_id, source=source or "operator")

    def note_use(self, route_id: RouteId) -> None:
        """Note that a route of the table was asked for now."""
        self.used[route_id] = self._around.clock.now()

    def check(self, desired: DesiredState) -> None:
        """Whether `configure` could succeed. Raises InvalidValue with every fault."""
        problems = (
            *self._around.plane.check(desired.listeners),
            *check_update(self.world.table, _routes_of(desired)),
        )
        if problems:
            raise InvalidValue(problems)

    async def configure(self, desired: DesiredState, *, restated: frozenset[str] | None = None) -> None:
        """Replace listeners and routes, `restated` as for `lasting_listeners`; return when they are carried. Raises InvalidValue, Refused."""
        self.check(desired)
        async with self.applier.exclusive() as apply:
            targets = self.world.progress.targets
            lasting = lasting_listeners(desired, self.world.desired, targets, restated)
            await carry(apply, self._forwarding_of(replace(self.world, desired=lasting.state)))
            self._take(desired, lasting)
        await self._around.saver.save()  # who was told "done" finds it done after a crash, too
        _log.info("configuration in force", checksum=self.checksum, listeners=len(desired.listeners))

    async def reweigh(self, decide: Callable[[World], World]) -> None:
        """Take over the listeners and the progress that `decide` makes of the world, as `configure` would. Raises Refused."""
        async with self.applier.exclusive() as apply:
            new = decide(self.world)
            await carry(apply, self._forwarding_of(new))
            desired = replace(self.world.desired, listeners=new.desired.listeners)
            modified = self.world.progress.modified or desired != self.world.desired
            progress = replace(new.progress, modified=modified)
            self._commit(replace(self.world, desired=desired, progress=progress))
        await self._around.saver.save()

    def note_progress(self, alter: Callable[[Progress], Progress]) -> None:
        """Change the record of shifts and rollouts; what is forwarded stays."""
        self.world = replace(self.world, progress=alter(self.world.progress))
        self._around.saver.touch()

    async def rebalance(self, rebalance: Rebalance, *, timeout: float) -> None:
        """Replace weights for a while; return when the data plane carries it. Raises Refused."""
        before = self.world.rebalance
        self._commit(replace(self.world, rebalance=rebalance))
        if not await self.applier.settled(timeout):
            self._commit(replace(self.world, rebalance=before))
            raise Refused(
                RefusalCode.UNAVAILABLE, f"the data plane did not take it over: {self.applier.fault}"
            )

    async def reload(self, desired: DesiredState) -> None:
        """The configuration file has changed: `configure`, and from now on what changes grows from it. Raises as that."""
        await self.configure(desired)
        self._base = self._checksums.of(desired)
        self._around.saver.touch()

    def _take(self, desired: DesiredState, lasting: Lasting) -> None:
        table, _ = apply_update(self.world.table, _routes_of(desired), self.now().wall)
        progress = self.world.progress.lasting(lasting.targets, modified=lasting.state != desired)
        self._set(lasting.state, table, progress, self._checksums.of(desired))

    def _set(self, desired: DesiredState, table: RoutingTable, progress: Progress, origin: str) -> None:
        self.checksum = origin
        self.configured_at = self.now().wall
        self._commit(replace(self.world, desired=desired, table=table, progress=progress))

    def _commit(self, world: World, changes: Sequence[Changed] = ()) -> None:
        before, self.world = self.world, world
        self.applier.wake()
        if self.questions.review(before, world):
            self.used = {key: at for key, at in self.used.items() if key in world.table.entries}
        self._around.saver.touch()
        for changed in changes:
            _log.info("module " + changed.change.value, instance=changed.instance_id, detail=changed.detail)

    def _plan_may_change(self) -> None:
        self.applier.wake()
        self._around.saver.touch()

    def _forwarding_of(self, world: World) -> Forwarding:
        return forward(world, self.questions.answers.about_listeners(), self._planner)


def _routes_of(desired: DesiredState) -> TableUpdate:
    return TableUpdate(OPERATOR, desired.routes, replace_all=True)
