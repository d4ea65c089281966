"""UpdateRouting, DeleteRouting, GetRoutingTable, RouteRequest, ValidateRoute."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from marchproxy.contract.convert.enums import MODULE_TYPES, PROTOCOLS
from marchproxy.contract.convert.query import page_to_pb, query_from_pb
from marchproxy.contract.convert.route import route_from_pb, route_to_pb, routes_from_pb
from marchproxy.contract.convert.times import moment_to_pb
from marchproxy.contract.errors import validation_errors
from marchproxy.contract.pb import nlb_pb2
from marchproxy.kit.grpc.calls import Context
from marchproxy.kit.grpc.status import invalid
from marchproxy.model.balance import Draw
from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Target
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.model.query import Fields, select_rows
from marchproxy.model.route import Route, RouteId
from marchproxy.model.sharing import Port, share
from marchproxy.nlb.api.desk import Desk
from marchproxy.nlb.api.question import read_question
from marchproxy.nlb.rules.routing import Decision, Knowledge, decide, serves
from marchproxy.nlb.service.asker import ASK_SECONDS, ModuleSilent
from marchproxy.nlb.state.member import Member
from marchproxy.nlb.state.table import OPERATOR, Entry, TableUpdate, check_update

_MOST_ASKED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Row:
    """An entry of the table and the instance that serves it, which is looked for only when somebody asks."""

    entry: Entry
    find: Callable[[], Target | None]
    last_used: datetime | None

    def instance_id(self) -> str:
        """The instance that the next connection would go to, or empty."""
        target = self.find()
        return target.instance_id if target else ""


@dataclass(frozen=True, slots=True)
class _Way:
    """A listener with its port and the instances behind it, the least busy first."""

    port: Port
    listener: Listener
    targets: tuple[Target, ...]


_FIELDS: Fields[Row] = {
    "route_id": lambda row: row.entry.route.route_id,
    "protocol": lambda row: row.entry.route.protocol.value,
    "priority": lambda row: row.entry.route.priority,
    "destination_pattern": lambda row: row.entry.route.match.hosts,
    "path_pattern": lambda row: row.entry.route.match.path.value,
    "module_type": lambda row: row.entry.route.only_for.value if row.entry.route.only_for else "",
    "target_instance_id": Row.instance_id,
    "source": lambda row: row.entry.sources,
    "created_at": lambda row: row.entry.created_at.isoformat(),
}


class RoutingApi:
    """Where traffic goes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turn = 0

    async def UpdateRouting(
        self, request: nlb_pb2.UpdateRoutingRequest, _: Context
    ) -> nlb_pb2.UpdateRoutingResponse:
        """Add or replace routes, all or none; `replace_all` withdraws what else the same source announced."""
        source = self._desk.source(request.source_instance_id)
        try:
            routes = routes_from_pb(request.routes)
            update = TableUpdate(source, routes, replace_all=request.replace_all)
            changed = self._desk.core.update_routing(update, validate_only=request.validate_only)
        except InvalidValue as error:
            return nlb_pb2.UpdateRoutingResponse(
                success=False,
                validation_errors=validation_errors(error.problems),
                **self._desk.refusal(error),
            )
        done = "would change" if request.validate_only else "changed"
        return nlb_pb2.UpdateRoutingResponse(
            success=True, message=f"{changed} routes {done}", routes_updated=changed
        )

    async def DeleteRouting(
        self, request: nlb_pb2.DeleteRoutingRequest, _: Context
    ) -> nlb_pb2.DeleteRoutingResponse:
        """Remove a route; an instance may withdraw what it announced, an operator any."""
        if not request.route_id:
            raise invalid("route_id: is missing")
        source = self._desk.source(request.source_instance_id)
        try:
            self._desk.core.delete_routing(
                RouteId(request.route_id), source, validate_only=request.validate_only
            )
        except Refused as refused:
            return nlb_pb2.DeleteRoutingResponse(success=False, **self._desk.refusal(refused))
        done = "could be removed" if request.validate_only else "was removed"
        return nlb_pb2.DeleteRoutingResponse(success=True, message=f'route "{request.route_id}" {done}')

    async def GetRoutingTable(
        self, request: nlb_pb2.GetRoutingTableRequest, _: Context
    ) -> nlb_pb2.GetRoutingTableResponse:
        """The table, highest priority first; each route with the instance its next connection would go to."""
        core = self._desk.core
        entries = sorted(
            core.world.table.entries.values(), key=lambda entry: (-entry.route.priority, entry.route.route_id)
        )
        wanted = request.destination_filter
        connections = await self._desk.observer.connections()

        def busy(target: Target) -> int:
            return connections.get(target.instance_id, 0)

        try:
            protocol = PROTOCOLS.from_pb(request.protocol_filter, "protocol_filter")
            ways = self._ways(busy)
            rows = [
                Row(
                    entry, partial(self._target, entry.route, ways, busy), core.used.get(entry.route.route_id)
                )
                for entry in entries
                if protocol in {None, entry.route.protocol}
                and (not wanted or wanted in (entry.route.match.hosts or ("*",)))
            ]
            page = select_rows(rows, query_from_pb(request.query), _FIELDS)
        except InvalidValue as error:
            raise invalid(str(error)) from error
        return nlb_pb2.GetRoutingTableResponse(
            entries=[self._entry(row) for row in page.rows],
            total_entries=page.total_items,
            pagination=page_to_pb(page),
        )

    async def RouteRequest(
        self, request: nlb_pb2.RouteRequestRequest, _: Context
    ) -> nlb_pb2.RouteRequestResponse:
        """Where a connection or request would go and why, from the plan that is in force."""
        if not request.HasField("route"):
            raise invalid("route: is missing")
        question = read_question(request)
        core = self._desk.core
        known = Knowledge(
            plan=core.applier.forwarding.plan,
            routes=core.world.table.routes(),
            connections=await self._desk.observer.connections(),
            verdicts=core.questions.route_verdicts(),
            planes=self._desk.plane.choices(),
            limits=core.applier.forwarding.limits,
        )
        rolls = (random.random(), random.random())  # noqa: S311 - spreads load only
        decision = decide(question, known, Draw(self._turn, rolls, question.source))
        if not request.dry_run:
            self._turn += 1
            self._desk.gauges.decided(decision.listener, routed=decision.target is not None)
            if decision.route is not None:
                core.note_use(decision.route.route_id)
        return self._routed(decision)

    async def ValidateRoute(
        self, request: nlb_pb2.ValidateRouteRequest, _: Context
    ) -> nlb_pb2.ValidateRouteResponse:
        """Whether a route could be added, and what every healthy instance that it concerns says to it now."""
        if not request.HasField("route"):
            raise invalid("route: is missing")
        try:
            route = route_from_pb(request.route)
        except InvalidValue as error:
            return nlb_pb2.ValidateRouteResponse(validation_errors=validation_errors(error.problems))
        faults = check_update(self._desk.core.world.table, TableUpdate(OPERATOR, (route,)))
        said = await self._ask_everybody(route)
        capable = sorted(key for key, (can, _) in said.items() if can)
        return nlb_pb2.ValidateRouteResponse(
            valid=not faults,
            has_handler=bool(capable),
            capable_instances=capable,
            validation_errors=validation_errors(
                Problem(problem.path.replace("routes[0]", "route", 1), problem.message) for problem in faults
            ),
            details={key: words for key, (_, words) in said.items()},
        )

    async def _ask_everybody(self, route: Route) -> dict[InstanceId, tuple[bool, str]]:
        slots = asyncio.Semaphore(_MOST_ASKED_AT_ONCE)

        async def ask(member: Member) -> tuple[bool, str]:
            async with slots:
                try:
                    verdict = await self._desk.modules.can_handle(
                        member.instance.address, route, timeout=ASK_SECONDS
                    )
                except ModuleSilent as error:
                    return False, f"did not answer: {error}"
            return verdict.can_handle, verdict.reason or ("yes" if verdict.can_handle else "no")

        members = [
            member
            for member in self._desk.core.world.registry.members.values()
            if member.effective.health.takes_traffic and route.only_for in {None, member.instance.module_type}
        ]
        async with asyncio.TaskGroup() as group:
            asked = {member.instance.instance_id: group.create_task(ask(member)) for member in members}
        return {key: task.result() for key, task in asked.items()}

    def _ways(self, busy: Callable[[Target], int]) -> list[_Way]:
        """Every listener's plan, looked through once and not for each of thousands of routes."""
        plans = self._desk.core.applier.forwarding.plan.listeners
        port_of = {
            item.name: port for port in share(plan.listener for plan in plans) for item in port.listeners
        }
        return [
            _Way(
                port_of[plan.listener.name],
                plan.listener,
                tuple(sorted((target for v in plan.versions for target in v.targets), key=busy)),
            )
            for plan in plans
        ]

    def _target(self, route: Route, ways: Sequence[_Way], busy: Callable[[Target], int]) -> Target | None:
        """The instance for the next connection; the least busy one stands for policies that draw lots."""
        verdicts = self._desk.core.questions.route_verdicts()

        def takes(target: Target) -> bool:
            verdict = verdicts.get((target.instance_id, route.route_id))
            return verdict is None or verdict.can_handle

        firsts = (
            next(filter(takes, way.targets), None) for way in ways if serves(route, way.listener, way.port)
        )
        return min((first for first in firsts if first is not None), key=busy, default=None)

    def _entry(self, row: Row) -> nlb_pb2.RoutingEntry:
        target = row.find()
        member = self._desk.core.member(target.instance_id) if target else None
        kind = member.instance.module_type if member else row.entry.route.only_for
        return nlb_pb2.RoutingEntry(
            route=route_to_pb(row.entry.route),
            target_instance_id=target.instance_id if target else "",
            target_module_type=MODULE_TYPES.to_pb(kind),
            created_at=moment_to_pb(row.entry.created_at),
            last_used=None if row.last_used is None else moment_to_pb(row.last_used),
        )

    def _routed(self, decision: Decision) -> nlb_pb2.RouteRequestResponse:
        target = decision.target
        answer = nlb_pb2.RouteRequestResponse(
            target_module_type=MODULE_TYPES.to_pb(decision.module_type),
            priority=decision.route.priority if decision.route else 0,
            message=decision.reason,
            listener=decision.listener,
            version=decision.version,
            trace=decision.trace,
        )
        if target is None:
            code = decision.code or RefusalCode.ERROR
            answer.error.CopyFrom(self._desk.refusal(Refused(code, decision.reason))["error"])
            return answer
        answer.routed = True
        answer.target_instance_id = target.instance_id
        answer.target_address = target.endpoint.address
        answer.target_endpoint = target.endpoint.name
        return answer
