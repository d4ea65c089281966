"""Event streams: an answer that a client asks for as `text/event-stream` has no end, so no time by which it must come.

A route's `timeout` would cut it. Its `idle_timeout` still ends one that has gone silent.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from xds.core.v3 import extension_pb2 as xds_extension_pb2
from xds.type.matcher.v3 import matcher_pb2, string_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.modules.http.resources.edits import replaced_header

#: The filter's name.
EVENTS = "marchproxy.events"

# what the router takes for the route's timeout; Envoy drops it from clients
_TIMEOUT = "x-envoy-upstream-rq-timeout-ms"
_Predicate = matcher_pb2.Matcher.MatcherList.Predicate


def event_stream_filter() -> Any:
    """The filter that takes the timeout off requests for event streams."""
    mutation = header_mutation_pb2.HeaderMutation()
    mutation.mutations.request_mutations.append(
        mutation_rules_pb2.HeaderMutation(append=replaced_header(_TIMEOUT, "0"))
    )
    config = extension_matcher_pb2.ExtensionWithMatcher(
        extension_config=extension_pb2.TypedExtensionConfig(name="timeout", typed_config=pack(mutation)),
        xds_matcher=_skip_others(),
    )
    return hcm_pb2.HttpFilter(name=EVENTS, typed_config=pack(config))


def header_input(name: str) -> Any:
    """A request's header as what a matcher looks at."""
    data = http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=name)
    return xds_extension_pb2.TypedExtensionConfig(name="header", typed_config=pack(data))


def skip() -> Any:
    """What a matcher does to leave a filter out."""
    action = xds_extension_pb2.TypedExtensionConfig(
        name="skip", typed_config=pack(skip_action_pb2.SkipFilter())
    )
    return matcher_pb2.Matcher.OnMatch(action=action)


def _skip_others() -> Any:
    asks = _Predicate(
        single_predicate=_Predicate.SinglePredicate(
            input=header_input("accept"),
            value_match=string_pb2.StringMatcher(contains="text/event-stream", ignore_case=True),
        )
    )
    others = matcher_pb2.Matcher.MatcherList.FieldMatcher(
        predicate=_Predicate(not_matcher=asks), on_match=skip()
    )
    return matcher_pb2.Matcher(matcher_list=matcher_pb2.Matcher.MatcherList(matchers=[others]))
