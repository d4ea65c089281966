"""What an engine is asked for, and what it will write: the tokens of every answer are settled before the first is sent."""

import json
from dataclasses import dataclass
from typing import Any

from tests.real.support.engine_simulator.samples import sample

_PIECE = 4
BYTES_PER_TOKEN = 4
CHAT, COMPLETIONS, RESPONSES = "/chat/completions", "/completions", "/responses"
MESSAGES, COUNT_TOKENS, EMBEDDINGS = "/messages", "/messages/count_tokens", "/embeddings"
OPERATIONS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES, COUNT_TOKENS, EMBEDDINGS)
_TEXT = tuple(f" t{number}" for number in range(4096))
_MOST = ("max_completion_tokens", "max_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True)
class Asked:
    """`pieces`: what is written, a token each. `tool`: what is called with them as its arguments; empty: they are text.

    `wants_usage` at the end of a stream, `wants_all_usage` with each token. `tag`: who asks, as the request says it.
    """

    operation: str
    model: str
    stream: bool
    prompt: bytes
    pieces: tuple[str, ...]
    tool: str
    finish: str
    choices: int
    wants_usage: bool
    wants_all_usage: bool
    tag: str
    body: dict[str, Any]

    @property
    def prompt_tokens(self) -> int:
        return max(1, len(self.prompt) // BYTES_PER_TOKEN)

    @property
    def tokens(self) -> int:
        """Of all choices together."""
        return len(self.pieces) * self.choices


def read(operation: str, body: dict[str, Any], default_tokens: int) -> Asked:
    """Raises KeyError, TypeError, ValueError: an engine would refuse it too."""
    most = next((body[name] for name in _MOST if body.get(name) is not None), None)
    tool = _tool(body)
    schema = _schema(body)
    if operation == EMBEDDINGS:
        pieces: tuple[str, ...] = ()
    elif tool:
        pieces = _cut(json.dumps(sample(tool["schema"])))
    elif schema is not None:
        pieces = _cut(json.dumps(sample(schema)))
    else:
        count = default_tokens if most is None else most
        pieces = _TEXT[:count] if count <= len(_TEXT) else tuple(f" t{number}" for number in range(count))
    options = body.get("stream_options") or {}
    return Asked(
        operation,
        body["model"],
        bool(body.get("stream")),
        _prompt(body),
        pieces[:most],
        tool["name"] if tool else "",
        "length" if most is not None and len(pieces) >= most else "tool" if tool else "stop",
        body.get("n") or 1,
        bool(options.get("include_usage")),
        bool(options.get("continuous_usage_stats")),
        str(body.get("user") or (body.get("metadata") or {}).get("user_id") or ""),
        body,
    )


def _prompt(body: dict[str, Any]) -> bytes:
    read = [body[name] for name in ("system", "instructions", "messages", "prompt", "input") if name in body]
    return "".join(map(_text, read)).encode(errors="replace")


def _text(value: object) -> str:
    """All texts in it, in their order; roles too, as a template has them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, dict):
        return "".join(_text(part) for name, part in value.items() if name not in {"type", "id"})
    return ""


def _tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """The first tool, unless none is wanted or its result is there already: by name and schema."""
    tools, choice = body.get("tools"), body.get("tool_choice", "auto")
    if not tools or choice == "none" or (isinstance(choice, dict) and choice.get("type") == "none"):
        return None
    last = (body.get("messages") or [{}])[-1]
    content = last.get("content")
    answered = isinstance(content, list) and any(part.get("type") == "tool_result" for part in content)
    if last.get("role") == "tool" or answered:
        return None
    tool = tools[0].get("function", tools[0])
    schema = tool.get("parameters") or tool.get("input_schema") or {}
    return {"name": tool["name"], "schema": schema}


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The shape that the answer must have, where one is wanted."""
    places = (
        body.get("response_format"),
        (body.get("text") or {}).get("format") if isinstance(body.get("text"), dict) else None,
        (body.get("output_config") or {}).get("format"),
        body.get("output_format"),
    )
    for wanted in places:
        if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
            found: dict[str, Any] = wanted.get("schema") or wanted["json_schema"]["schema"]
            return found
        if isinstance(wanted, dict) and wanted.get("type") == "json_object":
            return {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    return None


def _cut(text: str) -> tuple[str, ...]:
    return tuple(text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
