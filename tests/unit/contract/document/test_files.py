import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from marchproxy.contract.document import StateDocument, decode, load_document
from marchproxy.contract.document.schema import ai, http, rtmp
from marchproxy.contract.document.schema.database import (
    DatabasePoolDocument,
    DatabaseRouteDocument,
    SqlRuleDocument,
)
from marchproxy.contract.document.schema.listener import ListenerDocument, TlsDocument
from marchproxy.contract.document.schema.pool import (
    BreakersDocument,
    DiscoveryDocument,
    EndpointDocument,
    HealthCheckDocument,
    OutliersDocument,
    PoolDocument,
    UpstreamTlsDocument,
)
from marchproxy.contract.document.schema.route import (
    BackendDocument,
    HeaderDocument,
    QueryDocument,
    RetryDocument,
    RouteDocument,
)
from marchproxy.contract.document.schema.state import RateLimitDocument, ScalingDocument
from marchproxy.kit.settings import Section, SettingsError
from marchproxy.model.ai import PII_ENTITIES, GuardKind
from marchproxy.model.route import RETRY_CONDITIONS
from marchproxy.model.sharing import share
from marchproxy.model.state import DesiredState

ROOT = Path(__file__).parents[4]
REFERENCE = (ROOT / "docs/configuration.md").read_text()

SHOP = """\
listeners:
  - name: web
    address: localhost:8000
routes:
  - id: shop
    hosts: [shop.example]
    timout: 15s
  - id: cart
    hosts: [cart.example]
    path: /cart
    methods: [GET]
    priority: 1
    backends:
      - {pool: shop-v1, weight: 90}
      - {pool: shop-v3, weight: 5}
pools:
  - name: shop-v1
  - name: shop-v2
"""


class Nlb(Section):
    id: str = "nlb-1"


class WholeDocument(StateDocument):
    nlb: Nlb = Nlb()


class ExampleDocument(StateDocument):
    nlb: Any
    modules: Any


def problems(text, environ=None, model=StateDocument):
    with pytest.raises(SettingsError) as caught:
        load_document(model, text, environ=environ or {})
    return [problem.render() for problem in caught.value.problems]


def test_the_example_is_sound():
    document, state = load_document(ExampleDocument, ROOT / "examples/first-light.yaml", environ={})
    assert document.nlb["grpc"] == "127.0.0.1:50050"
    assert [pool.version for pool in state.pools] == ["v1", "v2"]
    assert state.routes[0].retry.on == ("connect_failure", "reset")


def test_errors_look_as_the_reference_says(tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    told = problems(file, {"MARCHPROXY_POOLS__0__CONNECT_TIMEOUT": "soon"})
    (shown,) = re.findall(r"```\n(shop.yaml:.*?)\n```", REFERENCE, flags=re.DOTALL)
    assert [line.removeprefix(f"{tmp_path}/") for line in told] == shown.splitlines()


def test_soundness_is_checked_beside_faults_of_form():
    assert problems(SHOP) == [
        'line 3: listeners[0].address: "localhost" is not an IP address; use 0.0.0.0 for every IPv4 one',
        'line 7: routes[0].timout: unknown key; did you mean "timeout"?',
        "line 13: routes[1].backends: the weights add up to 95, they must add up to 100",
        'line 15: routes[1].backends[1].pool: no pool "shop-v3"; known: shop-v1, shop-v2',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("routes:\n- id: r\n- id: r\n", ["line 3: routes[1].id: the same as routes[0].id"]),
        # no line of its own: the nearest thing around it
        ("routes:\n- id: r\n\n- id: s\n", ["line 4: routes[1].priority:"]),
        ("pools:\n- name: p\n  endpoints:\n  - a:1\n  - a\n", ["line 5: pools[0].endpoints[1].address:"]),
        # a dot in a version is no step down
        (
            "listeners:\n- name: w\n  address: 0.0.0.0:1\n  version_weights:\n    v1.1: 101\n    v1.2: -1\n",
            ["line 5: listeners[0].version_weights.v1.1: 101 is", "line 6: listeners[0].version_weights.v1.2: -1 is"],
        ),
        ("a: [", ["line 2: not readable as YAML"]),
    ],
)  # fmt: skip
def test_lines(text, expected):
    told = problems(text)
    assert len(told) == len(expected), told
    for problem, start in zip(told, expected, strict=True):
        assert problem.startswith(start)


def test_a_fault_of_another_section_does_not_hide_those_of_the_state():
    told = problems("nlb: {id: 1}\nroutes:\n- id: r\n  backends: [p]\n", model=WholeDocument)
    assert [line.partition(": ")[0] for line in told] == ["line 1", "line 4"]


def test_the_environment_lies_over_the_file():
    document, state = load_document(
        WholeDocument,
        "routes: [{id: r}]",
        environ={"MARCHPROXY_ROUTES__0__METHODS": "GET,HEAD", "MARCHPROXY_NLB__ID": "n"},
    )
    assert document.nlb.id == "n"
    assert state.routes[0].match.methods == ("GET", "HEAD")


def test_an_unreadable_file_is_named(tmp_path):
    assert problems(tmp_path / "no.yaml") == [
        f"{tmp_path}/no.yaml: cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("heading", "models"),
    [
        ("listeners", [ListenerDocument]),
        ("tls", [TlsDocument]),
        ("routes", [RouteDocument, BackendDocument, HeaderDocument, QueryDocument]),
        ("retry", [RetryDocument]),
        ("pools", [PoolDocument, EndpointDocument]),
        ("health_check", [HealthCheckDocument]),
        ("rate_limits", [RateLimitDocument]),
        ("rewrite", [http.RewriteDocument]),
        ("redirect", [http.RedirectDocument]),
        ("response", [http.ResponseDocument]),
        ("request_headers and response_headers", [http.HeaderEditsDocument]),
        ("mirrors", [http.MirrorDocument]),
        ("cors", [http.CorsDocument]),
        ("sticky", [http.StickyDocument]),
        ("authentication", [http.AuthenticationDocument]),
        ("tls of a pool", [UpstreamTlsDocument]),
        ("breakers", [BreakersDocument]),
        ("outliers", [OutliersDocument]),
        ("discovery", [DiscoveryDocument]),
        ("scaling", [ScalingDocument]),
        ("database of a route", [DatabaseRouteDocument]),
        ("firewall", [SqlRuleDocument]),
        ("database of a pool", [DatabasePoolDocument]),
        ("ai of a route", [ai.AiRouteDocument, ai.ModelDocument, ai.ModelTargetDocument, ai.QueueDocument]),
        ("ai of a pool", [ai.AiPoolDocument, ai.ScoresDocument]),
        ("virtual_keys", [ai.VirtualKeyDocument]),
        ("allowances", [ai.AllowanceDocument]),
        ("prices", [ai.PriceDocument]),
        ("guardrails", [ai.GuardrailDocument]),
        ("rtmp of a route", [rtmp.RtmpRouteDocument, rtmp.StreamLimitsDocument]),
        ("packaging", [rtmp.PackagingDocument, rtmp.RungDocument]),
        ("rtmp of a pool", [rtmp.RtmpPoolDocument]),
    ],
)
def test_the_reference_names_every_key(heading, models):
    section = re.split(r"^##+ ", REFERENCE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{heading}\n")]
    documented = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    if heading == "retry":
        documented -= RETRY_CONDITIONS
    if heading == "guardrails":
        documented -= {kind.value for kind in GuardKind}
    assert documented == {name for model in models for name in model.model_fields}


EXAMPLES = re.findall(
    r"```yaml\n(.*?)```",
    REFERENCE.partition("### Several listeners at one address")[2].partition("\n## ")[0],
    re.DOTALL,
)


@pytest.mark.parametrize(("text", "sharing"), [*zip(EXAMPLES, ["request", "hello", "bytes"], strict=True)])
def test_the_examples_of_shared_addresses_are_what_they_say(text, sharing):
    (port,) = share(decode(text.encode()).listeners)
    assert port.sharing.value == sharing


def test_the_reference_names_all_that_guardrails_look_for():
    text = REFERENCE.partition("\n### guardrails\n")[2].partition("\n## ")[0]
    assert {word for word in PII_ENTITIES if f"`{word}`" in text} == PII_ENTITIES
    assert all(f"\n| `{kind.value}` | " in text for kind in GuardKind)


def test_the_reference_names_every_retry_condition():
    assert all(f"| `{condition}` |" in REFERENCE for condition in RETRY_CONDITIONS)


# those that have a section of a process are the command's to judge: tests/unit/cli/file/test_reference.py
SHOWN = [
    text
    for text in re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)
    if yaml.safe_load(text).keys() <= StateDocument.model_fields.keys()
]


@pytest.mark.parametrize("text", SHOWN)
def test_every_example_of_the_reference_is_sound(text):
    pools = "" if "pools:" in text else "pools: [{name: shop}, {name: shop-v2}]\n"
    assert decode((text + pools).encode()) != DesiredState()
