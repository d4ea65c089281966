"""Deciding: the filters by which Envoy asks what becomes of a request, and goes by the answer.

In order: what the route says is put into headers of ours, the decider is asked (with the body), the attempts that it named
become metadata, and the route is looked up again, whose cluster these decide.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/ext_authz_filter
"""

from collections.abc import Iterator
from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import backoff_pb2, base_pb2, http_uri_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.header_to_metadata.v3 import header_to_metadata_pb2
from envoy.type.matcher.v3 import string_pb2
from envoy.type.v3 import http_status_pb2
from google.protobuf import any_pb2, wrappers_pb2

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.model.ai import AiRoute
from marchproxy.model.route import Route
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.own_clusters import DECIDER
from marchproxy.modules.ailb.resources.typed import off, turned_off, turned_on, typed
from marchproxy.modules.http.resources.events import EVENTS

#: The namespace of what the decider told, which the filter's name is.
TOLD = "envoy.filters.http.ext_authz"
#: The namespace of the attempts, and in it their key.
ATTEMPTS, GROUPS = "ailb.pools", "priority_groups"

_FACTS = "marchproxy.ai.facts"
_POOLS = "marchproxy.ai.pools"
_AGAIN = "marchproxy.ai.again"
# Requests may wait for an endpoint in the decider, for an hour if a route says so. One that hangs is killed by its
# supervisor after some seconds, and then they are asked about again.
_LONGEST_SECONDS = 3700.0
_DEFAULT_BODY = AiRoute().max_body_bytes
# A decider that was killed is back within a second or two; these wait for 6 s on average.
_RETRIES, _FIRST_BACKOFF = 8, 0.05


def deciding_filters() -> Iterator[Any]:
    """The filters, off."""
    yield off(_FACTS, header_mutation_pb2.HeaderMutation())
    yield off(TOLD, _asking())
    rule = header_to_metadata_pb2.Config.Rule(
        header=asking.POOLS,
        on_header_present=header_to_metadata_pb2.Config.KeyValuePair(
            metadata_namespace=ATTEMPTS, key=GROUPS, type="PROTOBUF_VALUE", encode="BASE64"
        ),
        remove=True,
    )
    yield off(_POOLS, header_to_metadata_pb2.Config(request_rules=[rule]))
    yield off(_AGAIN, typed("filters.http.set_filter_state.v3.Config", {"clear_route_cache": True}))


def deciding_on(route: Route, ai: AiRoute) -> dict[str, any_pb2.Any]:
    """What turns them on for a route, and off what it has no use for."""
    settings = ext_authz_pb2.CheckSettings(with_request_body=_body(ai.max_body_bytes))
    facts = header_mutation_pb2.HeaderMutationPerRoute(
        mutations=header_mutation_pb2.Mutations(request_mutations=list(_facts(route, ai)))
    )
    return {
        _FACTS: pack(facts),
        TOLD: pack(ext_authz_pb2.ExtAuthzPerRoute(check_settings=settings)),
        _POOLS: turned_on(),
        _AGAIN: turned_on(),
        EVENTS: turned_off(),  # there is no timeout to be taken off
    }


def _asking() -> Any:
    uri = http_uri_pb2.HttpUri(uri="http://decider/", cluster=DECIDER, timeout=duration(_LONGEST_SECONDS))
    retries = base_pb2.RetryPolicy(
        retry_on="connect-failure,reset",
        num_retries=wrappers_pb2.UInt32Value(value=_RETRIES),
        # Envoy takes the longest interval for the time of each try as well
        retry_back_off=backoff_pb2.BackoffStrategy(
            base_interval=duration(_FIRST_BACKOFF), max_interval=duration(_LONGEST_SECONDS)
        ),
    )
    service = ext_authz_pb2.HttpService(
        server_uri=uri,
        authorization_response=ext_authz_pb2.AuthorizationResponse(
            allowed_upstream_headers=_names(asking.FORWARDED),
            allowed_client_headers=_names(asking.DENIED),
            dynamic_metadata_from_headers=_names((*asking.METADATA, asking.WHO)),
        ),
        retry_policy=retries,
    )
    return ext_authz_pb2.ExtAuthz(
        http_service=service,
        allowed_headers=_names(asking.TOLD),
        with_request_body=_body(_DEFAULT_BODY),
        status_on_error=http_status_pb2.HttpStatus(code="ServiceUnavailable"),
    )


def _body(limit: int) -> Any:
    return ext_authz_pb2.BufferSettings(max_request_bytes=limit)


def _names(names: tuple[str, ...]) -> Any:
    return string_pb2.ListStringMatcher(patterns=[string_pb2.StringMatcher(exact=name) for name in names])


def _facts(route: Route, ai: AiRoute) -> Iterator[Any]:
    yield _set(asking.ROUTE, str(route.route_id).replace("%", "%%"))
    named = ((asking.AFFINITY, ai.affinity_header), (asking.PRIORITY, ai.queue.priority_header))
    for ours, theirs in named:
        if theirs:
            yield _set(ours, f"%REQ({theirs})%")


def _set(name: str, value: str) -> Any:
    return mutation_rules_pb2.HeaderMutation(
        append=base_pb2.HeaderValueOption(
            header=base_pb2.HeaderValue(key=name, value=value),
            append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
    )
