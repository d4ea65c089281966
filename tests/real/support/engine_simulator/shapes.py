"""Shapes: how OpenAI's API writes each of its answers, and which shape an operation has."""

import base64
import struct
from typing import Any

from tests.real.support.engine_simulator.asked import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
)
from tests.real.support.engine_simulator.messages import Messages
from tests.real.support.engine_simulator.shape import Shape, event

_DIMENSIONS = 8


class OpenAi(Shape):
    """What chat and plain completions share."""

    kind = ""

    def usage(self, written: int) -> dict[str, Any]:
        read = self.asked.prompt_tokens
        within = {"prompt_tokens_details": {"cached_tokens": self.cached}}
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **within}

    def chunk(self, choices: list[dict[str, Any]], written: int | None) -> bytes:
        body = {"id": self.id, "object": self.kind, "created": self.created, "model": self.asked.model}
        told = {} if written is None else {"usage": self.usage(written)}
        return event({**body, "choices": choices, **told})

    def closing(self) -> list[bytes]:
        last = [self.chunk([], self.asked.tokens)] if self.asked.wants_usage else []
        return [*last, b"data: [DONE]\n\n"]

    def _so_far(self, at: int) -> int | None:
        return at + 1 if self.asked.wants_all_usage else None

    def _finish(self, at: int) -> str | None:
        if at < self.asked.tokens - self.asked.choices:
            return None
        return {"tool": "tool_calls"}.get(self.asked.finish, self.asked.finish)


class Chat(OpenAi):
    prefix = "chatcmpl"
    kind = "chat.completion.chunk"

    def whole(self) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.asked.tool:
            call = {"name": self.asked.tool, "arguments": self.text}
            calls = [{"id": "call_1", "type": "function", "function": call}]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        finish = self._finish(self.asked.tokens)
        choices = [
            {"index": index, "message": message, "finish_reason": finish}
            for index in range(self.asked.choices)
        ]
        body = {"id": self.id, "object": "chat.completion", "created": self.created}
        return {**body, "model": self.asked.model, "choices": choices, "usage": self.usage(self.asked.tokens)}

    def opening(self) -> list[bytes]:
        delta: dict[str, Any] = {"role": "assistant", "content": ""}
        if self.asked.tool:
            function = {"name": self.asked.tool, "arguments": ""}
            calls = [{"index": 0, "id": "call_1", "type": "function", "function": function}]
            delta = {"role": "assistant", "content": None, "tool_calls": calls}
        return [
            self.chunk([{"index": index, "delta": delta, "finish_reason": None}], None)
            for index in range(self.asked.choices)
        ]

    def token(self, at: int) -> bytes:
        choice, text = self.piece(at)
        delta: dict[str, Any] = {"content": text}
        if self.asked.tool:
            delta = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        said = {"index": choice, "delta": delta, "finish_reason": self._finish(at)}
        return self.chunk([said], self._so_far(at))


class Completion(OpenAi):
    prefix = "cmpl"
    kind = "text_completion"

    def whole(self) -> Any:
        choices = [
            {"index": index, "text": self.text, "finish_reason": self.asked.finish, "logprobs": None}
            for index in range(self.asked.choices)
        ]
        body = {"id": self.id, "object": self.kind, "created": self.created, "model": self.asked.model}
        return {**body, "choices": choices, "usage": self.usage(self.asked.tokens)}

    def opening(self) -> list[bytes]:
        return []

    def token(self, at: int) -> bytes:
        choice, text = self.piece(at)
        said = {"index": choice, "text": text, "finish_reason": self._finish(at), "logprobs": None}
        return self.chunk([said], self._so_far(at))


class Responses(Shape):
    prefix = "resp"

    def whole(self) -> Any:
        return self._response("completed", [self._item("completed", self.text)])

    def opening(self) -> list[bytes]:
        started = self._response("in_progress", [])
        part = {"type": "output_text", "text": "", "annotations": []}
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        return [
            self._event("response.created", 0, response=started),
            self._event("response.output_item.added", 1, output_index=0, item=self._item("in_progress", "")),
            self._event("response.content_part.added", 2, **place, part=part),
        ]

    def token(self, at: int) -> bytes:
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
        return self._event("response.output_text.delta", 3 + at, **place, delta=self.asked.pieces[at])

    def closing(self) -> list[bytes]:
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        part = {"type": "output_text", "text": self.text, "annotations": []}
        at = 3 + self.asked.tokens
        item = self._item("completed", self.text)
        return [
            self._event("response.output_text.done", at, **place, text=self.text, logprobs=[]),
            self._event("response.content_part.done", at + 1, **place, part=part),
            self._event("response.output_item.done", at + 2, output_index=0, item=item),
            self._event("response.completed", at + 3, response=self.whole()),
        ]

    def _response(self, status: str, output: list[Any]) -> dict[str, Any]:
        done = status == "completed"
        read, written = self.asked.prompt_tokens, self.asked.tokens
        usage = {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + written,
        }
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.asked.model,
            "output": output,
            "parallel_tool_calls": True,
            "tools": [],
            "tool_choice": "auto",
            "usage": usage if done else None,
        }

    def _item(self, status: str, text: str) -> dict[str, Any]:
        content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
        return {"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": content}

    def _event(self, kind: str, number: int, **fields: Any) -> bytes:
        return event({"type": kind, "sequence_number": number, **fields}, kind)


class Embeddings(Shape):
    """Nothing is written, so there is never a stream of it."""

    def whole(self) -> Any:
        given = self.asked.body["input"]
        inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
        vector: Any = [0.125] * _DIMENSIONS
        if self.asked.body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{_DIMENSIONS}f", *vector)).decode()
        data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(len(inputs))]
        usage = {"prompt_tokens": self.asked.prompt_tokens, "total_tokens": self.asked.prompt_tokens}
        return {"object": "list", "model": self.asked.model, "data": data, "usage": usage}

    def opening(self) -> list[bytes]:
        raise NotImplementedError

    def token(self, at: int) -> bytes:
        raise NotImplementedError

    def closing(self) -> list[bytes]:
        raise NotImplementedError


SHAPES: dict[str, type[Shape]] = {
    CHAT: Chat,
    COMPLETIONS: Completion,
    RESPONSES: Responses,
    EMBEDDINGS: Embeddings,
    MESSAGES: Messages,
}
