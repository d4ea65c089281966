"""Anthropic's messages as OpenAI's: instructions are the first, each result of a tool is one of its own."""

from typing import Any

from marchproxy.modules.ailb.dialects.body import dump
from marchproxy.modules.ailb.dialects.fields import BadField
from marchproxy.modules.ailb.translate.record import Record, Untranslatable

Message = dict[str, Any]
_CACHE = "caches are told otherwise there"


def conversation(request: Record) -> list[Message]:
    """All messages. Raises Untranslatable, BadField."""
    found: list[Message] = []
    if system := _texts(request, "system"):
        found.append({"role": "system", "content": system})
    messages = request.records("messages")
    for at, message in enumerate(messages):
        role = message.some_text("role")
        if role == "user":
            found += _user(message)
        elif role == "assistant":
            if at == len(messages) - 1:
                raise Untranslatable(message.place("role"), "an answer that was begun is not continued there")
            found.append(_assistant(message))
        elif role == "system":
            found.append({"role": "system", "content": _texts(message, "content") or ""})
        else:
            raise Untranslatable(message.place("role"), f"{role[:50]!r} is no role there")
        message.end()
    return found


def _texts(owner: Record, name: str) -> str | list[Message] | None:
    """Text alone, as it came: a string, or blocks."""
    if owner.is_text(name):
        return owner.some_text(name)
    return [_text(block) for block in owner.records(name)] or None


def _text(block: Record) -> Message:
    kind = block.some_text("type")
    if kind != "text":
        raise Untranslatable(block.place("type"), "only text can be there")
    part = {"type": "text", "text": block.some_text("text")}
    block.note("cache_control", _CACHE)
    block.note("citations", "there are none there")
    block.end()
    return part


def _user(message: Record) -> list[Message]:
    """Results of tools come first: they must follow the calls."""
    if message.is_text("content"):
        return [{"role": "user", "content": message.some_text("content")}]
    results: list[Message] = []
    parts: list[Message] = []
    for block in message.records("content"):
        kind = block.some_text("type")
        if kind == "tool_result":
            results.append(_result(block))
        else:
            parts.append(_part(block, kind))
    if not results and not parts:
        raise BadField(message.place("content"), None)
    return results + ([{"role": "user", "content": parts}] if parts else [])


def _part(block: Record, kind: str) -> Message:
    if kind == "text":
        part: Message = {"type": "text", "text": block.some_text("text")}
        block.note("citations", "there are none there")
    elif kind == "image":
        part = {"type": "image_url", "image_url": {"url": _url(block.some_record("source"))}}
        block.note("transformations", "images are not changed there")
    elif kind == "document":
        part = _document(block)
    else:
        raise Untranslatable(block.place("type"), f"there is no content of type {kind[:50]!r} there")
    block.note("cache_control", _CACHE)
    block.end()
    return part


def _url(source: Record) -> str:
    kind = source.some_text("type")
    if kind == "url":
        url = source.some_text("url")
    elif kind == "base64":
        url = _data_url(source)
    else:
        raise Untranslatable(source.place("type"), "send it as base64")
    source.end()
    return url


def _document(block: Record) -> Message:
    source, title = block.some_record("source"), block.text("title")
    block.refuse("context", "say it in a text")
    block.note("citations", "there are none there")
    kind = source.some_text("type")
    if kind == "text":
        source.take("media_type")
        part = {"type": "text", "text": (f"{title}\n" if title else "") + source.some_text("data")}
        source.end()
        return part
    if kind != "base64":
        raise Untranslatable(source.place("type"), "send it as base64")
    file = {"filename": title or "document.pdf", "file_data": _data_url(source)}
    source.end()
    return {"type": "file", "file": file}


def _data_url(source: Record) -> str:
    return f"data:{source.some_text('media_type')};base64,{source.some_text('data')}"


def _result(block: Record) -> Message:
    message: Message = {"role": "tool", "tool_call_id": block.some_text("tool_use_id")}
    message["content"] = _texts(block, "content") or ""
    if block.flag("is_error"):
        block.notes.append(f"{block.place('is_error')}: only its text says there that a tool has failed")
    block.note("cache_control", _CACHE)
    block.end()
    return message


def _assistant(message: Record) -> Message:
    if message.is_text("content"):
        return {"role": "assistant", "content": message.some_text("content")}
    parts: list[Message] = []
    calls: list[Message] = []
    for block in message.records("content"):
        kind = block.some_text("type")
        if kind in {"thinking", "redacted_thinking"}:
            block.rest()
            block.notes.append(f"{block.place('type')}: thinking is no part of a prompt there")
        elif kind == "tool_use":
            calls.append(_call(block))
        elif kind == "text":
            parts.append(_part(block, kind))
        else:
            raise Untranslatable(block.place("type"), f"there is no content of type {kind[:50]!r} there")
    found: Message = {"role": "assistant", "content": parts or (None if calls else "")}
    return found | ({"tool_calls": calls} if calls else {})


def _call(block: Record) -> Message:
    given = block.some_record("input").rest()
    function = {"name": block.some_text("name"), "arguments": dump(given).decode()}
    call = {"id": block.some_text("id"), "type": "function", "function": function}
    block.note("cache_control", _CACHE)
    block.note("caller", "the model alone calls tools there")
    block.end()
    return call
