"""A whole message as a chat completion."""

from typing import Any

from marchproxy.modules.ailb.dialects.body import BadJson, dump
from marchproxy.modules.ailb.translate.answers import (
    bad_answer,
    finish_reason,
    part,
    parts,
    read,
    usage_to_openai,
    words,
)

#: Blocks that say nothing which a completion could.
_SILENT = frozenset({"redacted_thinking"})


def answer(data: bytes, *, created: int) -> bytes:
    """The message in OpenAI's words. `created`: Unix time. Raises NoAnswer."""
    document = read(data)
    if document.get("type") != "message":
        raise bad_answer("it is no message")
    choice = {
        "index": 0,
        "message": _message(document),
        "logprobs": None,
        "finish_reason": finish_reason(words(document, "stop_reason")),
    }
    return dump(
        {
            "id": words(document, "id"),
            "object": "chat.completion",
            "created": created,
            "model": words(document, "model"),
            "choices": [choice],
            "usage": usage_to_openai(part(document, "usage")),
        }
    )


def refusal(document: dict[str, Any]) -> str | None:
    """Why the model refuses, where it says so. Raises NoAnswer."""
    return words(part(document, "stop_details"), "explanation") or None


def _message(document: dict[str, Any]) -> dict[str, Any]:
    """What it thought goes by the name that engines gave it: OpenAI's own API has none for it."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in parts(document, "content"):
        kind = words(block, "type")
        if kind == "text":
            texts.append(words(block, "text"))
        elif kind == "thinking":
            thoughts.append(words(block, "thinking"))
        elif kind == "tool_use":
            calls.append(_call(block))
        elif kind not in _SILENT:
            raise bad_answer(f"a completion has no content of type {kind[:50]!r}")
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None}
    message["refusal"] = refusal(document)
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    return message | ({"tool_calls": calls} if calls else {})


def _call(block: dict[str, Any]) -> dict[str, Any]:
    function = {"name": words(block, "name"), "arguments": arguments(block)}
    return {"id": words(block, "id"), "type": "function", "function": function}


def arguments(block: dict[str, Any]) -> str:
    """The input of a tool as a string of JSON. Raises NoAnswer."""
    try:
        return dump(part(block, "input")).decode()
    except BadJson as bad:
        raise bad_answer(str(bad)) from None
