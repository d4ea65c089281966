"""A stream of a chat completion as one of a message: a machine, chunks in, events out.

https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from typing import Any

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects.body import dump
from marchproxy.modules.ailb.dialects.usage import Tally
from marchproxy.modules.ailb.translate.answers import (
    bad_answer,
    part,
    parts,
    read,
    stop_reason,
    usage_to_anthropic,
    words,
)
from marchproxy.modules.ailb.translate.to_anthropic.answer import thoughts
from marchproxy.modules.ailb.translate.to_anthropic.conversation import call_id
from marchproxy.wire.sse import Event

_DONE = b"[DONE]"
_Delta = dict[str, Any]
#: How each kind of block begins, and what brings its pieces.
_EMPTY: dict[str, _Delta] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class AnthropicStream:
    """One answer. Blocks are one after the other: who gets back to a call that has ended is not understood."""

    def __init__(self, *, thinking: bool) -> None:
        self._thinking = thinking
        self.tally = Tally(Dialect.OPENAI)
        self._out: list[Event] = []
        self._begun = self._ended = self._tools = self._refused = False
        self._block = ""  # the kind of the one that is open
        self._index = -1
        self._call: tuple[int, str] | None = None  # of OpenAI's, that the open block is
        self._finish: str | None = None
        self._sequence: str | None = None

    def feed(self, event: Event) -> list[Event]:
        """What becomes of an event of the provider's. Raises NoAnswer."""
        if self._ended:
            return []
        self._out = []
        if event.data == _DONE:
            return self._close()
        chunk = read(event.data)
        self.tally.take(chunk)
        for choice in parts(chunk, "choices")[:1]:  # some have none: usage, or what Azure says of the prompt
            if not self._begun:
                self._begin(chunk)
            self._take(choice)
        return self._out

    def end(self) -> list[Event]:
        """The provider has ended its stream. Raises NoAnswer where it had not finished."""
        if self._ended:
            return []
        self._out = []
        if self._finish is None:
            raise bad_answer("it broke off")
        return self._close()

    def _take(self, choice: _Delta) -> None:
        delta = part(choice, "delta")
        if self._thinking and (thought := thoughts(delta)):
            self._piece("thinking", {"type": "thinking_delta", "thinking": thought})
        if text := words(delta, "content"):
            self._piece("text", {"type": "text_delta", "text": text})
        if refusal := words(delta, "refusal"):
            self._refused = True
            self._piece("text", {"type": "text_delta", "text": refusal})
        for call in parts(delta, "tool_calls"):
            self._tool(call)
        if finish := words(choice, "finish_reason"):
            self._finish = finish
            sequence = choice.get("stop_reason")  # vLLM's
            self._sequence = sequence if isinstance(sequence, str) else None

    def _piece(self, kind: str, delta: _Delta) -> None:
        if self._block != kind:
            self._open(kind, _EMPTY[kind])
        self._say("content_block_delta", index=self._index, delta=delta)

    def _tool(self, call: _Delta) -> None:
        at = call.get("index", 0)
        if not isinstance(at, int):
            raise bad_answer("the index of a call is no integer")
        function, name = part(call, "function"), words(call, "id")
        current = self._call
        # Ollama has calls of their own ids, and 0 for the index of each; others a new id for each piece
        another = current is not None and words(function, "name") and name not in {"", current[1]}
        if current is None or at > current[0] or (at == current[0] and another):
            self._open_tool(at, name, words(function, "name"))
        elif at < current[0] or self._block != "tool_use":
            raise bad_answer("it gets back to a call that has ended")
        if arguments := words(function, "arguments"):
            delta = {"type": "input_json_delta", "partial_json": arguments}
            self._say("content_block_delta", index=self._index, delta=delta)

    def _open_tool(self, at: int, name: str, function: str) -> None:
        if not function:
            raise bad_answer("a call names no tool")
        block = {"type": "tool_use", "id": call_id(name) or f"call_{at}", "name": function, "input": {}}
        self._open("tool_use", block)
        self._call, self._tools = (at, name), True

    def _open(self, kind: str, block: _Delta) -> None:
        self._shut()
        self._index += 1
        self._block = kind
        self._say("content_block_start", index=self._index, content_block=block)

    def _shut(self) -> None:
        if self._block:
            self._say("content_block_stop", index=self._index)
            self._block = ""

    def _begin(self, chunk: _Delta) -> None:
        self._begun = True
        message: _Delta = {
            "id": words(chunk, "id"),
            "type": "message",
            "role": "assistant",
            "model": words(chunk, "model"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_to_anthropic(self.tally.told),
        }
        self._say("message_start", message=message)

    def _close(self) -> list[Event]:
        if not self._begun:
            self._begin({})
        self._shut()
        stop = stop_reason(self._finish or "stop", tools=self._tools)
        if stop == "end_turn":
            stop = "stop_sequence" if self._sequence else "refusal" if self._refused else stop
        delta = {"stop_reason": stop, "stop_sequence": self._sequence if stop == "stop_sequence" else None}
        self._say("message_delta", delta=delta, usage=usage_to_anthropic(self.tally.told))
        self._say("message_stop")
        self._ended = True
        return self._out

    def _say(self, kind: str, **members: object) -> None:
        self._out.append(Event(dump({"type": kind} | members), kind.encode()))
