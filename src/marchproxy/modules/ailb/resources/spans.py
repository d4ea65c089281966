"""Spans: what those of requests to language models are tagged with, where requests are traced: OpenTelemetry's words for
generative AI, as far as Envoy knows what they are to say. Values are texts, since Envoy has no other tags.

Relays tell behind their answers what was used (`relay.traced`), other answers' usage is metadata already.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.type.metadata.v3 import metadata_pb2
from envoy.type.tracing.v3 import custom_tag_pb2

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.resources.deciding import TOLD
from marchproxy.modules.ailb.resources.typed import on

#: Where a cluster says what its provider is.
PROVIDER = ("marchproxy", "provider")

_TOLD = f"metadata.filter_metadata['{TOLD}']"
_USED = f"metadata.filter_metadata['{asking.USAGE}']"
_INPUT, _OUTPUT, _ERROR = asking.TRACED
_DIRECT = f"xds.cluster_name.startsWith('{asking.POOL_PREFIX}')"
_INPUT_OF_ANTHROPIC = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
# What fails to be evaluated, or is empty, is no tag.
_EXPRESSIONS = {
    "server.port": f"{_DIRECT} ? upstream.port : ''",
    "error.type": f"'{_ERROR}' in response.trailers ? response.trailers['{_ERROR}'] : response.code >= 400 ? response.code : ''",
}
# of a whole answer: its `usage` as text is there, the numbers are not
_SCRIPT = """\
function envoy_on_response(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  local used = metadata:get("%(namespace)s")
  if used == nil or used["%(text)s"] == nil then return end
  for _, name in ipairs({%(names)s}) do
    local number = string.match(used["%(text)s"], '"' .. name .. '"%%s*:%%s*(%%d+)')
    if number ~= nil then metadata:set("%(namespace)s", name, tonumber(number)) end
  end
end
"""


def tell_spans(manager: Any) -> None:
    """Have an HttpConnectionManager that traces tag its spans. One that does not is left as it is."""
    if not manager.HasField("tracing"):
        return
    tags = manager.tracing.custom_tags
    tags.append(_from_metadata("gen_ai.request.model", "request", TOLD, asking.MODEL))
    tags.append(_from_metadata("gen_ai.provider.name", "cluster", *PROVIDER))
    # of a relayed request it is the relay's socket: whom that asks Envoy does not know
    tags.append(custom_tag_pb2.CustomTag(tag="server.address", value="%UPSTREAM_HOST_NAME_WITHOUT_PORT%"))
    expressions = {
        "gen_ai.operation.name": _operation(),
        "gen_ai.usage.input_tokens": _sum_of(_INPUT, "prompt_tokens", _INPUT_OF_ANTHROPIC),
        "gen_ai.usage.output_tokens": _sum_of(_OUTPUT, "completion_tokens", ("output_tokens",)),
        **_EXPRESSIONS,
    }
    for tag, expression in expressions.items():
        tags.append(custom_tag_pb2.CustomTag(tag=tag, value=f"%CEL({expression})%"))
    manager.http_filters.insert(0, on("marchproxy.ai.spans", _numbers()))


def _operation() -> str:
    """By its name in the conventions."""
    told = f"{_TOLD}['{asking.OPERATION}']"
    expression = told
    for operation in Operation:
        if operation.conventional != operation.value:
            expression = f"{told} == '{operation.value}' ? '{operation.conventional}' : {expression}"
    return expression


def _sum_of(trailer: str, whole: str, parts: tuple[str, ...]) -> str:
    """Tokens: as a relay says, or OpenAI in one number, or Anthropic, of the first of whose parts the others are beside."""
    first, *beside = parts
    summed = "".join(f" + ('{name}' in {_USED} ? {_USED}['{name}'] : 0.0)" for name in beside)
    seen = f"'{whole}' in {_USED} ? {_USED}['{whole}'] : {_USED}['{first}']{summed}"
    return f"'{trailer}' in response.trailers ? response.trailers['{trailer}'] : {seen}"


def _from_metadata(tag: str, kind: str, namespace: str, name: str) -> Any:
    key = metadata_pb2.MetadataKey(key=namespace, path=[metadata_pb2.MetadataKey.PathSegment(key=name)])
    source = custom_tag_pb2.CustomTag.Metadata(metadata_key=key)
    getattr(source.kind, kind).SetInParent()
    return custom_tag_pb2.CustomTag(tag=tag, metadata=source)


def _numbers() -> Any:
    names = ",".join(f'"{name}"' for name in asking.USAGE_MEMBERS)
    script = _SCRIPT % {"namespace": asking.USAGE, "text": asking.USAGE_TEXT, "names": names}
    return lua_pb2.Lua(default_source_code=base_pb2.DataSource(inline_string=script))
