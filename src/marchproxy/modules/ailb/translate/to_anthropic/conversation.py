"""OpenAI's messages as Anthropic's: instructions stand apart, results of tools are what the user says.

Instructions in the middle move to the beginning, as Anthropic's own compatibility layer does it:
https://docs.anthropic.com/en/api/openai-sdk
"""

import re
from typing import Any

from marchproxy.modules.ailb.dialects.body import BadJson, load_object
from marchproxy.modules.ailb.dialects.fields import BadField
from marchproxy.modules.ailb.translate.record import Record, Untranslatable

Block = dict[str, Any]
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
#: What Anthropic takes in the id of a tool's call.
_ODD_IN_ID = re.compile(r"[^A-Za-z0-9_-]")


def conversation(messages: list[Record]) -> tuple[list[Block], list[Block]]:
    """The instructions, and the messages. Raises Untranslatable, BadField."""
    system: list[Block] = []
    turns: list[Block] = []
    for message in messages:
        role = message.some_text("role")
        if role in {"system", "developer"}:
            message.note("name", "instructions have no name there")
            system += _some_contents(message)
            if turns:
                message.notes.append(f"{message.place('role')}: instructions are moved to the beginning")
        elif role == "user":
            message.note("name", "participants have no names there")
            _say(turns, "user", _some_contents(message))
        elif role == "assistant":
            _say(turns, "assistant", _assistant(message))
        elif role == "tool":
            _say(turns, "user", [_result(message)])
        else:
            raise Untranslatable(message.place("role"), f"{role[:50]!r} is no role there")
        message.end()
    if not turns:
        raise Untranslatable("messages", "there must be something besides instructions there")
    if turns[-1]["role"] == "assistant":
        raise Untranslatable(messages[-1].place("role"), "an answer that was begun would be continued there")
    return system, turns


def call_id(openai: str) -> str:
    """The id of a tool's call as Anthropic takes it: the same one for the call and for its result."""
    return _ODD_IN_ID.sub("_", openai)


def _say(turns: list[Block], role: str, blocks: list[Block]) -> None:
    """One turn has all that one side says: Anthropic joins them, and wants all results of tools in one."""
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    elif blocks:
        turns.append({"role": role, "content": blocks})


def _some_contents(message: Record) -> list[Block]:
    found = _contents(message)
    if not found:
        raise BadField(message.place("content"), None)
    return found


def _contents(message: Record) -> list[Block]:
    if message.is_text("content"):
        return [{"type": "text", "text": message.some_text("content")}]
    return [_content(item) for item in message.records("content")]


def _content(item: Record) -> Block:
    kind = item.some_text("type")
    if kind == "text":
        block = {"type": "text", "text": item.some_text("text")}
    elif kind == "refusal":
        block = {"type": "text", "text": item.some_text("refusal")}
    elif kind == "image_url":
        block = _image(item.some_record("image_url"))
    elif kind == "file":
        block = _file(item.some_record("file"))
    else:
        raise Untranslatable(item.place("type"), f"there is no content of type {kind[:50]!r} there")
    item.note("prompt_cache_breakpoint", "caches are told otherwise there")
    if (cache := item.take("cache_control")) is not None:
        block["cache_control"] = cache
    item.end()
    return block


def _image(image: Record) -> Block:
    url = image.some_text("url")
    image.note("detail", "images have no level of detail there")
    image.end()
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    kind, data = _data_of(url, image.place("url"))
    if kind not in _IMAGES:
        raise Untranslatable(image.place("url"), f"images are {', '.join(sorted(_IMAGES))} there, not {kind}")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _file(file: Record) -> Block:
    file.refuse("file_id", "files of one provider are not at another: send its contents as file_data")
    kind, data = _data_of(file.some_text("file_data"), file.place("file_data"))
    if kind != _PDF:
        raise Untranslatable(file.place("file_data"), f"files are {_PDF} there, not {kind}")
    block: Block = {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}}
    if title := file.text("filename"):
        block["title"] = title
    file.end()
    return block


def _data_of(url: str, place: str) -> tuple[str, str]:
    found = _DATA_URL.match(url)
    if found is None:
        raise Untranslatable(place, "its data must be as in data:image/png;base64,…")
    return found[1].lower(), url[found.end() :]


def _assistant(message: Record) -> list[Block]:
    message.note("name", "participants have no names there")
    for name in ("reasoning_content", "reasoning"):
        message.note(name, "thinking is taken there only with its signature")
    message.note("annotations", "they are no part of a prompt there")
    message.refuse("function_call", "use tool_calls")
    blocks = [block for block in _contents(message) if block.get("text") != ""]
    if refusal := message.text("refusal"):
        blocks.append({"type": "text", "text": refusal})
    blocks += [_call(call) for call in message.records("tool_calls")]
    if not blocks:
        message.notes.append(f"{message.place('content')}: a turn of nothing is none there")
    return blocks


def _call(call: Record) -> Block:
    kind = call.text("type") or "function"
    if kind != "function":
        raise Untranslatable(call.place("type"), "tools are functions there")
    function = call.some_record("function")
    arguments = function.some_text("arguments")
    try:
        given = load_object(arguments.encode()) if arguments.strip() else {}
    except (BadJson, UnicodeEncodeError):
        raise Untranslatable(function.place("arguments"), "arguments must be an object there") from None
    block = {
        "type": "tool_use",
        "id": call_id(call.some_text("id")),
        "name": function.some_text("name"),
        "input": given,
    }
    call.take("index")  # of a call in a stream, which some clients send back
    function.end()
    call.end()
    return block


def _result(message: Record) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": call_id(message.some_text("tool_call_id"))}
    message.note("name", "results have no name there")
    if message.is_text("content"):
        block["content"] = message.some_text("content")
    else:
        block["content"] = _contents(message)
    return block
