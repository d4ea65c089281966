"""Usage: filters that read from answers what they cost, where no relay of ours does; it is reported as metadata.

Whole answers are searched by a script: Envoy's json_to_metadata builds a tree of all that was said, which takes a hundred
instructions for each byte of it.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/lua_filter
"""

from collections.abc import Iterator
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from google.protobuf import any_pb2

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.typed import off, turned_on, typed

_WHOLE = "marchproxy.ai.usage"
_EVENTS = "marchproxy.ai.usage_of_events"
_LONGEST_EVENT = 1 << 20
# bytes of one; of ASCII, as a report that is not UTF-8 would be lost with all that are sent along with it
_LONGEST_USAGE = 4096
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
# The last `"usage"` of an answer is nearly always the one; it is, when what follows its object ends one object more and
# then the answer. If not, the answer is gone through from its start. A member of anything but the answer itself, an argument
# of a tool for one, is nobody's usage: models write those.
_SCRIPT = """\
local function past_string(text, from)
  while true do
    local quote = string.find(text, '"', from, true)
    if quote == nil then return nil end
    local before = quote - 1
    while string.byte(text, before) == 92 do before = before - 1 end
    if (quote - before) %% 2 == 1 then return quote + 1 end
    from = quote + 1
  end
end
local function object_at(text, at)
  return string.match(text, "^%%s*:%%s*(%%b{})()", at)
end
local function past_name(text, at, depth)
  local past = past_string(text, at + 1)
  local named = depth == 1 and past and string.sub(text, at, past - 1) == '"usage"'
  return past, named and object_at(text, past)
end
local function outermost(text, at, depth)
  while at do
    at = string.find(text, '["{}%%[%%]]', at)
    local sign = at and string.byte(text, at)
    if sign == 34 then
      local past, object = past_name(text, at, depth)
      if object then return object end
      at = past
    elseif sign then
      depth = (sign == 123 or sign == 91) and depth + 1 or depth - 1
      at = at + 1
      if depth == 0 then return nil, at end
    end
  end
end
local function usage(text)
  local last, next = nil, string.find(text, '"usage"', 1, true)
  while next do
    last, next = next, string.find(text, '"usage"', next + 1, true)
  end
  if last == nil then return nil end
  local object, past = object_at(text, last + 7)
  if object and string.byte(text, last - 1) ~= 92 then
    local another, stop = outermost(text, past, 1)
    if not another and stop and string.find(text, "^%%s*$", stop) then return object end
  end
  return (outermost(text, 1, 0))
end
function envoy_on_response(handle)
  local kind = handle:headers():get("content-type")
  if kind == nil or not string.find(kind, "application/json", 1, true) then return end
  local body = handle:body()
  if body == nil then return end
  local found = usage(body:getBytes(0, body:length()))
  if found == nil or #found > %(longest)d or not string.find(found, "^[\\1-\\127]*$") then return end
  handle:streamInfo():dynamicMetadata():set("%(namespace)s", "%(key)s", found)
end
"""


def usage_filters() -> Iterator[Any]:
    """The filters, off."""
    script = _SCRIPT % {"longest": _LONGEST_USAGE, "namespace": asking.USAGE, "key": asking.USAGE_TEXT}
    yield off(_WHOLE, lua_pb2.Lua(default_source_code=base_pb2.DataSource(inline_string=script)))
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
    return {_WHOLE: turned_on()} | ({_EVENTS: turned_on()} if events else {})


def _as_struct(path: tuple[str, ...], key: str) -> dict[str, Any]:
    return {
        "selectors": [{"key": name} for name in path],
        "on_present": {"metadata_namespace": asking.USAGE, "key": key, "type": "NUMBER"},
    }
