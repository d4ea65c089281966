"""Selection: which filter chain takes a connection: by its peer, its TLS hello and the client's address, in this order.

A matcher of the listener's, not of its chains: then a change of names or networks leaves the chains as they are, and with
them their connections. https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/advanced/matching/matching_api
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message
from xds.core.v3 import cidr_pb2, extension_pb2
from xds.type.matcher.v3 import ip_pb2, matcher_pb2, regex_pb2, string_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.model.hello import ANY, claims
from marchproxy.nlb.dataplane.resources.chains import Admission
from marchproxy.nlb.dataplane.resources.naming import NOBODY
from marchproxy.nlb.dataplane.resources.sources import Network, network

_Matcher: TypeAlias = matcher_pb2.Matcher
_OnMatch: TypeAlias = matcher_pb2.Matcher.OnMatch
_Predicate: TypeAlias = matcher_pb2.Matcher.MatcherList.Predicate
_FieldMatcher: TypeAlias = matcher_pb2.Matcher.MatcherList.FieldMatcher


def chain_matcher(
    admissions: Sequence[Admission], trusted: Sequence[str], names: Mapping[str, str]
) -> _Matcher:
    """What finds a connection's chain. Who matches nothing is closed at once, and counted.

    `trusted`: networks of the peers that may connect, all when empty. `names`: of the filter chains, by `Chain.name`.
    """
    found = _by_hello(admissions, names)
    if not trusted:
        return found
    peers = dict.fromkeys(map(network, trusted), _OnMatch(matcher=found))
    return by_address(network_inputs_pb2.DirectSourceIPInput(), peers)


def by_address(
    address: Message,
    networks: Mapping[Network, _OnMatch],
    *,
    otherwise: _OnMatch | None = None,
) -> _Matcher:
    """A matcher of the longest prefix; `address` is the input."""
    matcher = _Matcher()
    grouped: dict[bytes, ip_pb2.IPMatcher.IPRangeMatcher] = {}
    trie = ip_pb2.IPMatcher()
    for where, then in networks.items():
        key = then.SerializeToString(deterministic=True)
        if key not in grouped:
            grouped[key] = trie.range_matchers.add(on_match=then)
        grouped[key].ranges.append(
            cidr_pb2.CidrRange(
                address_prefix=str(where.network_address),
                prefix_len=wrappers_pb2.UInt32Value(value=where.prefixlen),
            )
        )
    matcher.matcher_tree.input.CopyFrom(_input(address))
    matcher.matcher_tree.custom_match.CopyFrom(
        _extension("envoy.matching.custom_matchers.trie_matcher", trie)
    )
    if otherwise is not None:
        matcher.on_no_match.CopyFrom(otherwise)
    return matcher


def action(name: str, config: Message) -> _OnMatch:
    """The end of a matcher's branch."""
    return _OnMatch(action=_extension(name, config))


def _by_hello(admissions: Sequence[Admission], names: Mapping[str, str]) -> _Matcher:
    """As `model.hello` has it: the best name decides, then ALPN; whom nobody of that name wants gets the one for any."""
    table: dict[str, dict[str, _OnMatch]] = {}
    for admission in admissions:
        then = _by_source(admission, names)
        for name, protocol in claims(admission.listener):
            table.setdefault(name, {}).setdefault(protocol, then)
    # Envoy would go on with the next best name; a chain that is not there ends the search
    rest = table.get(ANY, {}).get(ANY, _to(NOBODY))
    found = _by_alpn(table.pop(ANY, {}), rest)
    branches = {name: _by_alpn(claimed, rest) for name, claimed in sorted(table.items())}
    wild = sorted((name for name in branches if name.startswith("*.")), key=lambda name: (-len(name), name))
    if wild:
        by_suffix = _Matcher()
        for name in wild:
            by_suffix.matcher_list.matchers.append(
                _FieldMatcher(
                    predicate=_compared(network_inputs_pb2.ServerNameInput(), suffix=name[1:]),
                    on_match=branches.pop(name),
                )
            )
        found = _otherwise(by_suffix, found)
    if branches:
        exact = _Matcher()
        exact.matcher_tree.input.CopyFrom(_input(network_inputs_pb2.ServerNameInput()))
        for name, then in branches.items():
            exact.matcher_tree.exact_match_map.map[name].CopyFrom(then)
        found = _otherwise(exact, found)
    return found.matcher if found.HasField("matcher") else _Matcher(on_no_match=found)


def _by_alpn(claimed: Mapping[str, _OnMatch], rest: _OnMatch) -> _OnMatch:
    """Of the protocols that are claimed, the one that the client names first."""
    fallback = claimed.get(ANY, rest)
    protocols = {protocol: then for protocol, then in sorted(claimed.items()) if protocol != ANY}
    matcher = _Matcher()
    for protocol, then in protocols.items():
        rivals = [other for other in protocols if protocols[other] != then]
        matcher.matcher_list.matchers.append(
            _FieldMatcher(predicate=_first_of(protocol, rivals), on_match=then)
        )
    return _otherwise(matcher, fallback) if protocols else fallback


def _first_of(protocol: str, rivals: Sequence[str]) -> _Predicate:
    # the input is the client's list as one text: 'h2','http/1.1'
    named = _compared(network_inputs_pb2.ApplicationProtocolInput(), contains=f"'{protocol}'")
    if not rivals:
        return named
    before = "|".join(re.escape(rival) for rival in rivals)
    found = _Predicate()
    found.and_matcher.predicate.append(named)
    found.and_matcher.predicate.add().not_matcher.CopyFrom(
        _compared(
            network_inputs_pb2.ApplicationProtocolInput(),
            safe_regex=regex_pb2.RegexMatcher(
                regex=f".*'({before})'.*'{re.escape(protocol)}'.*",
                google_re2=regex_pb2.RegexMatcher.GoogleRE2(),
            ),
        )
    )
    return found


def _compared(what: Message, **how: Any) -> _Predicate:
    predicate = _Predicate()
    predicate.single_predicate.input.CopyFrom(_input(what))
    predicate.single_predicate.value_match.CopyFrom(string_pb2.StringMatcher(**how))
    return predicate


def _otherwise(matcher: _Matcher, then: _OnMatch) -> _OnMatch:
    matcher.on_no_match.CopyFrom(then)
    return _OnMatch(matcher=matcher)


def _by_source(admission: Admission, names: Mapping[str, str]) -> _OnMatch:
    sources = admission.sources
    actions = {treatment: _to(names[chain.name]) for treatment, chain in admission.chains.items()}
    if not sources.networks:
        return actions[sources.others]
    networks = {where: actions[treatment] for where, treatment in sources.networks.items()}
    address = network_inputs_pb2.SourceIPInput()
    return _OnMatch(matcher=by_address(address, networks, otherwise=actions[sources.others]))


def _to(chain: str) -> _OnMatch:
    return action("filter-chain-name", wrappers_pb2.StringValue(value=chain))


def _input(message: Message) -> extension_pb2.TypedExtensionConfig:
    return _extension(f"marchproxy.{message.DESCRIPTOR.name}", message)


def _extension(name: str, config: Message) -> extension_pb2.TypedExtensionConfig:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=pack(config))
