"""A stream of a message as one of a chat completion: a machine, events in, chunks out.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from typing import Any

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects.body import dump
from marchproxy.modules.ailb.dialects.usage import Tally
from marchproxy.modules.ailb.translate.answers import (
    bad_answer,
    finish_reason,
    part,
    read,
    usage_to_openai,
    words,
)
from marchproxy.modules.ailb.translate.to_openai.answer import arguments, refusal
from marchproxy.wire.sse import Event

_DONE = Event(b"[DONE]")
_Document = dict[str, Any]
#: What a piece of each kind brings, and where it goes.
_PIECES = {
    "text_delta": ("text", "content"),
    "thinking_delta": ("thinking", "reasoning_content"),
}
_EVENTS = frozenset(
    {"content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
)
_KINDS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})


class OpenAIStream:
    """One answer. `created`: Unix time; `usage`: the client wants to be told at the end."""

    def __init__(self, *, created: int, usage: bool) -> None:
        self._created = created
        self._usage = usage
        self.tally = Tally(Dialect.ANTHROPIC)
        self._out: list[Event] = []
        self._head: _Document | None = None  # what all chunks begin with
        self._block: tuple[int, str] | None = None  # the one that is open: its index and kind
        self._calls = -1  # the last call's index
        self._spoken = False  # whether arguments of it were told
        self._stop: str | None = None
        self._ended = False

    def feed(self, event: Event) -> list[Event]:
        """What becomes of an event of the provider's. Raises NoAnswer."""
        if self._ended:
            return []
        self._out = []
        document = read(event.data)
        self.tally.take(document)
        kind = words(document, "type")
        if kind == "message_start":
            self._begin(part(document, "message"))
        elif kind in _EVENTS and self._head is None:
            raise bad_answer(f"{kind} comes before message_start")
        else:
            self._take(kind, document)
        return self._out

    def end(self) -> list[Event]:
        """The provider has ended its stream. Raises NoAnswer where it had not finished."""
        if self._ended:
            return []
        self._out = []
        if self._stop is None:
            raise bad_answer("it broke off")
        self._close()
        return self._out

    def _take(self, kind: str, document: _Document) -> None:
        """Pings say nothing, and what is new is to be passed over, says Anthropic."""
        match kind:
            case "content_block_start":
                self._open(document)
            case "content_block_delta":
                self._piece(document)
            case "content_block_stop":
                self._shut(document)
            case "message_delta":
                self._turn(part(document, "delta"))
            case "message_stop":
                self._close()

    def _begin(self, message: _Document) -> None:
        if self._head is not None:
            raise bad_answer("it begins twice")
        self._head = {
            "id": words(message, "id"),
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": words(message, "model"),
        }
        self._say({"role": "assistant", "content": "", "refusal": None})

    def _open(self, document: _Document) -> None:
        block = part(document, "content_block")
        kind = words(block, "type")
        if kind not in _KINDS:
            raise bad_answer(f"a completion has no content of type {kind[:50]!r}")
        self._block = (_index(document), kind)
        if kind == "tool_use":
            self._open_call(block)
        elif text := words(block, "text"):
            self._say({"content": text})

    def _open_call(self, block: _Document) -> None:
        self._calls += 1
        whole = arguments(block) if block.get("input") else ""
        self._spoken = bool(whole)
        function = {"name": words(block, "name"), "arguments": whole}
        self._call({"id": words(block, "id"), "type": "function", "function": function})

    def _piece(self, document: _Document) -> None:
        delta = part(document, "delta")
        kind = words(delta, "type")
        if self._block is None or self._block[0] != _index(document):
            raise bad_answer("a piece belongs to no block")
        if kind == "input_json_delta":
            self._arguments(words(delta, "partial_json"))
        elif kind in _PIECES:
            source, target = _PIECES[kind]
            if text := words(delta, source):
                self._say({target: text})

    def _arguments(self, piece: str) -> None:
        if self._block is None or self._block[1] != "tool_use":
            raise bad_answer("arguments come where no tool is called")
        if piece:
            self._spoken = True
            self._call({"function": {"arguments": piece}})

    def _shut(self, document: _Document) -> None:
        if self._block is None or self._block[0] != _index(document):
            raise bad_answer("a block ends that has not begun")
        if self._block[1] == "tool_use" and not self._spoken:
            self._call({"function": {"arguments": "{}"}})
        self._block = None

    def _turn(self, delta: _Document) -> None:
        self._stop = words(delta, "stop_reason") or self._stop
        if why := refusal(delta):
            self._say({"refusal": why})

    def _close(self) -> None:
        self._say({}, finish_reason(self._stop or "end_turn"))
        if self._usage:
            self._write({"choices": [], "usage": usage_to_openai(self.tally.told)})
        self._out.append(_DONE)
        self._ended = True

    def _call(self, call: _Document) -> None:
        self._say({"tool_calls": [{"index": self._calls} | call]})

    def _say(self, delta: _Document, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        self._write({"choices": [choice]} | ({"usage": None} if self._usage else {}))

    def _write(self, members: _Document) -> None:
        self._out.append(Event(dump((self._head or {}) | members)))


def _index(document: _Document) -> int:
    index = document.get("index")
    if not isinstance(index, int):
        raise bad_answer("a block has no index")
    return index
