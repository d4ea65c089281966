"""Usage: filters that read from answers what they cost, where no relay of ours does; it is reported as metadata.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/json_to_metadata_filter
"""

from collections.abc import Iterator
from typing import Any

from envoy.extensions.filters.http.json_to_metadata.v3 import json_to_metadata_pb2
from google.protobuf import any_pb2

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.typed import off, turned_on, typed

_JSON = "marchproxy.ai.usage"
_EVENTS = "marchproxy.ai.usage_of_events"
_LONGEST_EVENT = 1 << 20
_Json = json_to_metadata_pb2.JsonToMetadata
# below `usage`: where a number stands, and the key that it is reported under
_NUMBERS = (
    (("prompt_tokens",), "prompt_tokens"),
    (("completion_tokens",), "completion_tokens"),
    (("input_tokens",), "input_tokens"),
    (("output_tokens",), "output_tokens"),
    (("prompt_tokens_details", "cached_tokens"), "cached_tokens"),
    (("input_tokens_details", "cached_tokens"), "cached_tokens"),
    (("cache_read_input_tokens",), "cache_read_input_tokens"),
    (("cache_creation_input_tokens",), "cache_creation_input_tokens"),
)
# what events of Anthropic's, and of OpenAI's responses, wrap it in
_WRAPPINGS = ((), ("message",), ("response",))


def usage_filters() -> Iterator[Any]:
    """The filters, off."""
    rules = [_rule(("usage", *path), key) for path, key in _NUMBERS]
    matched = _Json.MatchRules(rules=rules, allow_content_types=["application/json"])
    yield off(_JSON, _Json(response_rules=matched))
    events = [
        {"rule": _as_struct((*wrapping, "usage", *path), key)}
        for wrapping in _WRAPPINGS
        for path, key in _NUMBERS
    ]
    parser = {
        "name": "envoy.content_parsers.json",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.content_parsers.json.v3.JsonContentParser",
            "rules": events,
        },
    }
    read = {"max_event_size": _LONGEST_EVENT, "content_parser": parser}
    yield off(_EVENTS, typed("filters.http.sse_to_metadata.v3.SseToMetadata", {"response_rules": read}))


def usage_on(*, events: bool) -> dict[str, any_pb2.Any]:
    """What turns them on for a route; `events`: also for answers that are streams."""
    return {_JSON: turned_on()} | ({_EVENTS: turned_on()} if events else {})


def _rule(path: tuple[str, ...], key: str) -> Any:
    return _Json.Rule(
        selectors=[_Json.Selector(key=name) for name in path],
        on_present=_Json.KeyValuePair(metadata_namespace=asking.USAGE, key=key, type="NUMBER"),
    )


def _as_struct(path: tuple[str, ...], key: str) -> dict[str, Any]:
    return {
        "selectors": [{"key": name} for name in path],
        "on_present": {"metadata_namespace": asking.USAGE, "key": key, "type": "NUMBER"},
    }
