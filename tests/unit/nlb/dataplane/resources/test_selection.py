"""The matcher that is given to Envoy, worked out as Envoy does, beside the model's own rules."""

import ipaddress
import itertools
import re

import pytest
from google.protobuf import wrappers_pb2
from xds.type.matcher.v3 import ip_pb2

from marchproxy.model.hello import find_by_hello
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol
from marchproxy.model.sharing import share
from marchproxy.nlb.dataplane.resources.chains import admit
from marchproxy.nlb.dataplane.resources.selection import chain_matcher


def chain_for(matcher, client: dict[str, str]) -> str:
    """The chain that the matcher leads a client to; empty when to none. The client's properties are by input name."""
    found = None
    match matcher.WhichOneof("matcher_type"):
        case "matcher_tree":
            found = in_tree(matcher.matcher_tree, client)
        case "matcher_list":
            fields = matcher.matcher_list.matchers
            found = next((field.on_match for field in fields if holds(field.predicate, client)), None)
    then = found if found is not None else matcher.on_no_match
    match then.WhichOneof("on_match"):
        case "matcher":
            return chain_for(then.matcher, client)
        case "action":
            return wrappers_pb2.StringValue.FromString(then.action.typed_config.value).value
    return ""


def in_tree(tree, client):
    value = client[tree.input.typed_config.type_url.rpartition(".")[2]]
    if tree.HasField("exact_match_map"):
        return dict(tree.exact_match_map.map).get(value)
    trie = ip_pb2.IPMatcher.FromString(tree.custom_match.typed_config.value)
    address = ipaddress.ip_address(value)
    around = [
        (entry.prefix_len.value, group.on_match)
        for group in trie.range_matchers
        for entry in group.ranges
        if address in ipaddress.ip_network(f"{entry.address_prefix}/{entry.prefix_len.value}")
    ]
    return max(around, key=lambda pair: pair[0])[1] if around else None


def holds(predicate, client) -> bool:
    match predicate.WhichOneof("match_type"):
        case "and_matcher":
            return all(holds(part, client) for part in predicate.and_matcher.predicate)
        case "not_matcher":
            return not holds(predicate.not_matcher, client)
    single = predicate.single_predicate
    value, wanted = client[single.input.typed_config.type_url.rpartition(".")[2]], single.value_match
    match wanted.WhichOneof("match_pattern"):
        case "suffix":
            return value.endswith(wanted.suffix)
        case "contains":
            return wanted.contains in value
        case "safe_regex":
            return re.fullmatch(wanted.safe_regex.regex, value) is not None
    raise AssertionError(wanted)


def select(listeners, limits=(), *, source="192.0.2.1", peer="192.0.2.1", sni="", alpn=()) -> str:
    (port,) = share(listeners)
    admissions = admit(port, limits)
    names = {chain.name: chain.name for each in admissions for chain in each.chains.values()} | {"nobody": ""}
    matcher = chain_matcher(admissions, port.first.trusted_proxies, names)
    protocols = ",".join(f"'{protocol}'" for protocol in alpn)
    return chain_for(
        matcher,
        {
            "ServerNameInput": sni.lower(),
            "ApplicationProtocolInput": protocols,
            "SourceIPInput": source,
            "DirectSourceIPInput": peer,
        },
    )


def https(name: str, *names: str, alpn: tuple[str, ...] = (), **more) -> Listener:
    return Listener(name, "0.0.0.0", 443, Protocol.HTTPS, server_names=names, alpn=alpn, **more)


HELLOS = [
    https("exact", "a.b.test", "Upper.test"),
    https("exact-h2", "a.b.test", alpn=("h2",)),
    https("wild", "*.b.test", alpn=("h2", "http/1.1")),
    https("wider", "*.test"),
    https("alpn", alpn=("mqtt",)),
    https("alpn-two", alpn=("acme-tls/1", "h2")),
    https("rest"),
]
NAMES = ("", "a.b.test", "c.b.test", "x.c.b.test", "b.test", "test", "upper.test", "other")
PROTOCOLS = [
    ordered
    for size in range(4)
    for ordered in itertools.permutations(("h2", "http/1.1", "mqtt", "acme-tls/1"), size)
]


@pytest.mark.parametrize("count", range(2, len(HELLOS) + 1))
def test_a_hello_is_for_whom_the_model_says(count):
    for listeners in itertools.combinations(HELLOS, count):
        for sni, alpn in itertools.product(NAMES, PROTOCOLS[:: 1 if count > 5 else 7]):
            expected = find_by_hello(listeners, sni, alpn)
            found = select(listeners, sni=sni, alpn=alpn)
            assert found.replace("nobody", "") == (expected.name if expected else ""), (sni, alpn)


def limit(name: str, network: str) -> RateLimit:
    return RateLimit(LimitId(name), f"source:{network}", per_second=1)


@pytest.mark.parametrize(
    ("asked", "source", "chain"),
    [
        ({}, "10.0.0.1", "web"),
        ({"deny": ("10.0.0.0/8",)}, "10.0.0.1", "web/denied"),
        ({"deny": ("10.0.0.0/8",)}, "11.0.0.1", "web"),
        ({"allow": ("10.0.0.0/8",)}, "10.0.0.1", "web"),
        ({"allow": ("10.0.0.0/8",)}, "11.0.0.1", "web/denied"),
        ({"allow": ("10.0.0.0/8",)}, "fd00::1", "web/denied"),
        ({"allow": ("10.0.0.0/8", "10.1.0.1"), "deny": ("10.1.0.0/16",)}, "10.1.0.1", "web/denied"),
        ({"allow": ("10.1.0.0/16",), "deny": ("10.0.0.0/8",)}, "10.1.0.1", "web/denied"),
        ({"deny": ("0.0.0.0/0",)}, "10.0.0.1", "web/denied"),
        ({"deny": ("0.0.0.0/0",)}, "fd00::1", "web"),
        ({"allow": ("10.0.0.7/8",)}, "10.9.9.9", "web"),  # host bits do not count
    ],
)  # fmt: skip
def test_networks_decide_deny_before_allow(asked, source, chain):
    assert select([Listener("web", "0.0.0.0", 80, **asked)], source=source) == chain


@pytest.mark.parametrize(
    ("source", "chain"),
    [
        ("10.1.2.3", "web/around+inside"),
        ("10.2.0.1", "web/around"),
        ("10.3.0.1", "web/denied"),
        ("192.0.2.1", "web"),
        ("fd00::1", "web/six"),
    ],
)
def test_limits_of_networks_are_those_of_all_around_a_client(source, chain):
    limits = [limit("around", "10.0.0.0/8"), limit("inside", "10.1.0.0/16"), limit("six", "fd00::/8")]
    assert select([Listener("web", "0.0.0.0", 80, deny=("10.3.0.0/16",))], limits, source=source) == chain


@pytest.mark.parametrize(("peer", "chain"), [("10.0.0.1", "web"), ("10.0.0.2", ""), ("192.0.2.1", "")])
def test_the_peer_must_be_trusted_whatever_the_client_is(peer, chain):
    listener = Listener("web", "0.0.0.0", 80, proxy_protocol=True, trusted_proxies=("10.0.0.1",))
    assert select([listener], source="192.0.2.1", peer=peer) == chain
