"""A whole chat completion as a message."""

from typing import Any

from marchproxy.modules.ailb.dialects.body import BadJson, dump, load_object
from marchproxy.modules.ailb.translate.answers import (
    bad_answer,
    part,
    parts,
    read,
    stop_reason,
    usage_to_anthropic,
    words,
)
from marchproxy.modules.ailb.translate.to_anthropic.conversation import call_id


def answer(data: bytes, *, thinking: bool) -> bytes:
    """The completion in Anthropic's words. `thinking`: the client has asked to see it. Raises NoAnswer."""
    document = read(data)
    choices = parts(document, "choices")
    if not choices:
        raise bad_answer("it has no choices")
    message = part(choices[0], "message")
    content = _content(message, thinking=thinking)
    tools = any(block["type"] == "tool_use" for block in content)
    stop = stop_reason(words(choices[0], "finish_reason"), tools=tools)
    sequence = choices[0].get("stop_reason")  # vLLM's, where a string stopped it
    at_sequence = isinstance(sequence, str) and stop == "end_turn"
    refused = bool(words(message, "refusal")) and stop == "end_turn"
    return dump(
        {
            "id": words(document, "id"),
            "type": "message",
            "role": "assistant",
            "model": words(document, "model"),
            "content": content,
            "stop_reason": "stop_sequence" if at_sequence else "refusal" if refused else stop,
            "stop_sequence": sequence if at_sequence else None,
            "usage": usage_to_anthropic(part(document, "usage")),
        }
    )


def thoughts(message: dict[str, Any]) -> str:
    """What a model thought, by either name that engines have for it. Raises NoAnswer."""
    return words(message, "reasoning_content") or words(message, "reasoning")


def _content(message: dict[str, Any], *, thinking: bool) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if thinking and (thought := thoughts(message)):
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
    texts = (words(message, "content"), words(message, "refusal"))
    content += [{"type": "text", "text": text} for text in texts if text]
    return content + [_tool_use(call, at) for at, call in enumerate(parts(message, "tool_calls"))]


def _tool_use(call: dict[str, Any], at: int) -> dict[str, Any]:
    function = part(call, "function")
    name, arguments = words(function, "name"), words(function, "arguments")
    if not name:
        raise bad_answer("a call names no tool")
    try:
        given = load_object(arguments.encode()) if arguments.strip() else {}
    except (BadJson, UnicodeEncodeError):
        raise bad_answer(f"the arguments for {name[:100]} are no JSON object") from None
    return {
        "type": "tool_use",
        "id": call_id(words(call, "id")) or f"call_{at}",
        "name": name,
        "input": given,
    }
