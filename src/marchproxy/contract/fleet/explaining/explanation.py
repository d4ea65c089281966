"""Where a request goes, and why: the NLB is asked, then the instance that it chose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.fleet.explaining.actions import refusal
from marchproxy.contract.fleet.explaining.question import Question
from marchproxy.contract.fleet.messages import as_data
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.model.route import Route, RouteId


@dataclass(frozen=True, slots=True)
class InModule:
    """What happens inside the chosen instance; `route` and what belongs to it only where one matches."""

    verdict: module_pb2.CanHandleResponse
    route: types_pb2.Route | None = None
    pools: tuple[types_pb2.BackendPool, ...] = ()
    limits: tuple[types_pb2.RateLimit, ...] = ()
    instances: int = 1
    """Among how many instances its shared limits are divided."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The NLB's decision, and the module's."""

    question: Question
    nlb: nlb_pb2.RouteRequestResponse
    module: InModule | None = None

    @property
    def served(self) -> bool:
        """Whether the request is answered as its route says, and not turned away."""
        return (
            self.nlb.routed
            and self.module is not None
            and self.module.verdict.can_handle
            and not self.refused
        )

    @property
    def refused(self) -> str:
        """Why the route turns the client away; empty: it does not."""
        return _refusal(self.module, self.question.client)


async def find_out(client: Client, question: Question) -> Explanation:
    """Ask the NLB, then the instance that it chose. Raises CallFailed."""
    request = question.for_nlb()
    decision = await client.nlb(lambda stub, left: stub.RouteRequest(request, timeout=left))
    if not decision.routed:
        return Explanation(question, decision)
    address = await _address_of(client, decision.target_instance_id)
    status = nlb_pb2.GetNLBStatusRequest()
    listeners = (await client.nlb(lambda stub, left: stub.GetNLBStatus(status, timeout=left))).listeners
    spoken = next((_spoken(item) for item in listeners if item.name == decision.listener), None)
    if spoken is None:
        raise CallFailed(f'listener "{decision.listener}" went while the question was answered; ask again')
    asked = question.for_module(spoken)
    verdict = await client.module(address, lambda stub, left: stub.CanHandle(asked, timeout=left))
    return Explanation(question, decision, await _inside(client, address, verdict))


def as_json_data(explanation: Explanation) -> dict[str, Any]:
    """The explanation for programs: the answers of the contract under the names of its steps."""
    question, module = explanation.question, explanation.module
    data: dict[str, Any] = {
        "question": question.in_words(),
        "served": explanation.served,
        "refused": explanation.refused,
        "nlb": as_data(explanation.nlb),
        "module": None,
    }
    if module is not None:
        data["module"] = {
            "verdict": as_data(module.verdict),
            "route": as_data(module.route) if module.route else None,
            "pools": [as_data(pool) for pool in module.pools],
            "rate_limits": [as_data(limit) for limit in module.limits],
            "limits_divided_by": module.instances,
        }
    return data


def _refusal(module: InModule | None, client: str) -> str:
    if module is None or module.route is None:
        return ""
    return refusal(Route(RouteId(""), allow=tuple(module.route.allow), deny=tuple(module.route.deny)), client)


def _spoken(listener: nlb_pb2.Listener) -> types_pb2.Protocol.ValueType:
    """What the module behind a listener gets: what is left where TLS ends."""
    inside = {
        types_pb2.PROTOCOL_HTTPS: types_pb2.PROTOCOL_HTTP,
        types_pb2.PROTOCOL_RTMPS: types_pb2.PROTOCOL_RTMP,
    }
    return inside.get(listener.protocol, listener.protocol) if listener.HasField("tls") else listener.protocol


async def _address_of(client: Client, instance_id: str) -> str:
    for instance in await client.instances():
        if instance.instance_id == instance_id:
            return instance.address
    raise CallFailed(f"{instance_id} left while the question was answered; ask again")


async def _inside(client: Client, address: str, verdict: module_pb2.CanHandleResponse) -> InModule:
    """The module's own route, with its pools and limits, where the verdict names one."""
    route_id = verdict.metadata.get("route_id")
    if not route_id:
        return InModule(verdict)
    only = types_pb2.Query(filters=[types_pb2.Filter(field="route_id", operator="eq", value=route_id)])
    asked = module_pb2.GetRoutesRequest(query=only)
    routes = (await client.module(address, lambda stub, left: stub.GetRoutes(asked, timeout=left))).routes
    if not routes:
        return InModule(verdict)
    route = routes[0]
    pools = await _pools(client, address, route)
    everything = module_pb2.GetRateLimitsRequest()
    answer = await client.module(address, lambda stub, left: stub.GetRateLimits(everything, timeout=left))
    limits = [item for item in answer.limits if item.enabled and item.target in {route_id, "*"}]
    return InModule(verdict, route, tuple(pools), tuple(limits), answer.instances_of_type)


async def _pools(client: Client, address: str, route: types_pb2.Route) -> Sequence[types_pb2.BackendPool]:
    targets = (target.pool for model in route.ai.models for target in model.targets)
    names = dict.fromkeys((*(ref.pool for ref in route.backends), *targets))
    named = module_pb2.GetBackendsRequest(names=names)
    if not named.names:  # no name would ask for all of them
        return ()
    return (await client.module(address, lambda stub, left: stub.GetBackends(named, timeout=left))).pools
