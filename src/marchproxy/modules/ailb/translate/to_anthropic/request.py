"""A request for a chat completion as one for a message."""

from typing import Any

from marchproxy.modules.ailb.dialects.fields import Members
from marchproxy.modules.ailb.translate.record import Record, Untranslatable
from marchproxy.modules.ailb.translate.to_anthropic.conversation import conversation
from marchproxy.modules.ailb.translate.to_anthropic.tools import output_config, tools

#: Why a member is refused, and which values of it say nothing.
_REFUSED: dict[str, tuple[str, tuple[object, ...]]] = {
    "n": ("one answer is given there", (1,)),
    "logprobs": ("no probabilities are told there", (False,)),
    "top_logprobs": ("no probabilities are told there", (0,)),
    "logit_bias": ("tokens have no weights there", ({},)),
    "frequency_penalty": ("there are no penalties there", (0,)),
    "presence_penalty": ("there are no penalties there", (0,)),
    "seed": ("answers cannot be repeated there", ()),
    "modalities": ("answers are text there", (["text"],)),
    "audio": ("answers are text there", ()),
    "prediction": ("nothing is predicted there", ()),
    "web_search_options": ("it is a tool there, which completions have not", ()),
    "moderation": ("it is not done there", ()),
    "functions": ("use tools", ([],)),
    "function_call": ("use tool_choice", ("none",)),
    "store": ("nothing is stored there", (False,)),
    "verbosity": ("say it in the prompt", ("medium",)),
}
_LEFT_OUT = {
    "prompt_cache_key": "caches need no key there",
    "prompt_cache_retention": "caches are told otherwise there",
    "prompt_cache_options": "caches are told otherwise there",
    "metadata": "it is about what is stored, and nothing is",
}
_TIERS = {"auto": "auto", "default": "standard_only"}


def request(members: Members, *, model: str, default_output: int) -> tuple[dict[str, Any], list[str]]:
    """The request in Anthropic's words, and what was left out of it, and why.

    `default_output`: the most tokens of an answer where the client names none, which Anthropic must know. Raises
    Untranslatable, BadField.
    """
    record = Record(members)
    record.take("model")
    system, messages = conversation(record.records("messages"))
    body: dict[str, Any] = {"model": model, "max_tokens": _most(record) or default_output}
    if system:
        body["system"] = system
    body["messages"] = messages
    body |= _sampling(record) | tools(record) | output_config(record) | _who(record) | _stream(record)
    for name, (why, unless) in _REFUSED.items():
        record.refuse(name, why, unless=unless)
    for name, why in _LEFT_OUT.items():
        record.note(name, why)
    record.end()
    return body, record.notes


def _most(record: Record) -> Any:
    """Both were judged when the request was read."""
    new, old = record.take("max_completion_tokens"), record.take("max_tokens")
    return old if new is None else new


def _sampling(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {name: record.number(name) for name in ("temperature", "top_p", "top_k")}
    if (found["temperature"] or 0) > 1:
        raise Untranslatable("temperature", "it is from 0 to 1 there")
    stops = record.texts("stop")
    if not all(stop.strip() for stop in stops):
        raise Untranslatable("stop", "a stop sequence of nothing but spaces is not taken there")
    found["stop_sequences"] = stops or None
    return {name: value for name, value in found.items() if value is not None}


def _who(record: Record) -> dict[str, Any]:
    new, old = record.text("safety_identifier"), record.text("user")
    found: dict[str, Any] = {"metadata": {"user_id": new or old}} if new or old else {}
    tier = record.text("service_tier")
    if tier is None:
        return found
    if tier not in _TIERS:
        raise Untranslatable("service_tier", "it is auto or default there")
    return found | {"service_tier": _TIERS[tier]}


def _stream(record: Record) -> dict[str, Any]:
    options = record.record("stream_options")
    if options:
        for name in ("include_usage", "include_obfuscation", "continuous_usage_stats"):
            options.take(name)  # what is told in the stream, which is written here
        options.end()
    return {"stream": True} if record.flag("stream") else {}
