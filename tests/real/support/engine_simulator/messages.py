"""Anthropic's messages, whole and as events."""

import json
from typing import Any

from tests.real.support.engine_simulator.shape import Shape, event


class Messages(Shape):
    prefix = "msg"

    def whole(self) -> Any:
        block: dict[str, Any] = {"type": "text", "text": self.text}
        if self.asked.tool:
            given = json.loads(self.text) if self.asked.finish == "tool" else {}
            block = {"type": "tool_use", "id": "toolu_1", "name": self.asked.tool, "input": given}
        return self._message([block], self._stop, self.asked.tokens)

    def opening(self) -> list[bytes]:
        block: dict[str, Any] = {"type": "text", "text": ""}
        if self.asked.tool:
            block = {"type": "tool_use", "id": "toolu_1", "name": self.asked.tool, "input": {}}
        return [
            self._event("message_start", message=self._message([], None, 0)),
            self._event("content_block_start", index=0, content_block=block),
            self._event("ping"),
        ]

    def token(self, at: int) -> bytes:
        text = self.asked.pieces[at]
        delta = {"type": "text_delta", "text": text}
        if self.asked.tool:
            delta = {"type": "input_json_delta", "partial_json": text}
        return self._event("content_block_delta", index=0, delta=delta)

    def closing(self) -> list[bytes]:
        delta = {"stop_reason": self._stop, "stop_sequence": None}
        usage = {"output_tokens": self.asked.tokens}
        return [
            self._event("content_block_stop", index=0),
            self._event("message_delta", delta=delta, usage=usage),
            self._event("message_stop"),
        ]

    def failed(self, message: str) -> bytes:
        return self._event("error", error={"type": "api_error", "message": message})

    @property
    def _stop(self) -> str:
        return {"tool": "tool_use", "length": "max_tokens"}.get(self.asked.finish, "end_turn")

    def _message(self, content: list[Any], stop: str | None, written: int) -> dict[str, Any]:
        read = self.asked.prompt_tokens - self.cached
        usage = {"input_tokens": read, "cache_read_input_tokens": self.cached, "output_tokens": written}
        body = {"id": self.id, "type": "message", "role": "assistant", "model": self.asked.model}
        return {**body, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}

    def _event(self, kind: str, **fields: Any) -> bytes:
        return event({"type": kind, **fields}, kind)
