"""Limits: which filters a change touches, and which buckets a request comes to."""

from dataclasses import replace
from typing import Any

import pytest
from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2

from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import EMPTY, Draft, check
from marchproxy.model.limit import EVERYTHING, LimitId, RateLimit
from marchproxy.modules.http.resources.fleet import FLEET, build_fleet, instances_in
from marchproxy.modules.http.resources.limits import LimitTable, limit_filters, limits_turned_on, mark_limits

HOUR = RateLimit(LimitId("a"), "route-a", per_hour=100)
MANY = [replace(HOUR, limit_id=LimitId(f"l{n}"), target=f"route-{n}") for n in range(100)]


def built(
    limits: list[RateLimit], *, instances: int = 1, table: LimitTable | None = None
) -> dict[str, Resource]:
    return {one.name: one for one in (table or LimitTable(divided=True)).build(limits, instances)}


def config(resource: Resource) -> Any:
    extension = extension_pb2.TypedExtensionConfig.FromString(resource.body.value)
    return local_rate_limit_pb2.LocalRateLimit.FromString(extension.typed_config.value)


def changed(before: dict[str, Resource], after: dict[str, Resource]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_every_filter_of_the_listeners_is_built_and_off_without_limits() -> None:
    filters = list(limit_filters())
    assert [one.name for one in filters] == list(built([]))
    assert all(one.disabled for one in filters)
    assert not any(config(one).HasField("filter_enabled") for one in built([]).values())


@pytest.mark.parametrize(
    "limit",
    [
        HOUR,
        replace(HOUR, per="client"),
        replace(HOUR, target=EVERYTHING),
        replace(HOUR, target=EVERYTHING, shared=False),
        replace(HOUR, shared=False),
    ],
)
def test_a_change_of_one_limit_touches_the_filter_that_its_route_turns_on(limit: RateLimit) -> None:
    touched = changed(built(MANY), built([*MANY, limit]))
    assert touched == set(limits_turned_on([limit]))
    assert len(touched) == 1


def test_limits_that_the_nlb_keeps_or_that_are_off_touch_nothing() -> None:
    idle = [replace(HOUR, target="listener:web"), replace(HOUR, enabled=False)]
    assert not changed(built(MANY), built([*MANY, *idle]))
    assert not limits_turned_on([replace(HOUR, enabled=False)])


def test_a_route_is_spread_over_every_filter() -> None:
    assert len({name for limit in MANY for name in limits_turned_on([limit])}) == 8


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (HOUR, (100, 100)),
        (replace(HOUR, per_hour=2), (2, 3)),  # a request costs three tokens
        (replace(HOUR, per_hour=2, shared=False), (2, 2)),
        (replace(HOUR, per_hour=0, per_second=10, burst=1), (1, 3)),
    ],
)
def test_the_size_of_the_fleet_touches_only_buckets_that_are_smaller(
    limit: RateLimit, sizes: tuple[int, int]
) -> None:
    table = LimitTable(divided=True)
    alone, three = built([limit], table=table), built([limit], instances=3, table=table)
    (name,) = limits_turned_on([limit])
    found = [config(one[name]).descriptors[0].token_bucket.max_tokens for one in (alone, three)]
    assert tuple(found) == sizes
    assert changed(alone, three) == ({name} if sizes[0] != sizes[1] else set())


@pytest.mark.parametrize(
    ("limit", "divided", "shares"), [(HOUR, True, True), (HOUR, False, False), (replace(HOUR, shared=False), True, False)]
)  # fmt: skip
def test_who_divides(limit: RateLimit, divided: bool, shares: bool) -> None:
    (name,) = limits_turned_on([limit])
    found = config(built([limit], table=LimitTable(divided=divided))[name])
    assert found.HasField("local_cluster_rate_limit") is shares


def test_a_route_says_which_buckets_count_it() -> None:
    message = route_pb2.Route()
    limits = [replace(HOUR, per_minute=7), replace(HOUR, per="header:X-Tenant", per_second=1, per_hour=0)]
    mark_limits(message, [*limits, replace(HOUR, per="client", enabled=False)])
    fields = message.metadata.filter_metadata["marchproxy.limits"].fields
    assert {key: value.string_value for key, value in fields.items()} == {
        "hour": "route-a",
        "minute": "route-a",
        "header:x-tenant second": "route-a",
        "retry-after": "36",
    }
    free = route_pb2.Route()
    mark_limits(free, [])
    assert free == route_pb2.Route()


def test_every_question_finds_its_bucket() -> None:
    """What the filter asks has the keys, in the order, of the buckets that it has."""
    limits = [
        replace(HOUR, per=per, per_second=1, target=target)
        for per in ("", "client", "header:x-a")
        for target in ("route-a", EVERYTHING)
    ]
    for resource in built(limits).values():
        found = config(resource)
        asked = {tuple(_key(action) for action in one.actions) for one in found.rate_limits}
        assert {tuple(entry.key for entry in one.entries) for one in found.descriptors} == asked


def _key(action: Any) -> str:
    kind = action.WhichOneof("action_specifier")
    return "remote_address" if kind == "remote_address" else getattr(action, kind).descriptor_key


def test_the_size_of_a_fleet_is_read_from_what_was_published() -> None:
    assert instances_in(EMPTY) == 1
    assert instances_in(check(Draft((Resource.of(build_fleet(FLEET, 3)),)))) == 3


def test_a_fleet_has_as_many_members_as_instances() -> None:
    assignment = build_fleet(FLEET, 3)
    places = {str(member.endpoint.address) for member in assignment.endpoints[0].lb_endpoints}
    assert (assignment.cluster_name, len(places)) == (FLEET, 3)
