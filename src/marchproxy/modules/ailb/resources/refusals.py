"""Refusals: a provider that does not take our credential. That is no fault of the client's, whose own key is good: it is told
502, and of which pool.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/custom_response_filter
"""

from typing import Any

from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.filters.http.custom_response.v3 import custom_response_pb2
from envoy.extensions.http.custom_response.local_response_policy.v3 import local_response_policy_pb2
from envoy.type.matcher.v3 import status_code_input_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.told import is_told
from marchproxy.modules.ailb.resources.typed import off

#: The filter's name.
REFUSALS = "marchproxy.ai.refusals"

_BAD_GATEWAY = 502
_WORDS = "the provider refuses the gateway's credential for the pool %CLUSTER_METADATA(marchproxy:pool)% (status {})"
_Matcher = matcher_pb2.Matcher
_MatcherList = _Matcher.MatcherList


def refusals_filter() -> Any:
    """The filter, off."""
    by_status = _Matcher.MatcherTree(
        input=_named("status", status_code_input_pb2.HttpResponseStatusCodeMatchInput())
    )
    for status in map(str, asking.REFUSED):
        by_status.exact_match_map.map[status].matcher.CopyFrom(_where_passed(_told(status)))
    matcher = _Matcher(matcher_tree=by_status)
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
    return _Matcher.OnMatch(action=_named("refused", policy))


def _where_passed(action: Any) -> Any:
    """Do this where a request was let pass, and not refused by ourselves."""
    passed = is_told(asking.ID, what="reservation", match="present")
    return _Matcher(
        matcher_list=_MatcherList(matchers=[_MatcherList.FieldMatcher(predicate=passed, on_match=action)])
    )


def _named(name: str, config: Message) -> Any:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=pack(config))
