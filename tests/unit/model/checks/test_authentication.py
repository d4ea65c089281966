from dataclasses import replace

import pytest

from marchproxy.model.ai import AiRoute
from marchproxy.model.checks import check_authentication
from marchproxy.model.database import DATABASE_PROTOCOLS, DatabasePool
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import Route

BASIC = Authentication("staff", AuthenticationKind.BASIC, "/htpasswd")
KEYS = Authentication("machines", AuthenticationKind.API_KEY, "/keys", "x-key", forward_header="x-name")
LOCAL = Authentication(
    "tokens", AuthenticationKind.JWT, "/jwks.json", issuer="https://id", audiences=("shop",)
)
REMOTE = replace(LOCAL, file="", jwks_url="https://id.example/keys", jwks_pool="identity")
PEOPLE = Authentication("people", AuthenticationKind.USERLIST, "/people")
ASKED = Authentication(
    "asked", AuthenticationKind.AUTH_QUERY, query="select a, b from c where d = $1", pool="db"
)
SHOWN = Authentication("shown", AuthenticationKind.CERTIFICATE)
POOLS = [
    BackendPool("identity"),
    BackendPool("db", protocol=Protocol.POSTGRES, database=DatabasePool(users="/u", monitor="m")),
    BackendPool("plain", protocol=Protocol.POSTGRES),
]


def told(ways, *routes):
    return list(check_authentication(ways, routes, POOLS))


def test_sound_ways():
    ways = [BASIC, KEYS, LOCAL, replace(REMOTE, name="others")]
    assert told(ways, Route("r", authentication=("staff", "others")), Route("s")) == []


@pytest.mark.parametrize(
    ("way", "header"),
    [(BASIC, ""), (LOCAL, "authorization"), (replace(KEYS, header="X-Api-Key"), "x-api-key"), (KEYS, "")],
)
def test_ways_beside_virtual_keys(way, header):
    route = Route("r", authentication=(way.name,), ai=AiRoute())
    found = told([way], route)
    assert [problem.path for problem in found] == (["routes[0].authentication[0]"] if header else [])
    assert all(f"reads {header}, where virtual keys are shown" in problem.message for problem in found)
    assert told([way], replace(route, ai=None)) == []


@pytest.mark.parametrize(
    ("way", "paths", "message"),
    [
        (replace(BASIC, name="a b"), ["name"], "is not a name"),
        (replace(BASIC, file=""), ["file"], "is needed: the absolute path of a file"),
        (replace(KEYS, file="keys"), ["file"], '"keys" is not the absolute path'),
        (replace(BASIC, header="x-key", issuer="i", audiences=("a",)), ["header", "issuer", "audiences"], "is for jwt, not for basic"),
        (replace(BASIC, method="md5", query="$1", pool="db"), ["method", "query", "pool"], "is for userlist and auth_query, not for basic"),
        (replace(PEOPLE, file=""), ["file"], "is needed: the absolute path of a file"),
        (replace(PEOPLE, forward_header="x"), ["forward_header"], "is for basic and api_key and jwt, not for userlist"),
        (replace(PEOPLE, method="plain"), ["method"], 'unknown method "plain"; known: caching_sha2_password, md5'),
        (replace(ASKED, file="/f"), ["file"], "not for auth_query"),
        (replace(ASKED, query="select 1"), ["query"], "is needed: SQL that answers the name and the secret of the user whose name is $1"),
        (replace(ASKED, pool="no"), ["pool"], 'no pool "no"; known: db, identity, plain'),
        (replace(ASKED, pool="identity"), ["pool"], "identity speaks http, not postgres"),
        (replace(ASKED, pool="plain"), ["pool"], "plain has no database.monitor"),
        (replace(SHOWN, file="/f", method="md5"), ["file", "method"], "not for certificate"),
        (replace(KEYS, header="a b"), ["header"], "is not a header name"),
        (replace(KEYS, forward_header="connection"), ["forward_header"], "belongs to the connection"),
        (replace(LOCAL, file=""), [""], "give either file or jwks_url"),
        (replace(REMOTE, file="/jwks.json"), [""], "give either file or jwks_url"),
        (replace(LOCAL, file="jwks.json"), ["file"], "is not the absolute path"),
        (replace(LOCAL, jwks_pool="identity"), ["jwks_pool"], "goes with jwks_url"),
        (replace(REMOTE, jwks_refresh=0.5), ["jwks_refresh"], "0.5 s is not between 1 s and 86400 s"),
        (replace(REMOTE, jwks_refresh=86401), ["jwks_refresh"], "is not between"),
        (replace(BASIC, jwks_refresh=60), ["jwks_refresh"], "is for jwt, not for basic"),
        (replace(REMOTE, jwks_pool="no"), ["jwks_pool"], 'no pool "no"; known: db, identity, plain'),
        (replace(REMOTE, jwks_url="id.example/keys"), ["jwks_url"], "is not a URL such as"),
        (replace(REMOTE, jwks_url="https://[id/keys"), ["jwks_url"], "is not a URL such as"),
        (replace(REMOTE, jwks_url="https://id:99999/"), ["jwks_url"], "is not a URL such as"),
    ],
)  # fmt: skip
def test_each_fault_is_told_at_its_path(way, paths, message):
    problems = told([way])
    assert [problem.path for problem in problems] == [
        f"authentication[0].{path}".rstrip(".") for path in paths
    ]
    assert any(message in problem.message for problem in problems), problems


def test_names_are_unique():
    (problem,) = told([BASIC, replace(KEYS, name="staff")])
    assert str(problem) == "authentication[1].name: the same as authentication[0].name"


def test_routes_name_ways_that_are_there_once():
    problems = told([BASIC], Route("r"), Route("s", authentication=("staff", "stuff", "staff")))
    assert [str(problem) for problem in problems] == [
        'routes[1].authentication[1]: no authentication "stuff"; known: staff',
        'routes[1].authentication[2]: "staff" stands there twice',
    ]


@pytest.mark.parametrize(
    ("way", "protocol", "message"),
    [
        *((PEOPLE, protocol, "") for protocol in sorted(DATABASE_PROTOCOLS, key=str)),
        (ASKED, Protocol.POSTGRES, ""),
        *((SHOWN, protocol, "") for protocol in sorted(DATABASE_PROTOCOLS, key=str)),
        (replace(PEOPLE, method="md5"), Protocol.POSTGRES, ""),
        (replace(PEOPLE, method="caching_sha2_password"), Protocol.MYSQL, ""),
        (BASIC, Protocol.POSTGRES, '"staff" is basic, which is for HTTP, not for postgres'),
        (PEOPLE, Protocol.HTTP, "is for mongodb, mysql, postgres and redis, not for http"),
        (ASKED, Protocol.MYSQL, '"asked" is auth_query, which is for postgres, not for mysql'),
        (SHOWN, Protocol.GRPC, "is for mongodb, mysql, postgres and redis, not for grpc"),
        (replace(PEOPLE, method="md5"), Protocol.MYSQL, '"people" asks by md5, which mysql does not know'),
        (replace(PEOPLE, method="md5"), Protocol.REDIS, "which redis does not know"),
    ],
)
def test_each_kind_is_for_some_protocols(way, protocol, message):
    problems = told([way], Route("r", protocol=protocol, authentication=(way.name,)))
    assert [problem.path for problem in problems] == ["routes[0].authentication[0]"] * bool(message)
    assert all(message in problem.message for problem in problems)
