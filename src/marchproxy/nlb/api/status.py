"""CheckHealth and GetNLBStatus."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import marchproxy
from marchproxy.contract.convert.enums import HEALTH
from marchproxy.contract.convert.limit import limit_to_pb
from marchproxy.contract.convert.listener import listener_to_pb
from marchproxy.contract.convert.times import moment_to_pb
from marchproxy.contract.pb import nlb_pb2
from marchproxy.kit.grpc.calls import Context
from marchproxy.model.limit import NLB_SCOPES, RateLimit
from marchproxy.model.module import HealthStatus, InstanceId
from marchproxy.model.sharing import share
from marchproxy.nlb.api.desk import Desk
from marchproxy.nlb.api.stats import decision_to_pb, member_to_pb
from marchproxy.nlb.dataplane.plane import PlaneUnavailable
from marchproxy.nlb.service.asker import ModuleSilent
from marchproxy.nlb.state.member import Member

_MODULE_SECONDS = 3.0
_MOST_ASKED_AT_ONCE = 16


class StatusApi:
    """How it is."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def CheckHealth(
        self, request: nlb_pb2.CheckHealthRequest, _: Context
    ) -> nlb_pb2.CheckHealthResponse:
        """The NLB's health; deep: the data plane's too; `check_modules`: every module is asked, with a deadline."""
        checks = dict(self._plan_checks())
        status = HealthStatus.DEGRADED if self._desk.core.applier.fault else HealthStatus.HEALTHY
        if request.deep_check:
            try:
                facts = await self._desk.plane.health()
                checks[f"data plane {self._desk.plane.name}"] = ", ".join(
                    f"{k} {v}" for k, v in facts.items()
                )
            except PlaneUnavailable as error:
                checks[f"data plane {self._desk.plane.name}"] = f"failed: {error}"
                status = HealthStatus.UNHEALTHY
        health = {
            key: member.effective.health for key, member in self._desk.core.world.registry.members.items()
        }
        if request.check_modules:
            asked = await self._ask_modules(deep=request.deep_check)
            health |= {key: found for key, (found, _) in asked.items()}
            checks |= {f"module {key}": f"{found.value}: {words}" for key, (found, words) in asked.items()}
        if status is HealthStatus.HEALTHY and self._starving():
            status = HealthStatus.DEGRADED
        return nlb_pb2.CheckHealthResponse(
            status=HEALTH.to_pb(status),
            message=self._sentence(status),
            module_health={key: HEALTH.to_pb(found) for key, found in health.items()},
            checks=checks,
            checked_at=self._desk.now(),
        )

    async def GetNLBStatus(
        self, request: nlb_pb2.GetNLBStatusRequest, _: Context
    ) -> nlb_pb2.GetNLBStatusResponse:
        """What it forwards, how much, and for whom."""
        core, counts = self._desk.core, await self._desk.observer.counts()
        members = core.world.registry.members.values()
        fault, starving = core.applier.fault, self._starving()
        cut_off = core.watch.finding.cut_off
        status = HealthStatus.DEGRADED if fault or starving or cut_off else HealthStatus.HEALTHY
        return nlb_pb2.GetNLBStatusResponse(
            status=HEALTH.to_pb(status),
            version=marchproxy.__version__,
            started_at=moment_to_pb(self._desk.started_at),
            total_requests=sum(listener.total for listener in counts.listeners.values()),
            active_connections=sum(listener.active for listener in counts.listeners.values()),
            registered_modules=len(members),
            modules_by_type=Counter(member.instance.module_type.name for member in members),
            modules=[member_to_pb(member) for member in members] if request.include_modules else [],
            details={
                "id": self._desk.settings.id,
                "data_plane": self._desk.plane.name,
                **self._plan_checks(),
                **core.watch.facts(),
                **self._desk.autoscaler.facts(),
                **self._desk.rollouts.facts(),
                "config_modified": "true" if core.world.progress.modified else "false",
                **{
                    f"data plane of {name}": f"{choice.plane.value}: {choice.reason}"
                    for name, choice in self._desk.plane.choices().items()
                },
                **{
                    f"limit {name}": f"{passed.allowed} let pass, {passed.denied} refused"
                    for name, passed in counts.limits.items()
                },
            },
            listeners=self._listeners(),
            rate_limits=[limit_to_pb(limit) for limit in _kept_here(core.world.desired.rate_limits)],
            config_checksum=core.checksum,
            scaling=[decision_to_pb(kind, entry) for kind, entry in self._desk.autoscaler.journal.all()],
        )

    def _listeners(self) -> list[nlb_pb2.Listener]:
        ports = share(plan.listener for plan in self._desk.core.applier.forwarding.plan.listeners)
        sharing = {listener.name: port.sharing for port in ports for listener in port.listeners}
        return [
            listener_to_pb(
                plan.listener,
                data_plane=self._plane_of(plan.listener.name),
                sharing=sharing[plan.listener.name],
            )
            for plan in self._desk.core.applier.forwarding.plan.listeners
        ]

    def _plane_of(self, listener: str) -> str:
        choice = self._desk.plane.choices().get(listener)
        return choice.plane.value if choice else self._desk.plane.name

    def _plan_checks(self) -> Mapping[str, str]:
        applier = self._desk.core.applier
        checks = {"plan": f"not in force: {applier.fault}" if applier.fault else "in force"}
        for plan in applier.forwarding.plan.listeners:
            count = sum(len(version.targets) for version in plan.versions)
            reasons = "; ".join(f"{skipped.instance_id} {skipped.reason}" for skipped in plan.skipped)
            checks[f"listener {plan.listener.name}"] = f"{count} instances" + (
                f"; {reasons}" if reasons else ""
            )
        return checks

    def _starving(self) -> list[str]:
        plans = self._desk.core.applier.forwarding.plan.listeners
        return [plan.listener.name for plan in plans if not plan.versions]

    def _sentence(self, status: HealthStatus) -> str:
        if status is HealthStatus.HEALTHY:
            return "forwards as planned"
        if fault := self._desk.core.applier.fault:
            return f"the last change is not in force: {fault}"
        if starving := self._starving():
            return f"no instance takes connections of listener {', '.join(starving)}"
        return "the data plane does not answer as it should"

    async def _ask_modules(self, *, deep: bool) -> dict[InstanceId, tuple[HealthStatus, str]]:
        slots = asyncio.Semaphore(_MOST_ASKED_AT_ONCE)

        async def ask(member: Member) -> tuple[HealthStatus, str]:
            async with slots:
                try:
                    return await self._desk.modules.health(
                        member.instance.address, deep=deep, timeout=_MODULE_SECONDS
                    )
                except ModuleSilent as error:
                    return HealthStatus.UNHEALTHY, f"did not answer: {error}"

        members = self._desk.core.world.registry.members
        async with asyncio.TaskGroup() as group:
            asked = {key: group.create_task(ask(member)) for key, member in members.items()}
        return {key: task.result() for key, task in asked.items()}


def _kept_here(limits: Iterable[RateLimit]) -> Iterator[RateLimit]:
    return (limit for limit in limits if limit.scope in NLB_SCOPES)
