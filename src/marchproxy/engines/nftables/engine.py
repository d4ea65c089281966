"""Engine: puts a plan in force with nft, reads counters and connections back.

Owns the tables of `names.TABLES` in one network namespace. What is in force is kept in memory and never listed. Ending the
program changes nothing: the kernel goes on forwarding until `remove`.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from marchproxy.engines.nftables.conntrack import EndpointId, Index, count_live, stale_pairs
from marchproxy.engines.nftables.counters import Counters, Values, assign
from marchproxy.engines.nftables.expressions import Family, Json
from marchproxy.engines.nftables.fragment import Fragments
from marchproxy.engines.nftables.host import Host, NftablesSettings
from marchproxy.engines.nftables.names import TABLES
from marchproxy.engines.nftables.plan import Plan, Protocol, find_problems
from marchproxy.engines.nftables.probe import PROBE
from marchproxy.engines.nftables.process import NftablesError, read_output, run_tool
from marchproxy.engines.nftables.ruleset import (
    InForce,
    Ruleset,
    Transition,
    compile_plan,
    create,
    drop,
    transition,
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
        self._fragments = Fragments()
        self._in_force: InForce | None = None  # None: not known, the next plan replaces everything
        self._table = TABLES[0]
        self._live: tuple[float, Mapping[EndpointId, int]] | None = None

    async def available(self) -> str | None:
        """Why this engine cannot work here, or None. Tries every kind of rule on the kernel, changes nothing."""
        if (obstacle := self._host.find_obstacle()) is not None:
            return obstacle
        probe = compile_plan(PROBE, mark_bit=self._settings.mark_bit)
        try:
            await self._check(create(probe, "marchproxy-probe"))
        except NftablesError as error:
            return f"the kernel or nft does not take the rules: {error}"
        return None

    async def apply(self, plan: Plan) -> None:
        """Put the plan in force. Established connections stay with their backends, and no new one is lost on the way.

        Raises NftablesRefused, then the previous plan is in force as before; and NftablesError when nft did not answer:
        either plan may be in force, and the next `apply` replaces both.
        """
        if problems := find_problems(plan):
            raise NftablesRefused("; ".join(problems))
        async with self._lock:
            await self._check_forwarding(plan)
            known = self._in_force
            keep = {family for family, _ in await self._list_tables()} if known is None else set(known)
            mark = self._settings.mark_bit
            await self._enforce(compile_plan(plan, mark_bit=mark, keep=keep, fragments=self._fragments))
            self._plan, self._live = plan, None

    async def tidy(self) -> None:
        """Delete what the last changes left behind; nothing points to it. Raises NftablesError.

        `apply` does so as well, for what earlier changes left.
        """
        async with self._lock:
            while self._in_force and not all(table.tidy for table in self._in_force.values()):
                wanted = {family: table.contents for family, table in self._in_force.items()}
                await self._run(transition(self._in_force, wanted, self._table))

    async def counters(self) -> Counters:
        """Read our counters and nothing else. Raises NftablesError."""
        async with self._lock:
            plan = self._plan
            values = Values()
            for family in {family for family, _ in _carried(plan)}:
                listing = ("-j", "list", "counters", "table", family.value, self._table)
                command = self._host.command(self._settings.nft, *listing)
                output = await read_output(command, timeout=self._settings.deadline)
                try:
                    values.add_listing(output)
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

    async def remove(self) -> int:
        """Delete our tables and nothing else; return how many there were. Raises NftablesError.

        Without them the kernel no longer translates, so connections through this engine end, unless other programs keep
        NAT rules. To let them end by themselves, apply an empty plan first and wait.
        """
        async with self._lock:
            if present := await self._list_tables():
                await self._load(drop(present))
            self._plan, self._in_force, self._live = Plan(), {}, None
            return len(present)

    async def _enforce(self, wanted: Ruleset) -> None:
        if self._in_force is not None:
            try:
                await self._run(transition(self._in_force, wanted, self._table))
            except NftablesRefused as error:
                # a bad plan is refused below as well; good ones help when somebody flushed our table
                _log.warning("nftables refused a change; replacing our tables", error=str(error))
            else:
                return
        await self._replace(wanted)

    async def _replace(self, wanted: Ruleset) -> None:
        """Take the place of whatever our tables hold. The new rules are there before the old ones go."""
        present = await self._list_tables()
        taken = {name for _, name in present}
        if not (free := [name for name in TABLES if name not in taken]):
            # somebody was ended between the two transactions below; which of them is older cannot be told
            free = [TABLES[-1]]
            await self._load(drop([table for table in present if table[1] in free]))
            present = [table for table in present if table[1] not in free]
        known, self._table, before = self._in_force, free[0], self._table
        try:
            await self._run(create(wanted, self._table))
        except NftablesRefused:
            self._in_force, self._table = known, before
            raise
        in_force, self._in_force = self._in_force, None
        if present:
            try:
                await self._load(drop(present))
            except NftablesRefused as error:  # the new rules are there already: this is no refusal
                raise NftablesError(f"the rules of an earlier run stay in the kernel: {error}") from error
        self._in_force = in_force

    async def _run(self, change: Transition) -> None:
        """Raises NftablesRefused, then nothing has changed."""
        if len(change.steps) > 1:
            await self._check(
                change
            )  # the kernel takes each step whole or not at all, but a step does not undo another
        before, self._in_force = (
            self._in_force,
            None,
        )  # holds when this is cancelled or nft is killed half-way
        try:
            for step in change.steps:
                await self._load(step)
        except NftablesRefused:
            self._in_force = before
            raise
        self._in_force = change.after

    async def _check(self, change: Transition) -> None:
        await self._load([command for step in change.steps for command in step], dry_run=True)

    async def _load(self, commands: Iterable[Json], *, dry_run: bool = False) -> None:
        """One transaction, which the kernel takes whole or not at all. Raises NftablesRefused for the latter."""
        options = ["-j", *(["--check"] if dry_run else []), "-f", "-"]
        command = self._host.command(self._settings.nft, *options)
        document = json.dumps({"nftables": list(commands)}, separators=(",", ":")).encode()
        finished = await run_tool(command, timeout=self._settings.deadline, stdin=document)
        if finished.code:
            raise NftablesRefused(finished.complaint or f"nft ended with code {finished.code}")

    async def _list_tables(self) -> Sequence[tuple[Family, str]]:
        # the names of tables, not what is in them; once per start
        command = self._host.command(self._settings.nft, "-j", "list", "tables")
        output = await read_output(command, timeout=self._settings.deadline)
        try:
            tables = [item["table"] for item in json.loads(output)["nftables"] if "table" in item]
            present = {(table["family"], table["name"]) for table in tables}
        except (ValueError, KeyError, TypeError) as error:
            raise NftablesError(f"nft printed tables that cannot be read: {error!r}") from error
        return [(family, name) for family in Family for name in TABLES if (family.value, name) in present]

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
