"""Tokens whose keys are fetched: what the filter has, and how a route is divided by what requests present."""

from dataclasses import replace
from typing import Any

import pytest
from envoy.config.core.v3 import extension_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_pb2

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.modules.http.credentials import Credentials
from marchproxy.modules.http.resources.authentication import authentication_cases
from marchproxy.modules.http.resources.tokens import TokenTable

JWT = AuthenticationKind.JWT
WAYS = {
    "far": Credentials(Authentication("far", JWT, jwks_url="https://id.example/keys", jwks_pool="id"), ()),
    "near": Credentials(Authentication("near", JWT, "/jwks"), ('{"keys": [{"kty": "oct"}]}',)),
    "other": Credentials(Authentication("other", JWT, "/jwks"), ('{"keys": [{"kty": "oct"}]}',)),
    "people": Credentials(Authentication("people", AuthenticationKind.BASIC, "/users"), ("bob:{SHA}x",)),
    "keys": Credentials(Authentication("keys", AuthenticationKind.API_KEY, "/keys", "x-key"), ("robot:k",)),
}


def built(
    *routes: tuple[str, ...], known: dict[str, Credentials] = WAYS, table: TokenTable | None = None
) -> Any:
    resource = (table or TokenTable()).build(known, routes)
    extension = extension_pb2.TypedExtensionConfig.FromString(resource.body.value)
    return jwt_pb2.JwtAuthentication.FromString(extension.typed_config.value)


def test_the_filter_has_every_way_with_tokens_and_what_routes_take_together() -> None:
    config = built(("far", "near"), ("people", "far", "near"), ("near", "other"), ("far",))
    assert set(config.providers) == {"far", "near", "other"}
    assert set(config.requirement_map) == {"far", "near", "other", "far,near"}
    assert config.providers["far"].remote_jwks.http_uri.cluster == "pool.id"


def test_without_keys_to_fetch_the_filter_is_empty() -> None:
    known = {name: one for name, one in WAYS.items() if name != "far"}
    config = built(("near", "other"), known=known)
    assert not config.providers
    assert not config.requirement_map


def test_the_order_of_routes_changes_nothing() -> None:
    assert built(("far", "near"), ("far", "other")) == built(("far", "other"), ("far", "near"))


def test_what_a_route_took_is_there_until_the_route_has_changed() -> None:
    table = TokenTable()
    built(("far", "near"), table=table)
    assert "far,near" in built(("far",), table=table).requirement_map
    gone = {name: one for name, one in WAYS.items() if name != "near"}
    assert "far,near" not in built(("far",), known=gone, table=table).requirement_map


def test_not_everything_is_remembered() -> None:
    many = {
        name: replace(WAYS["far"], way=replace(WAYS["far"].way, name=name)) for name in map(str, range(100))
    }
    table = TokenTable()
    for name in many:
        built(("0", name), known=many, table=table)
    kept = [name for name in built(("0", "1"), known=many, table=table).requirement_map if "," in name]
    assert len(kept) == 64
    assert {"0,1", "0,99"} <= set(kept)
    every = [("0", name) for name in many if name != "0"]
    assert len([n for n in built(*every, known=many, table=table).requirement_map if "," in n]) == 99


@pytest.mark.parametrize(
    ("names", "cases"),
    [
        ([], [None]),
        (["people", "keys", "near"], [None]),
        (["far"], [None]),
        (["far", "near"], [None]),
        (["people", "far"], ["authorization", None]),
        (["far", "keys", "people"], ["x-key", "authorization", None]),
    ],
)
def test_a_route_has_a_case_for_each_kind_of_credential(names: list[str], cases: list[str | None]) -> None:
    found = list(authentication_cases([WAYS[name] for name in names]))
    assert [presented and presented.name for presented, _ in found] == cases
    for presented, filters in found:
        by_token = "marchproxy.tokens" in filters
        assert by_token is (presented is None and "far" in names)
        assert bool(filters) is bool(names)  # nobody gets through a case that judges nothing
