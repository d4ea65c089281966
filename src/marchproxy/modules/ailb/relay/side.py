"""Side: what an exchange needs of the connection towards Envoy, and what comes from there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from marchproxy.modules.ailb.dialects.failure import Failure
from marchproxy.modules.ailb.relay.heard import Heard
from marchproxy.modules.ailb.relay.plan import Way
from marchproxy.wire.http2.heads import Head


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Question:
    """What Envoy asks in a stream, but for the body, and the way there."""

    stream: int
    head: Head
    heard: Heard
    way: Way


class Side(Protocol):
    """Towards Envoy; see `Front`."""

    def answer(self, stream: int, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Send the head."""

    def send(self, stream: int, data: bytes) -> bool:
        """Send a part of the body; whether there is room for more."""

    def is_full(self, stream: int) -> bool:
        """Whether there is none."""

    def end(self, stream: int, trailers: bytes) -> None:
        """The answer is whole; `trailers`: encoded fields behind it, or nothing."""

    def break_off(self, stream: int, words: bytes, trailers: bytes) -> None:
        """It never will be."""

    def tell(self, question: Question, failure: Failure, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Send an error instead. `fields`: of its head, beside the usual ones."""

    def let_go(self, stream: int) -> None:
        """The request's body is needed no more."""

    def over(self, stream: int) -> None:
        """The exchange has ended."""
