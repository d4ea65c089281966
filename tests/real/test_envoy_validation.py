"""The validator with Envoy itself: everything that we build passes, and what is spoilt is found, of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.messages import socket_address
from marchproxy.engines.envoy.secrets import authorities_secret
from marchproxy.engines.envoy.validation import Validator
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft, Snapshot, check
from marchproxy.kit.settings import HostPort
from marchproxy.modules.ailb.resources.sockets import Sockets
from marchproxy.modules.http.resources import Builder, ListenerSpec
from marchproxy.modules.http.resources.fleet import FLEET
from tests.golden.ailb import cases as ailb
from tests.golden.alb.cases import CASES, listeners, snapshot_of

STATE = decode(
    b"pools: [{name: blue, endpoints: ['127.0.0.1:81']}, {name: green, endpoints: ['127.0.0.1:82']}]\n"
    b"routes: [{id: a, path: /a, backends: [blue]}, {id: b, path: /b, backends: [green]}]"
)
ANY = [ListenerSpec("http", "127.0.0.1", 10000)]
BUILDER = Builder(ANY)


@pytest.fixture
def validator(tmp_path: Path) -> Validator:
    bootstrap = render(BootstrapSpec("n", "c", HostPort("127.0.0.1", 0), tmp_path / "ads.sock", fleet=FLEET))
    return Validator(find_envoy(None), bootstrap, tmp_path / "validation")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_every_golden_case_passes(case: Path, validator: Validator) -> None:
    assert await validator.check(snapshot_of(case, listeners(case) or ANY)) == ()


@pytest.mark.parametrize("case", ailb.CASES, ids=lambda case: case.name)
async def test_every_golden_case_of_the_ailb_passes(case: Path, validator: Validator, tmp_path: Path) -> None:
    assert await validator.check(ailb.snapshot_of(case, Sockets(tmp_path, 2))) == ()


def spoilt(resource: Resource, message: Any, spoil: Callable[[Any], object]) -> Resource:
    parsed = message.FromString(resource.body.value)
    spoil(parsed)
    return Resource.of(parsed)


def with_other(other: Resource) -> Snapshot:
    draft = BUILDER.build(STATE)
    kept = [one for one in draft.resources if (one.type, one.name) != (other.type, other.name)]
    return check(Draft((*kept, other)))


def _bad_window(cluster: Any) -> None:
    cluster.connect_timeout.seconds = -1


def _bad_address(assignment: Any) -> None:
    assignment.endpoints[0].lb_endpoints[0].endpoint.address.CopyFrom(socket_address("nowhere.test", 80))


def _bad_filter(listener: Any) -> None:
    listener.filter_chains[0].filters[0].typed_config.type_url = "type.googleapis.com/no.such.Filter"


def _bad_host(configuration: Any) -> None:
    configuration.virtual_hosts.add(name="twice", domains=["*"])


def _bad_route(configuration: Any) -> None:
    configuration.virtual_hosts[0].routes[0].response_headers_to_add.add().header.key = "a\nb"


@pytest.mark.parametrize(
    ("kind", "message", "spoil", "culprit"),
    [
        (ResourceType.CLUSTER, cluster_pb2.Cluster, _bad_window, ("pool.blue", "")),
        (ResourceType.ENDPOINT, endpoint_pb2.ClusterLoadAssignment, _bad_address, ("pool.blue", "")),
        (ResourceType.LISTENER, listener_pb2.Listener, _bad_filter, ("http", "")),
        (ResourceType.ROUTE, route_pb2.RouteConfiguration, _bad_host, ("routes", "")),
        (ResourceType.ROUTE, route_pb2.RouteConfiguration, _bad_route, ("routes", "a")),
    ],
    ids=lambda value: getattr(value, "name", None) or getattr(value, "__name__", ""),
)
async def test_what_is_spoilt_is_found(
    validator: Validator,
    kind: ResourceType,
    message: Any,
    spoil: Callable[[Any], object],
    culprit: tuple[str, str],
) -> None:
    sound = check(BUILDER.build(STATE))
    assert await validator.check(sound) == ()
    first = sound.of(kind)[culprit[0]]
    (fault,) = await validator.check(with_other(spoilt(first, message, spoil)))
    assert (fault.type, (fault.name, fault.part)) == (kind, culprit)
    assert fault.message


async def test_a_secret_that_holds_nothing_is_found(validator: Validator) -> None:
    secret = Resource.of(authorities_secret("authorities", b"not PEM"))
    (fault,) = await validator.check(check(Draft((secret,))))
    assert (fault.type, fault.name) == (ResourceType.SECRET, "authorities")
    assert "Failed to load trusted CA certificates" in fault.message
    assert secret_pb2.Secret.FromString(secret.body.value).name == "authorities"


async def test_the_configuration_of_a_filter_that_there_is_not_is_found(validator: Validator) -> None:
    extension = extension_pb2.TypedExtensionConfig(name="marchproxy.none")
    extension.typed_config.type_url = "type.googleapis.com/no.such.Filter"
    (fault,) = await validator.check(check(Draft((Resource.of(extension),))))
    assert (fault.type, fault.name) == (ResourceType.EXTENSION, "marchproxy.none")
