"""Refusals: a provider that does not take our credential. That is no fault of the client's, whose own key is good: it is told
502, and of which pool.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/custom_response_filter
"""

from typing import Any

from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.filters.http.custom_response.v3 import custom_response_pb2
from envoy.extensions.http.custom_response.local_response_policy.v3 import local_response_policy_pb2
from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from envoy.extensions.matching.input_matchers.metadata.v3 import metadata_pb2
from envoy.type.matcher.v3 import status_code_input_pb2, value_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2, string_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.deciding import TOLD
from marchproxy.modules.ailb.resources.typed import off

#: The filter's name.
REFUSALS = "marchproxy.ai.refusals"

_BAD_GATEWAY = 502
_WORDS = "the provider refuses the gateway's credential for the pool %CLUSTER_METADATA(marchproxy:pool)% (status {})"
_MatcherList = matcher_pb2.Matcher.MatcherList
_Predicate = _MatcherList.Predicate


def refusals_filter() -> Any:
    """The filter, off."""
    matchers = [
        _MatcherList.FieldMatcher(predicate=_all_of(_has_passed(), _is(status)), on_match=_told(status))
        for status in map(str, asking.REFUSED)
    ]
    matcher = matcher_pb2.Matcher(matcher_list=_MatcherList(matchers=matchers))
    return off(REFUSALS, custom_response_pb2.CustomResponse(custom_response_matcher=matcher))


def _told(status: str) -> Any:
    policy = local_response_policy_pb2.LocalResponsePolicy(
        status_code=wrappers_pb2.UInt32Value(value=_BAD_GATEWAY),
        body_format=substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string=_WORDS.format(status))
        ),
        response_headers_to_add=[
            base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=asking.PROVIDER_STATUS, value=status))
        ],
    )
    return matcher_pb2.Matcher.OnMatch(action=_named("refused", policy))


def _has_passed() -> Any:
    """And not been refused by ourselves."""
    reservation = network_inputs_pb2.DynamicMetadataInput(filter=TOLD)
    reservation.path.add(key=asking.ID)
    present = metadata_pb2.Metadata(value=value_pb2.ValueMatcher(present_match=True))
    return _Predicate(
        single_predicate=_Predicate.SinglePredicate(
            input=_named("reservation", reservation), custom_match=_named("present", present)
        )
    )


def _is(status: str) -> Any:
    return _Predicate(
        single_predicate=_Predicate.SinglePredicate(
            input=_named("status", status_code_input_pb2.HttpResponseStatusCodeMatchInput()),
            value_match=string_pb2.StringMatcher(exact=status),
        )
    )


def _all_of(*predicates: Any) -> Any:
    return _Predicate(and_matcher=_Predicate.PredicateList(predicate=predicates))


def _named(name: str, config: Message) -> Any:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=pack(config))
