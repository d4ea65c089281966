"""Tokens: JWTs whose keys are fetched, in one filter that is delivered by itself (ECDS), so that the keys outlive changes of routes.

A route turns it on and names which of its requirements holds; one that it does not have refuses everybody.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/jwt_authn_filter
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from envoy.config.core.v3 import base_pb2, config_source_pb2, extension_pb2, http_uri_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import any_pb2

from marchproxy.engines.envoy.messages import duration, over_ads, pack
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.model.http import AuthenticationKind
from marchproxy.model.module import PoolName
from marchproxy.modules.http.credentials import Credentials
from marchproxy.modules.http.resources.clusters import cluster_name

_FILTER = "marchproxy.tokens"
#: Prefix of the filter's statistics.
STAT_PREFIX = "tokens"
_FETCH_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
_MOST_REMEMBERED = 64


def token_filter() -> Any:
    """The filter as it stands in every listener, off."""
    discovery = config_source_pb2.ExtensionConfigSource(
        config_source=over_ads(),
        default_config=pack(jwt_pb2.JwtAuthentication()),
        type_urls=[f"type.googleapis.com/{jwt_pb2.JwtAuthentication.DESCRIPTOR.full_name}"],
    )
    return hcm_pb2.HttpFilter(name=_FILTER, config_discovery=discovery, disabled=True)


def asks_for_keys(ways: Iterable[Credentials]) -> bool:
    """Whether the keys of one of these are fetched."""
    return any(credentials.way.jwks_url for credentials in ways)


def tokens_required(ways: Sequence[Credentials]) -> dict[str, any_pb2.Any]:
    """What turns the filter on for a route that takes the tokens of these."""
    names = ",".join(credentials.way.name for credentials in ways)
    return {_FILTER: pack(jwt_pb2.PerRouteConfig(requirement_name=names))}


class TokenTable:
    """Builds the filter. Remembers which ways a route took together: until routes have changed, some still do."""

    def __init__(self) -> None:
        self._together: dict[tuple[str, ...], None] = {}

    def build(self, known: Mapping[str, Credentials], routes: Iterable[Sequence[str]]) -> Resource:
        """Every way with tokens by itself, and those together that `routes`, lists of ways, take."""
        config = jwt_pb2.JwtAuthentication(stat_prefix=STAT_PREFIX)
        ways = {name: one for name, one in known.items() if one.way.kind is AuthenticationKind.JWT}
        if not asks_for_keys(ways.values()):
            ways = {}  # routes have them in themselves
        self._note(ways, routes)
        for name, one in ways.items():
            config.providers[name].CopyFrom(provider(one))
        for names in (*((name,) for name in ways), *sorted(self._together)):
            config.requirement_map[",".join(names)].CopyFrom(requirement([ways[name] for name in names]))
        return Resource.of(extension_pb2.TypedExtensionConfig(name=_FILTER, typed_config=pack(config)))

    def _note(self, ways: Mapping[str, Credentials], routes: Iterable[Sequence[str]]) -> None:
        taken = {tuple([name for name in names if name in ways]) for names in routes}
        for names in sorted(taken):
            if len(names) > 1 and asks_for_keys(ways[name] for name in names):
                self._together.pop(names, None)
                self._together[names] = None
        kept = [names for names in self._together if ways.keys() >= set(names)]
        newest = kept[-max(_MOST_REMEMBERED, len(taken)) :]
        self._together = dict.fromkeys(newest)


def requirement(ways: Sequence[Credentials]) -> Any:
    """A token of one of these."""
    any_of = [jwt_pb2.JwtRequirement(provider_name=one.way.name) for one in ways]
    if len(any_of) == 1:
        return any_of[0]
    return jwt_pb2.JwtRequirement(requires_any=jwt_pb2.JwtRequirementOrList(requirements=any_of))


def provider(credentials: Credentials) -> Any:
    """Who issues tokens, and with which keys."""
    way = credentials.way
    found = jwt_pb2.JwtProvider(issuer=way.issuer, audiences=way.audiences, forward=True)
    if way.jwks_url:
        uri = http_uri_pb2.HttpUri(
            uri=way.jwks_url,
            cluster=cluster_name(PoolName(way.jwks_pool)),
            timeout=duration(_FETCH_SECONDS),
        )
        found.remote_jwks.http_uri.CopyFrom(uri)
        found.remote_jwks.cache_duration.CopyFrom(duration(way.jwks_refresh))
        # fetched beside requests, again and again; what was fetched last holds until then
        fetch = jwt_pb2.JwksAsyncFetch(fast_listener=True, failed_refetch_duration=duration(_AGAIN_SECONDS))
        found.remote_jwks.async_fetch.CopyFrom(fetch)
    else:
        found.local_jwks.CopyFrom(base_pb2.DataSource(inline_string=credentials.lines[0]))
    if way.forward_header:
        found.claim_to_headers.add(header_name=way.forward_header, claim_name="sub")
    return found
