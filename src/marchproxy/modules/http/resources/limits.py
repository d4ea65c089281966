"""Rate limits as filters that are delivered by themselves (ECDS): what holds the tokens is no part of routes or listeners.

The filters stand in every listener, off. A route turns its own on and tells it, in its metadata, which buckets count; so a
change of routes leaves every bucket as it is. Envoy fills the buckets of a filter anew when the filter changes: the limits of
routes are spread over several filters, so that few others share the one that changes.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/local_rate_limit_filter
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from envoy.config.core.v3 import base_pb2, config_source_pb2, extension_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2

from marchproxy.engines.envoy.messages import over_ads, pack
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.model.limit import LimitScope, RateLimit
from marchproxy.modules.http.resources.buckets import ENDLESS, METADATA, counting, retry_seconds

#: Over how many filters the limits of routes are spread: those that are divided among instances, and those that are not.
_SPREAD = {True: 8, False: 2}
#: How many clients, or values of a header, one rate counts at once; Envoy's own 20 would forget most of them.
_MOST_BUCKETS = 10_000
_RETRY = "retry-after"
_LocalRateLimit = local_rate_limit_pb2.LocalRateLimit


@dataclass(frozen=True, slots=True)
class _Filter:
    """One filter: those of limits on everything are numbered 0."""

    scope: LimitScope
    shared: bool
    number: int = 0

    @property
    def name(self) -> str:
        """What listeners and routes call it."""
        whole = "limits" if self.scope is LimitScope.ROUTE else "limits.everything"
        return f"marchproxy.{whole}.{'shared' if self.shared else 'whole'}.{self.number}"

    @classmethod
    def of(cls, limit: RateLimit) -> "_Filter":
        """Whose buckets count a limit: all limits of a route that are divided alike are in one."""
        if limit.scope is LimitScope.ROUTE:
            return cls(limit.scope, limit.shared, crc32(limit.target.encode()) % _SPREAD[limit.shared])
        return cls(LimitScope.EVERYTHING, limit.shared)


_FILTERS = (
    *(_Filter(LimitScope.EVERYTHING, shared) for shared in _SPREAD),
    *(
        _Filter(LimitScope.ROUTE, shared, number)
        for shared, spread in _SPREAD.items()
        for number in range(spread)
    ),
)


def limit_filters() -> Iterator[Any]:
    """The filters as they stand in every listener. One that does not arrive in time limits nothing."""
    for one in _FILTERS:
        discovery = config_source_pb2.ExtensionConfigSource(
            config_source=over_ads(),
            default_config=pack(_LocalRateLimit(stat_prefix=_stat_prefix(one))),
            type_urls=[f"type.googleapis.com/{_LocalRateLimit.DESCRIPTOR.full_name}"],
        )
        yield hcm_pb2.HttpFilter(name=one.name, config_discovery=discovery, disabled=True)


def limits_turned_on(limits: Iterable[RateLimit]) -> dict[str, any_pb2.Any]:
    """What turns on the filters that count the limits of one target; they have no settings there."""
    names = {_Filter.of(limit).name for limit in limits if limit.enabled}
    return {name: pack(route_pb2.FilterConfig(config=any_pb2.Any())) for name in sorted(names)}


def mark_limits(message: Any, limits: Sequence[RateLimit]) -> None:
    """Have the metadata of a route's message say which of the buckets count its requests."""
    active = [limit for limit in limits if limit.enabled]
    if not active:
        return
    fields = message.metadata.filter_metadata[METADATA].fields
    for limit in active:
        for count in counting(limit):
            fields[count.key].string_value = limit.target
    fields[_RETRY].string_value = str(retry_seconds(active))


class LimitTable:
    """Builds the filters, and remembers them: a change of one of 1,000 limits costs the filter that it is in."""

    def __init__(self, *, divided: bool) -> None:
        """`divided`: Envoy knows the fleet as its local cluster, and grants its share of what is shared."""
        self._divided = divided
        self._built: dict[_Filter, tuple[tuple[RateLimit, ...], int, Resource]] = {}
        self._last: tuple[Sequence[RateLimit], int] | None = None

    def build(self, limits: Sequence[RateLimit], instances: int) -> tuple[Resource, ...]:
        """Every filter. `instances`: how many the fleet has, this one included."""
        # values are frozen, so identity tells that nothing is new
        if self._last is None or self._last[0] is not limits or self._last[1] != instances:
            self._build(limits, instances)
            self._last = (limits, instances)
        return tuple(resource for _, _, resource in self._built.values())

    def _build(self, limits: Iterable[RateLimit], instances: int) -> None:
        counted: Mapping[_Filter, list[RateLimit]] = {one: [] for one in _FILTERS}
        for limit in limits:
            if (
                limit.enabled
                and limit.counts_http
                and limit.scope in {LimitScope.ROUTE, LimitScope.EVERYTHING}
            ):
                counted[_Filter.of(limit)].append(limit)
        for one, found in counted.items():
            members = instances if one.shared and self._divided else 1
            # a fleet that changes its size must not fill the buckets that are as large as before
            small = members > 1 and any(count.size < members for limit in found for count in counting(limit))
            least = members if small else 1
            before = self._built.get(one)
            if before is None or before[:2] != (tuple(found), least):
                self._built[one] = (tuple(found), least, self._resource(one, found, least))

    def _resource(self, one: _Filter, limits: Sequence[RateLimit], least: int) -> Resource:
        config = _empty(one) if not limits else _filled(one, limits, least)
        if limits and one.shared and self._divided:
            config.local_cluster_rate_limit.SetInParent()
        return Resource.of(extension_pb2.TypedExtensionConfig(name=one.name, typed_config=pack(config)))


def _empty(one: _Filter) -> Any:
    return _LocalRateLimit(stat_prefix=_stat_prefix(one))


def _filled(one: _Filter, limits: Sequence[RateLimit], least: int) -> Any:
    always = base_pb2.RuntimeFractionalPercent(default_value=percent_pb2.FractionalPercent(numerator=100))
    message = _LocalRateLimit(
        stat_prefix=_stat_prefix(one),
        filter_enabled=always,
        filter_enforced=always,
        enable_x_ratelimit_headers=ratelimit_pb2.DRAFT_VERSION_03,
        response_headers_to_add=[_retry_after(one, limits)],
        token_bucket=ENDLESS,  # of requests that nothing else counts
    )
    message.always_consume_default_token_bucket.value = False
    message.max_dynamic_descriptors.value = _MOST_BUCKETS
    asked: set[bytes] = set()
    for limit in limits:
        for count in counting(limit):
            for actions, entries in count.ways():
                question = actions.SerializeToString(deterministic=True)
                if question not in asked:
                    asked.add(question)
                    message.rate_limits.append(actions)
                message.descriptors.add(entries=entries, token_bucket=count.bucket(least))
    return message


def _stat_prefix(one: _Filter) -> str:
    return "limit_everything" if one.scope is LimitScope.EVERYTHING else "limit_route"


def _retry_after(one: _Filter, limits: Sequence[RateLimit]) -> Any:
    """Of everything it is the same for all; of a route its metadata has it (RFC 9110, section 10.2.3)."""
    route = one.scope is LimitScope.ROUTE
    value = f"%METADATA(ROUTE:{METADATA}:{_RETRY})%" if route else str(retry_seconds(limits))
    header = base_pb2.HeaderValue(key=_RETRY, value=value)
    return base_pb2.HeaderValueOption(
        header=header, append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    )
