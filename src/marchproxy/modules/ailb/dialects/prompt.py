"""The prompt of a request: its texts in their order, for guardrails, prefixes and estimates; and how to change them.

What is not known is taken for text: a new kind of content must not be a way past a guardrail. Images, sound and files are
no text, nor is what only refers or names.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from marchproxy.modules.ailb.dialects.body import Body
from marchproxy.modules.ailb.dialects.operations import Operation

#: A token is about four characters of English, says OpenAI, and engines count bytes of what is rarer.
#: https://help.openai.com/en/articles/4936856
BYTES_PER_TOKEN = 4
#: The most that Anthropic takes for an image, or for a page; OpenAI's usual images are below that.
#: https://docs.anthropic.com/en/docs/build-with-claude/vision
TOKENS_PER_IMAGE = 1600
#: What stands around a message: OpenAI's counting of tokens has 3, and 1 with a name.
TOKENS_PER_MESSAGE = 4

#: Where prompts stand.
MEMBERS = {
    Operation.CHAT: ("messages",),
    Operation.COMPLETIONS: ("prompt", "suffix"),
    Operation.EMBEDDINGS: ("input",),
    Operation.RESPONSES: ("instructions", "prompt", "input"),
    Operation.MESSAGES: ("system", "messages"),
    Operation.COUNT_TOKENS: ("system", "messages"),
}
#: Read by the model as well; `changed` leaves it as it is. The last ones are vLLM's.
AROUND = (
    "tools", "functions", "response_format", "text", "output_config", "prediction", "documents", "chat_template",
)  # fmt: skip
_NAMES = frozenset(
    {
        "role",
        "type",
        "id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "name",
        "status",
        "signature",
        "media_type",
        "cache_control",
        "file_id",
        "filename",
        "encrypted_content",
    }
)
_MEDIA = frozenset(
    {
        "image_url",
        "image",
        "input_image",
        "input_audio",
        "file",
        "input_file",
        "base64",
        "url",
    }
)
#: It is signed by its provider, so nobody else can write or change it.
_THINKING = {"thinking": "thinking", "redacted_thinking": "data"}
#: Arguments of a tool: nothing in them only names.
_FREE = frozenset({"input", "arguments", "variables"})
_Place = tuple[Any, Any]


def texts(operation: Operation, body: Body) -> Iterator[str]:
    """The texts that the model reads, in the order in which they stand."""
    for _, value in leaves(operation, body.members):
        if isinstance(value, str) and value:
            yield clean(value)


def estimate(operation: Operation, body: Body) -> int:
    """About how many tokens the prompt has, rather too many than too few."""
    size = sum([_size(body.raw(name)) for name in AROUND if name in body.members])
    tokens = 0
    members: Mapping[str, Any] = body.members
    names = MEMBERS.get(operation, ())
    if isinstance(messages := members.get("messages"), list):
        tokens = TOKENS_PER_MESSAGE * len(messages)
        if "messages" in names:
            usual, others = _sized(messages)
            size += usual
            if not others and len(names) == 1:
                return tokens + -(-size // BYTES_PER_TOKEN)
            members = {**members, "messages": others}
    for _, value in leaves(operation, members):
        if isinstance(value, str):
            size += _size(value)
        else:
            tokens += value
    return tokens + -(-size // BYTES_PER_TOKEN)


def _sized(messages: list[Any]) -> tuple[int, list[Any]]:
    """The size of messages that are nothing but a text, as nearly all are, without a walk through `leaves`; and the others."""
    size, others = 0, []
    for message in messages:
        text = message.get("content") if isinstance(message, dict) and len(message) == 2 else None
        if isinstance(text, str) and "role" in message:
            size += _size(text)
        else:
            others.append(message)
    return size, others


def changed(operation: Operation, body: Body, change: Callable[[str], str]) -> Body:
    """The request with each text put through `change`; what is not prompt stays as it was written. Raises BadJson."""
    fresh = Body.read(body.text.encode())  # its values are changed in their places
    touched = False
    for (container, key), value in leaves(operation, fresh.members):
        if isinstance(value, str) and (new := change(clean(value))) != value:
            container[key] = new
            touched = True
    if not touched:
        return body
    names = (name for name in MEMBERS.get(operation, ()) if name in fresh.members)
    return Body.read(fresh.replaced({name: fresh.members[name] for name in names}))


def leaves(operation: Operation, members: Mapping[str, Any]) -> Iterator[tuple[_Place, str | int]]:
    """Where each text stands, and the text; or how many tokens something else stands for."""
    names = [name for name in MEMBERS.get(operation, ()) if name in members]
    stack: list[tuple[Any, Any, bool]] = [(members, name, False) for name in reversed(names)]
    while stack:
        container, key, free = stack.pop()
        value = container[key]
        if isinstance(value, str):
            yield (container, key), value
        elif isinstance(value, list):
            if set(map(type, value)) == {int}:
                yield (container, key), len(value)  # tokens
            else:
                stack += [(value, at, free) for at in range(len(value) - 1, -1, -1)]
        elif isinstance(value, dict):
            if not free and (tokens := _tokens_of(value)):
                yield (container, key), tokens
            else:
                names = [name for name in reversed(value) if free or name not in _NAMES]
                stack += [(value, name, free or name in _FREE) for name in names]


def _tokens_of(value: dict[str, Any]) -> int:
    """What an object counts that is no text; 0: it is looked into."""
    kind = value.get("type")
    if not isinstance(kind, str):
        return 0
    if kind in _MEDIA:
        return TOKENS_PER_IMAGE
    thought = value.get(_THINKING.get(kind, ""))
    return 1 + _size(thought) // BYTES_PER_TOKEN if isinstance(thought, str) and kind in _THINKING else 0


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def clean(text: str) -> str:
    """Without halves of surrogate pairs, which JSON can escape and UTF-8 cannot have."""
    return text if text.isascii() else text.encode(errors="replace").decode()
