"""What both directions know of answers: why they end, what they used, and what is none."""

from typing import Any

from marchproxy.modules.ailb.dialects.body import BadJson, load_object
from marchproxy.modules.ailb.dialects.failure import Failure, Reason, failure_in
from marchproxy.modules.ailb.dialects.usage import count, details

#: Anthropic's reasons to stop as OpenAI has them. What is new ends like any other answer.
_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
#: How vLLM says that it did not finish.
_BROKEN = frozenset({"abort", "error"})


class NoAnswer(Exception):
    """The provider's answer is an error, or none of its API: `failure` is what the client is told."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def bad_answer(why: str) -> NoAnswer:
    """The provider does not speak its API."""
    return NoAnswer(Failure(Reason.BAD_ANSWER, f"the provider's answer cannot be read: {why}"))


def read(data: bytes) -> dict[str, Any]:
    """A whole answer, or the data of an event. Raises NoAnswer, also for an error that a provider tells in it."""
    try:
        document = load_object(data)
    except BadJson as bad:
        raise bad_answer(str(bad)) from None
    if failure := failure_in(document):
        raise NoAnswer(failure)
    return document


def part(document: dict[str, Any], name: str) -> dict[str, Any]:
    """An object in an answer; an empty one where there is none. Raises NoAnswer."""
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_answer(f"{name} is no object")
    return value


def parts(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Objects in an answer. Raises NoAnswer."""
    value = document.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise bad_answer(f"{name} is no array of objects")
    return value


def words(document: dict[str, Any], name: str) -> str:
    """A string in an answer; an empty one where there is none. Raises NoAnswer."""
    value = document.get(name)
    if not isinstance(value, str | None):
        raise bad_answer(f"{name} is no string")
    return value or ""


def finish_reason(stop_reason: str) -> str:
    """Anthropic's reason to stop in OpenAI's words."""
    return _FINISHES.get(stop_reason, "stop")


def stop_reason(finish_reason: str, *, tools: bool) -> str:
    """OpenAI's in Anthropic's; a tool that was forced ends with `stop` there. Raises NoAnswer for what did not finish."""
    if finish_reason in _BROKEN:
        raise NoAnswer(Failure(Reason.INTERNAL, "the engine broke off its answer"))
    stopped = _STOPS.get(finish_reason, "end_turn")
    return "tool_use" if tools and stopped == "end_turn" else stopped


def usage_to_openai(told: dict[str, Any]) -> dict[str, Any]:
    """Anthropic's numbers in OpenAI's words."""
    cached, written = (
        count(told.get("cache_read_input_tokens")),
        count(told.get("cache_creation_input_tokens")),
    )
    prompt, output = count(told.get("input_tokens")) + cached + written, count(told.get("output_tokens"))
    thought = count(details(told, "output_tokens_details").get("thinking_tokens"))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def usage_to_anthropic(told: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's numbers in Anthropic's words."""
    prompt, within = count(told.get("prompt_tokens")), details(told, "prompt_tokens_details")
    cached = min(count(within.get("cached_tokens")), prompt)
    written = min(count(within.get("cache_write_tokens")), prompt - cached)
    return {
        "input_tokens": prompt - cached - written,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": count(told.get("completion_tokens")),
    }
