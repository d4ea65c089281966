"""Build: a forwarding as a draft for Envoy. Golden files in tests/golden/nlb."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from marchproxy.engines.envoy.tracing import RequestTracing, collector_cluster
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft
from marchproxy.kit.telemetry import spanned
from marchproxy.model.plan import ListenerPlan
from marchproxy.model.sharing import Port, Sharing, share
from marchproxy.nlb.dataplane.plane import Forwarding
from marchproxy.nlb.dataplane.resources.chains import Admission, admit
from marchproxy.nlb.dataplane.resources.cluster import build_cluster, build_nobody
from marchproxy.nlb.dataplane.resources.connection_log import ConnectionLog
from marchproxy.nlb.dataplane.resources.endpoints import build_endpoints
from marchproxy.nlb.dataplane.resources.http import build_routes
from marchproxy.nlb.dataplane.resources.listener import build_listener
from marchproxy.nlb.dataplane.resources.observing import Observing
from marchproxy.nlb.dataplane.resources.runtime import build_runtime
from marchproxy.nlb.dataplane.resources.tls import Material, secrets
from marchproxy.nlb.dataplane.resources.udp import build_udp_listener


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What resources depend on besides the forwarding.

    `addresses`: the IP address of each host name among the endpoints; an endpoint whose name is missing is left out.
    `material`: what the files of each listener with TLS hold, by the listener's name. `workers`: Envoy's threads.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    material: Mapping[str, Material] = field(default_factory=dict)
    log: ConnectionLog | None = None
    workers: int = 1
    tracing: RequestTracing | None = None


@spanned("compile")
def build_draft(forwarding: Forwarding, around: Surroundings) -> Draft:
    """The resources of every port. Raises KeyError for a listener with TLS and no material."""
    plans = {plan.listener.name: plan for plan in forwarding.plan.listeners}
    ports = share(plan.listener for plan in plans.values())
    messages: list[Message] = [build_runtime(ports)]
    if around.tracing is not None and any(port.sharing is Sharing.REQUEST for port in ports):
        messages.append(collector_cluster(around.tracing))
    for port in ports:
        admissions = admit(port, forwarding.limits)
        denying = any(chain.denied for each in admissions for chain in each.chains.values())
        if denying and not port.first.over_udp:
            messages.append(build_nobody())
        messages += _behind(port, plans, forwarding, around)
        messages += _in_front(port, admissions, forwarding, around)
    resources = {(item.type, item.name): item for item in map(Resource.of, messages)}
    return Draft(tuple(resources.values()))


def _behind(
    port: Port, plans: Mapping[str, ListenerPlan], forwarding: Forwarding, around: Surroundings
) -> Iterator[Message]:
    for listener in port.listeners:
        parked = forwarding.parked.get(listener.name, ())
        yield build_cluster(listener, http=port.sharing is Sharing.REQUEST)
        yield build_endpoints(plans[listener.name], parked, around.addresses)


def _in_front(
    port: Port, admissions: Sequence[Admission], forwarding: Forwarding, around: Surroundings
) -> Iterator[Message]:
    shared_port = around.workers > 1
    for admission in admissions:
        if admission.listener.tls is not None:
            yield from secrets(admission.listener, around.material[admission.listener.name])
    if port.sharing is Sharing.REQUEST:
        yield build_routes(port, forwarding.routes)
    if port.first.over_udp:
        yield build_udp_listener(port, admissions[0], around.log, shared_port=shared_port)
    else:
        observing = Observing(around.log, around.tracing)
        yield build_listener(port, admissions, observing, shared_port=shared_port)
