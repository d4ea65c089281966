"""Engine: puts a plan in force with nft, reads counters and connections back.

Owns the tables `ip marchproxy` and `ip6 marchproxy` of one network namespace. What is in force is kept in memory and
never listed. Ending the program changes nothing: the kernel goes on forwarding until `remove`.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from marchproxy.engines.nftables.conntrack import EndpointId, Index, count_live, stale_pairs
from marchproxy.engines.nftables.counters import Counters, assign, parse_counters
from marchproxy.engines.nftables.expressions import Family, Json
from marchproxy.engines.nftables.host import Host, NftablesSettings
from marchproxy.engines.nftables.names import TABLE
from marchproxy.engines.nftables.plan import Plan, Protocol, find_problems
from marchproxy.engines.nftables.probe import PROBE
from marchproxy.engines.nftables.process import NftablesError, read_output, run_tool
from marchproxy.engines.nftables.ruleset import (
    Ruleset,
    Transition,
    compile_plan,
    replace_all,
    transition,
    unswept,
)
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.logs import get_logger

MAX_STALE_PAIRS = 1_000
"""UDP relations forgotten in one reconciliation, each by a run of conntrack; the next one goes on."""
_log = get_logger(__name__)


class NftablesRefused(NftablesError):
    """A plan was not put in force; the previous rules are, whole. The message is nft's or names the plan's faults."""


class NftablesEngine:
    """The kernel's L4 forwarding of one network namespace. Calls that change something run one at a time.

    The first `apply` takes over whatever an earlier process left in our tables, in one transaction.
    """

    def __init__(self, settings: NftablesSettings | None = None, *, clock: Clock | None = None) -> None:
        self._settings = settings or NftablesSettings()
        self._clock = clock or SystemClock()
        self._host = Host(self._settings)
        self._lock = asyncio.Lock()
        self._listing = asyncio.Lock()
        self._plan = Plan()
        self._in_force: Ruleset | None = None  # None: not known, the next transaction replaces everything
        self._live: tuple[float, Mapping[EndpointId, int]] | None = None

    async def available(self) -> str | None:
        """Why this engine cannot work here, or None. Tries every kind of rule on the kernel, changes nothing."""
        if (obstacle := self._host.find_obstacle()) is not None:
            return obstacle
        probe = compile_plan(PROBE, mark_bit=self._settings.mark_bit)
        try:
            await self._load(replace_all(probe).change, dry_run=True)
        except NftablesError as error:
            return f"the kernel or nft does not take the rules: {error}"
        return None

    async def apply(self, plan: Plan) -> None:
        """Put the plan in force as one transaction. Established connections stay with their backends.

        Raises NftablesRefused, then the previous plan is in force as before; and NftablesError when nft did not answer:
        either plan may be in force, and the next `apply` replaces both.
        """
        if problems := find_problems(plan):
            raise NftablesRefused("; ".join(problems))
        async with self._lock:
            await self._check_forwarding(plan)
            keep = await self._list_families() if self._in_force is None else tuple(self._in_force)
            await self._enforce(compile_plan(plan, mark_bit=self._settings.mark_bit, keep=keep))
            self._plan, self._live = plan, None

    async def counters(self) -> Counters:
        """Read our counters and nothing else. Raises NftablesError."""
        async with self._lock:
            plan = self._plan
            values: dict[str, tuple[int, int]] = {}
            for family in {family for family, _ in _carried(plan)}:
                listing = ("-j", "list", "counters", "table", family.value, TABLE)
                command = self._host.command(self._settings.nft, *listing)
                output = await read_output(command, timeout=self._settings.deadline)
                try:
                    values.update(parse_counters(output))
                except (ValueError, KeyError, TypeError) as error:
                    raise NftablesError(f"nft printed counters that cannot be read: {error!r}") from error
        return assign(plan, values)

    async def active_connections(self) -> Mapping[EndpointId, int]:
        """Live connections of each endpoint that has some; at most `flows_max_age` old. Raises NftablesError."""
        async with self._listing:
            now = self._clock.monotonic()
            if self._live is not None and now - self._live[0] < self._settings.flows_max_age:
                return self._live[1]
            plan, counted = self._plan, Counter[EndpointId]()
            index = await self._index(plan)
            for family, protocol in _carried(plan):
                await self._host.list_flows(family, protocol, lambda batch: count_live(batch, index, counted))
            if plan is self._plan:
                self._live = (now, dict(counted))
            return dict(counted)

    async def conntrack_reconcile(self, plan: Plan) -> int:
        """Forget UDP flows to the plan's frontends whose backend is not in it; their next packet finds another.

        To be called after `apply`, and now and then. A draining backend keeps its flows. Returns how many pairs of
        asked and answering address were forgotten. Raises NftablesError.
        """
        stale: set[tuple[tuple[str, int], tuple[str, int]]] = set()
        index = await self._index(plan)
        for family, protocol in _carried(plan):
            if protocol is Protocol.UDP:
                await self._host.list_flows(
                    family, protocol, lambda batch: stale.update(stale_pairs(batch, index))
                )
        chosen = sorted(stale)[:MAX_STALE_PAIRS]
        for asked, answering in chosen:
            await self._host.delete_udp_flows(asked, answering)
        return len(chosen)

    async def remove(self) -> None:
        """Delete our tables and nothing else. Raises NftablesError.

        Without them the kernel no longer translates, so connections through this engine end, unless other programs keep
        NAT rules. To let them end by themselves, apply an empty plan first and wait.
        """
        async with self._lock:
            await self._load(replace_all({}).change)
            self._plan, self._in_force, self._live = Plan(), {}, None

    async def _enforce(self, wanted: Ruleset) -> None:
        known = self._in_force
        if known is not None:
            try:
                await self._step(known, transition(known, wanted), wanted)
            except NftablesRefused as error:
                # a bad plan is refused below as well; good ones help when somebody flushed our table
                _log.warning("nftables refused a change; replacing our tables", error=str(error))
            else:
                return
        try:
            await self._step(known, replace_all(wanted), wanted)
        except NftablesRefused:
            self._in_force = known
            raise

    async def _step(self, known: Ruleset | None, step: Transition, wanted: Ruleset) -> None:
        if step.change:
            self._in_force = None  # holds when this is cancelled or nft is killed half-way
            await self._load(step.change, dry_run=True)
            await self._load(step.change)
        self._in_force = wanted
        if step.sweep and known is not None:
            self._in_force = unswept(known, wanted)
            try:
                await self._load(step.sweep)
            except NftablesRefused as error:
                _log.warning(
                    "nftables keeps what nothing uses any more; the next change tries again", error=str(error)
                )
            else:
                self._in_force = wanted

    async def _load(self, commands: Sequence[Json], *, dry_run: bool = False) -> None:
        options = ["-j", *(["--check"] if dry_run else []), "-f", "-"]
        command = self._host.command(self._settings.nft, *options)
        document = json.dumps({"nftables": list(commands)}, separators=(",", ":")).encode()
        finished = await run_tool(command, timeout=self._settings.deadline, stdin=document)
        if finished.code:
            raise NftablesRefused(finished.complaint or f"nft ended with code {finished.code}")

    async def _list_families(self) -> tuple[Family, ...]:
        # once per start: the names of tables, not what is in them
        command = self._host.command(self._settings.nft, "-j", "list", "tables")
        output = await read_output(command, timeout=self._settings.deadline)
        try:
            tables = [item["table"] for item in json.loads(output)["nftables"] if "table" in item]
            present = {table["family"] for table in tables if table["name"] == TABLE}
        except (ValueError, KeyError, TypeError) as error:
            raise NftablesError(f"nft printed tables that cannot be read: {error!r}") from error
        return tuple(family for family in Family if family.value in present)

    async def _check_forwarding(self, plan: Plan) -> None:
        remote = {
            Family.of(frontend.version)
            for frontend in plan.frontends
            if any(not backend.local for backend in frontend.backends)
        }
        for family in sorted(remote, key=lambda one: one.value):
            if not await self._host.forwards(family):
                option = "net.ipv4.ip_forward" if family is Family.IP else "net.ipv6.conf.all.forwarding"
                raise NftablesRefused(
                    f"this host does not forward packets; set {option}=1 for remote backends"
                )

    async def _index(self, plan: Plan) -> Index:
        needs_own = any(
            frontend.wildcard or any(b.redirected for b in frontend.backends) for frontend in plan.frontends
        )
        return Index(plan, await self._host.own_addresses() if needs_own else ())


def _carried(plan: Plan) -> list[tuple[Family, Protocol]]:
    found = {(Family.of(frontend.version), frontend.protocol) for frontend in plan.frontends}
    return sorted(found, key=lambda pair: (pair[0].value, pair[1].value))
