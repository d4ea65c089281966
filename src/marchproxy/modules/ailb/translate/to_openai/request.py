"""A request for a message as one for a chat completion."""

from typing import Any

from marchproxy.model.ai import Provider
from marchproxy.modules.ailb.dialects.fields import Members
from marchproxy.modules.ailb.translate.record import Record, Untranslatable
from marchproxy.modules.ailb.translate.to_openai.conversation import conversation
from marchproxy.modules.ailb.translate.to_openai.tools import output, tools

_REFUSED: dict[str, tuple[str, tuple[object, ...]]] = {
    "container": ("nothing is run there", ()),
    "mcp_servers": ("they are not asked there", ([],)),
    "inference_geo": ("the place cannot be chosen there", ()),
    "speed": ("it cannot be chosen there", ("standard",)),
}
_LEFT_OUT = {
    "cache_control": "caches are told otherwise there",
    "context_management": "a conversation is taken as it is sent there",
    "diagnostics": "there are none there",
}
_TIERS = {"auto": "auto", "standard_only": "default"}
#: OpenAI's own limit; engines have none.
_MOST_STOPS = 4


def request(members: Members, *, model: str, provider: Provider) -> tuple[dict[str, Any], list[str]]:
    """The request in OpenAI's words, and what was left out of it, and why. Raises Untranslatable, BadField, BadJson."""
    record = Record(members)
    record.take("model")
    # OpenAI's newer models refuse the old name, and most engines do not know the new one
    most = "max_completion_tokens" if provider is Provider.OPENAI else "max_tokens"
    body: dict[str, Any] = {"model": model, "messages": conversation(record), most: record.take("max_tokens")}
    body |= _sampling(record, provider) | tools(record) | output(record) | _who(record)
    if record.flag("stream"):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    for name, (why, unless) in _REFUSED.items():
        record.refuse(name, why, unless=unless)
    for name, why in _LEFT_OUT.items():
        record.note(name, why)
    record.end()
    return body, record.notes


def _sampling(record: Record, provider: Provider) -> dict[str, Any]:
    found: dict[str, Any] = {name: record.number(name) for name in ("temperature", "top_p")}
    if provider.is_engine:
        found["top_k"] = record.number("top_k")
    else:
        record.refuse("top_k", "there is only top_p there")
    stops = record.texts("stop_sequences")
    if provider is Provider.OPENAI and len(stops) > _MOST_STOPS:
        raise Untranslatable("stop_sequences", f"there are at most {_MOST_STOPS} there")
    found["stop"] = stops or None
    return {name: value for name, value in found.items() if value is not None}


def _who(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if about := record.record("metadata"):
        if user := about.text("user_id"):
            found["user"] = user
        about.end()
    tier = record.text("service_tier")
    if tier is None:
        return found
    if tier not in _TIERS:
        raise Untranslatable("service_tier", "it is auto or standard_only")
    return found | {"service_tier": _TIERS[tier]}
