"""What Envoy does not judge makes no difference; what it judges does."""

from typing import Any

import pytest
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.json_format import ParseDict

from marchproxy.engines.envoy.messages import pack, socket_address
from marchproxy.engines.envoy.validation.plain import (
    without_amounts,
    without_places,
    without_texts,
    without_weights,
)
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.modules.http.resources.limits import LimitTable


def weighted(*weights: int) -> route_components_pb2.Route:
    route = route_components_pb2.Route(name="r")
    for number, weight in enumerate(weights):
        route.route.weighted_clusters.clusters.add(
            name=f"c{number}", weight=wrappers_pb2.UInt32Value(value=weight)
        )
    return route


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((10, 90), (50, 50), True),
        ((0, 100), (50, 50), True),
        ((0, 0), (50, 50), False),  # Envoy refuses a sum of zero
        ((2**32 - 1, 2**32 - 1), (50, 50), False),
    ],
)
def test_weights_of_a_route(one: tuple[int, ...], other: tuple[int, ...], *, same: bool) -> None:
    assert (without_weights(weighted(*one)) == without_weights(weighted(*other))) is same


def limiting(*limits: RateLimit) -> Any:
    found = {item.name: item for item in LimitTable(divided=False).build(limits, 1)}
    return [
        without_amounts(extension_pb2.TypedExtensionConfig.FromString(found[name].body.value))
        for name in sorted(found)
    ]


def limit(target: str = "*", **fields: Any) -> RateLimit:
    return RateLimit(LimitId("l"), target, **{"per_second": 5, **fields})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([limit()], [limit(per_second=9, burst=70)], True),
        ([limit(per="client")], [limit(per="client", per_second=7)], True),
        ([limit("r-1")], [limit("r-1", per_second=9)], True),
        ([limit()], [], False),
        ([limit()], [limit(per_minute=5)], False),
        ([limit()], [limit(per="client")], False),
        ([limit(per="header:a")], [limit(per="header:b")], False),
    ],
)
def test_amounts_of_limits(one: list[RateLimit], other: list[RateLimit], *, same: bool) -> None:
    assert (limiting(*one) == limiting(*other)) is same


def bucketed(*buckets: tuple[str, int, int]) -> Any:
    """A filter with a descriptor for each name, of so many tokens and so many at a time."""
    limits = local_rate_limit_pb2.LocalRateLimit(stat_prefix="x")
    for name, size, fill in buckets:
        descriptor = limits.descriptors.add()
        descriptor.entries.add(key="route", value=name)
        descriptor.token_bucket.max_tokens = size
        descriptor.token_bucket.tokens_per_fill.value = fill
    return without_amounts(extension_pb2.TypedExtensionConfig(name="f", typed_config=pack(limits)))


@pytest.mark.parametrize(
    ("buckets", "same"),
    [
        ([("a", 9, 9)], True),
        ([("a", 9, 9), ("b", 1, 5)], True),
        ([("a", 9, 9), ("a", 1, 5)], False),  # Envoy refuses two of one name
        ([("a", 0, 9)], False),  # nor is there a bucket without tokens
        ([("a", 9, 0)], False),
        ([("", 9, 9)], False),
    ],
)
def test_buckets_of_one_sort(buckets: list[tuple[str, int, int]], *, same: bool) -> None:
    assert (bucketed(*buckets) == bucketed(("z", 3, 3))) is same


def test_what_is_no_limit_stays() -> None:
    other = extension_pb2.TypedExtensionConfig(name="f", typed_config=pack(weighted(1)))
    before = other.SerializeToString(deterministic=True)
    assert without_amounts(other).SerializeToString(deterministic=True) == before


def test_a_route_to_one_cluster_stays_as_it_is() -> None:
    route = route_components_pb2.Route(name="r", route=route_components_pb2.RouteAction(cluster="c"))
    assert without_weights(route) == route_components_pb2.Route(
        name="r", route=route_components_pb2.RouteAction(cluster="c")
    )


def forwarding(**fields: Any) -> route_components_pb2.Route:
    message = route_components_pb2.Route(name="r")
    message.match.path_separated_prefix = "/api"
    message.route.cluster = "c"
    message.route.timeout.seconds = 15
    ParseDict(fields, message)
    return message


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (forwarding(name="another"), True),
        (forwarding(match={"path_separated_prefix": "/v1/users"}), True),
        (forwarding(route={"cluster": "d", "timeout": "7.5s"}), True),
        (forwarding(match={"path": "/api"}), False),  # another kind of match
        (forwarding(match={"path_separated_prefix": "/api/"}), False),  # Envoy refuses a slash at its end
        (forwarding(match={"path_separated_prefix": "/api?x"}), False),
        (forwarding(match={"safe_regex": {"regex": "/api"}}), False),
        (forwarding(route={"cluster": ""}), False),  # and so it does no name at all
        (forwarding(route={"timeout": "-1s"}), False),
        (forwarding(route={"idle_timeout": "15s"}), True),
        (forwarding(route={"idle_timeout": "-15s"}), False),
        (forwarding(route={"prefix_rewrite": "/"}), False),
        (forwarding(metadata={"filter_metadata": {"a": {"b": "c"}}}), False),
    ],
)
def test_texts_of_a_route(other: route_components_pb2.Route, *, same: bool) -> None:
    assert (without_texts(other) == without_texts(forwarding())) is same


@pytest.mark.parametrize(
    ("value", "same"),
    [("text", True), ("a: b; c=\"d\"", True), ("", False), ("%HOSTNAME%", False), ("100%", False), ("ü", False), ("a\n", False)],
)  # fmt: skip
@pytest.mark.parametrize("field", ["request_headers_to_add", "response_headers_to_add"])
def test_values_of_headers(field: str, value: str, *, same: bool) -> None:
    def with_header(text: str) -> route_components_pb2.Route:
        return forwarding(**{field: [{"header": {"key": "x", "value": text}}]})

    assert (without_texts(with_header(value)) == without_texts(with_header("value"))) is same
    assert without_texts(with_header("value")) != without_texts(forwarding())


def test_shares_of_a_route_may_have_other_clusters_but_not_more_of_them() -> None:
    renamed = weighted(10, 90)
    renamed.route.weighted_clusters.clusters[0].name = "other"
    assert without_texts(renamed) == without_texts(weighted(1, 99))
    assert without_texts(weighted(1, 1, 98)) != without_texts(weighted(1, 99))


def assignment(*endpoints: tuple[str, int, int], priority: int = 0) -> endpoint_pb2.ClusterLoadAssignment:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name="c")
    locality = message.endpoints.add(priority=priority)
    for host, port, weight in endpoints:
        locality.lb_endpoints.append(
            endpoint_components_pb2.LbEndpoint(
                endpoint=endpoint_components_pb2.Endpoint(address=socket_address(host, port)),
                load_balancing_weight=wrappers_pb2.UInt32Value(value=weight),
            )
        )
    return message


ONE = assignment(("10.0.0.1", 80, 1))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (assignment(("10.0.0.2", 81, 7)), True),
        (assignment(("10.0.0.2", 81, 7), ("::1", 80, 1)), True),
        (assignment(("10.0.0.1", 80, 1), priority=1), False),
        (assignment(("backend.test", 80, 1)), False),
        (assignment(("10.0.0.1", 0, 1)), False),
        (assignment(("10.0.0.1", 80, 0)), False),
        (assignment(("10.0.0.1", 80, 2**32 - 1), ("10.0.0.2", 80, 1)), False),
        (assignment(), False),
    ],
)
def test_places_of_endpoints(other: endpoint_pb2.ClusterLoadAssignment, *, same: bool) -> None:
    before = other.SerializeToString()
    assert (without_places(ONE) == without_places(other)) is same
    assert other.SerializeToString() == before
