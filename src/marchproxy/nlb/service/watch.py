"""Watch: when whole types of modules fall silent, finds out by probes whether to believe it."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.nlb.rules.silence import Echo, Finding, suspects, weigh
from marchproxy.nlb.service.asker import Modules, ModuleSilent
from marchproxy.nlb.state.member import Member, Moment
from marchproxy.nlb.state.registry import Patience, Registry

_log = get_logger(__name__)
PROBE_SECONDS = 1.0
_ROUND_SECONDS = 3.0  # whom one round does not reach, the next one does
_AT_ONCE = 64


class Watch:
    """Remembers what was found, and what each registration answered last."""

    def __init__(
        self, modules: Modules, registry: Callable[[], Registry], patience: Patience, *, clock: Clock
    ) -> None:
        """A probe's answer is good for one heartbeat interval."""
        self.finding = Finding()
        self._modules = modules
        self._registry = registry
        self._patience = patience
        self._clock = clock
        self._echoes: dict[str, tuple[float, Echo]] = {}

    async def look(self) -> Finding:
        """Who is not to lose its traffic, after having probed the last instances of silent types."""
        if suspected := suspects(self._registry(), self._now(), self._patience):
            await self._ask(suspected)
            echoes = {key: echo for key, (_, echo) in self._echoes.items()}
            # meanwhile others may have been heard, or overdue
            finding = weigh(self._registry(), echoes, self._now(), self._patience)
        else:
            self._echoes.clear()
            finding = Finding()
        self._tell(finding)
        self.finding = finding
        return finding

    def facts(self) -> Mapping[str, str]:
        """What there is to say about it; nothing while all is well."""
        found = {f"silence {key}": reason for key, reason in self.finding.reprieved.items()}
        return {"cut_off": "true", **found} if self.finding.cut_off else found

    def _now(self) -> Moment:
        return Moment(self._clock.monotonic(), self._clock.now())

    async def _ask(self, members: Collection[Member]) -> None:
        """Probe those whose answer is old, the longest unasked first."""
        now = self._clock.monotonic()
        wanted = {member.registration_id for member in members}
        self._echoes = {key: echo for key, echo in self._echoes.items() if key in wanted}
        due = [member for member in members if now - self._asked_at(member) >= self._patience.interval]
        slots = asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.timeout(_ROUND_SECONDS), asyncio.TaskGroup() as group:
                for member in sorted(due, key=self._asked_at):
                    group.create_task(self._probe(member, slots))
        except TimeoutError:
            _log.warning("not every silent module could be probed in this round", suspected=len(members))

    async def _probe(self, member: Member, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                health, _ = await self._modules.health(
                    member.instance.address, deep=False, timeout=PROBE_SECONDS
                )
                echo = Echo.ANSWERED if health.takes_traffic else Echo.REFUSED
            except ModuleSilent as error:
                held_back = not error.sent and not error.refused
                if held_back and member.registration_id in self._echoes:
                    return  # by the circuit breaker: what it answered last still stands
                echo = _meaning(error)
            self._echoes[member.registration_id] = (self._clock.monotonic(), echo)

    def _asked_at(self, member: Member) -> float:
        return self._echoes.get(member.registration_id, (float("-inf"), Echo.SILENT))[0]

    def _tell(self, finding: Finding) -> None:
        if finding.cut_off and not self.finding.cut_off:
            _log.error("cut off from all modules; the last plan stays in force")
        if self.finding.cut_off and not finding.cut_off:
            _log.info("no longer cut off from all modules")
        for instance_id, reason in finding.reprieved.items():
            if self.finding.reprieved.get(instance_id) != reason:
                _log.warning("silent module keeps its traffic", instance=instance_id, reason=reason)


def _meaning(error: ModuleSilent) -> Echo:
    if error.refused:
        return Echo.REFUSED
    return Echo.ANSWERED if error.alive else Echo.SILENT
