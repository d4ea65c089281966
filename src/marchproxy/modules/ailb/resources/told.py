"""Told: a matcher's question whether the decider told something of a request."""

from typing import Any

from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from envoy.extensions.matching.input_matchers.metadata.v3 import metadata_pb2
from envoy.type.matcher.v3 import value_pb2
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.modules.ailb.resources.deciding import TOLD

Predicate = matcher_pb2.Matcher.MatcherList.Predicate


def is_told(key: str, *, what: str, match: str) -> Any:
    """A predicate that holds where it told `key`. `what` and `match` are what its two parts are called."""
    source = network_inputs_pb2.DynamicMetadataInput(filter=TOLD)
    source.path.add(key=key)
    present = metadata_pb2.Metadata(value=value_pb2.ValueMatcher(present_match=True))
    return Predicate(
        single_predicate=Predicate.SinglePredicate(
            input=extension_pb2.TypedExtensionConfig(name=what, typed_config=pack(source)),
            custom_match=extension_pb2.TypedExtensionConfig(name=match, typed_config=pack(present)),
        )
    )
