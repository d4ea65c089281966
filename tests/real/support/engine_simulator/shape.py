"""The shape of an answer: what is the same in every API. Written from their references, not from our product."""

import json
import time
from abc import ABC, abstractmethod
from typing import Any

from tests.real.support.engine_simulator.asked import Asked


def event(data: object, name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class Shape(ABC):
    """One answer. `cached`: tokens of the prompt that the cache had."""

    stamped = False

    def __init__(self, asked: Asked, number: int, cached: int) -> None:
        self.asked = asked
        self.cached = cached
        self.id = f"{self.prefix}-{number}"
        self.created = int(time.time())

    prefix = "id"

    @abstractmethod
    def whole(self) -> Any:
        """The answer as one JSON value."""

    @abstractmethod
    def opening(self) -> list[bytes]:
        """What is said before the first token."""

    @abstractmethod
    def token(self, at: int) -> bytes:
        """The event of token `at`, counted from 0 over all choices."""

    @abstractmethod
    def closing(self) -> list[bytes]:
        """What is said behind the last token."""

    def failed(self, message: str) -> bytes:
        """An event with an error of the engine's own (vLLM's)."""
        return event({"error": {"message": message, "type": "InternalServerError", "code": 500}})

    def piece(self, at: int) -> tuple[int, str]:
        """The choice that a token belongs to, and its text."""
        if self.stamped:
            return 0, f" {time.monotonic():.6f}"
        return at % self.asked.choices, self.asked.pieces[at // self.asked.choices]

    @property
    def text(self) -> str:
        return "".join(self.asked.pieces)
