"""Authentication: a route's ways to it, in one filter that the route fills and that others leave off.

The credential that a request presents decides the way that judges it; of one that presents none, the last way does, and
refuses it. https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/composite_filter
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.http.api_key_auth.v3 import api_key_auth_pb2
from envoy.extensions.filters.http.basic_auth.v3 import basic_auth_pb2
from envoy.extensions.filters.http.composite.v3 import composite_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import any_pb2
from google.protobuf.message import Message
from xds.core.v3 import extension_pb2 as xds_extension_pb2
from xds.type.matcher.v3 import matcher_pb2, regex_pb2, string_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.model.http import AuthenticationKind
from marchproxy.modules.http.credentials import Credentials
from marchproxy.modules.http.resources.events import header_input, skip
from marchproxy.modules.http.resources.tokens import (
    asks_for_keys,
    provider,
    requirement,
    token_filter,
    tokens_required,
)

_FILTER = "marchproxy.authentication"
_FORGET = "marchproxy.names"
_BASIC = r"(?i)basic\s.*"
_Predicate = matcher_pb2.Matcher.MatcherList.Predicate


def authentication_filters() -> Iterator[Any]:
    """The filters as they stand in every listener, off: one forgets names that a client gave itself, one judges."""
    forget = pack(header_mutation_pb2.HeaderMutation())
    yield hcm_pb2.HttpFilter(name=_FORGET, typed_config=forget, disabled=True)
    config = extension_matcher_pb2.ExtensionWithMatcher(
        extension_config=extension_pb2.TypedExtensionConfig(
            name="authentication", typed_config=pack(composite_pb2.Composite())
        ),
        xds_matcher=matcher_pb2.Matcher(on_no_match=skip()),
    )
    yield hcm_pb2.HttpFilter(name=_FILTER, typed_config=pack(config), disabled=True)
    yield token_filter()


def authentication_cases(ways: Sequence[Credentials]) -> Iterator[tuple[Any, dict[str, any_pb2.Any]]]:
    """What a route fills the filters with, by what the headers of a request must be like (None: whatever they are).

    Where keys are fetched, the credentials of each other way have a case of their own, before that of tokens.
    """
    if not ways:
        yield None, {}
        return
    names = {way.way.forward_header for way in ways} - {""}
    forgetting = {_FORGET: pack(_without(names))} if names else {}
    tokens = [one for one in ways if one.way.kind is AuthenticationKind.JWT]
    if not asks_for_keys(tokens):
        yield None, {**forgetting, _FILTER: _judging(ways)}
        return
    for one in ways:
        if one.way.kind is not AuthenticationKind.JWT:
            yield _presented(one), {**forgetting, _FILTER: _judging([one])}
    yield None, {**forgetting, **tokens_required(tokens)}


def _judging(ways: Sequence[Credentials]) -> any_pb2.Any:
    *others, last = _judges(ways)
    matcher = matcher_pb2.Matcher(on_no_match=_run(last[1]))
    for predicate, judge in others:
        matcher.matcher_list.matchers.add(predicate=predicate, on_match=_run(judge))
    return pack(extension_matcher_pb2.ExtensionWithMatcherPerRoute(xds_matcher=matcher))


def _presented(credentials: Credentials) -> Any:
    """The header that tells whether a request presents the credentials of this way, not of tokens."""
    if credentials.way.kind is AuthenticationKind.API_KEY:
        return route_pb2.HeaderMatcher(name=credentials.way.header, present_match=True)
    matcher = route_pb2.HeaderMatcher(name="authorization")
    matcher.string_match.safe_regex.regex = _BASIC
    return matcher


def _without(headers: Iterable[str]) -> Any:
    """Whichever way judges, the names that the others would give are nobody's."""
    config = header_mutation_pb2.HeaderMutationPerRoute()
    for header in sorted(headers):
        config.mutations.request_mutations.add(remove=header)
    return config


def _judges(ways: Sequence[Credentials]) -> Iterator[tuple[Any, Message]]:
    """How a credential is known, and the filter that judges it. All JWTs have one: who issued it is seen inside."""
    for credentials in ways:
        match credentials.way.kind:
            case AuthenticationKind.BASIC:
                yield _header("authorization", _BASIC), _basic(credentials)
            case AuthenticationKind.API_KEY:
                yield _header(credentials.way.header, ".*"), _api_key(credentials)
            case AuthenticationKind.JWT:
                continue
            case _:
                continue  # of databases or of streams; no route of HTTP has them
    if tokens := [one for one in ways if one.way.kind is AuthenticationKind.JWT]:
        yield _header("authorization", r"(?i)bearer\s.*"), _jwt(tokens)


def _header(name: str, pattern: str) -> Any:
    value = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=pattern))
    value.safe_regex.google_re2.SetInParent()
    return _Predicate(
        single_predicate=_Predicate.SinglePredicate(input=header_input(name), value_match=value)
    )


def _run(judge: Message) -> Any:
    action = composite_pb2.ExecuteFilterAction(
        typed_config=extension_pb2.TypedExtensionConfig(name=_FILTER, typed_config=pack(judge))
    )
    return matcher_pb2.Matcher.OnMatch(
        action=xds_extension_pb2.TypedExtensionConfig(name="composite-action", typed_config=pack(action))
    )


def _basic(credentials: Credentials) -> Any:
    return basic_auth_pb2.BasicAuth(
        users=base_pb2.DataSource(inline_string="\n".join(credentials.lines)),
        forward_username_header=credentials.way.forward_header,
    )


def _api_key(credentials: Credentials) -> Any:
    way = credentials.way
    config = api_key_auth_pb2.ApiKeyAuth(key_sources=[api_key_auth_pb2.KeySource(header=way.header)])
    for line in credentials.lines:
        client, _, key = line.partition(":")
        config.credentials.add(key=key, client=client)
    config.forwarding.hide_credentials = True
    config.forwarding.header = way.forward_header
    return config


def _jwt(ways: Sequence[Credentials]) -> Any:
    config = jwt_pb2.JwtAuthentication(providers={one.way.name: provider(one) for one in ways})
    config.rules.add(requires=requirement(ways)).match.prefix = "/"
    return config
