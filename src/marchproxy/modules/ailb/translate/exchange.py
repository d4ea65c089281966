"""One request that is said in another API's words, and what comes back to it: what the relay uses of all this."""

from dataclasses import dataclass
from typing import Protocol

from marchproxy.model.ai import Dialect, Provider
from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.dialects.body import BadJson, dump
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.fields import BadField
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.dialects.usage import Tally
from marchproxy.modules.ailb.translate.answers import bad_answer
from marchproxy.modules.ailb.translate.record import Untranslatable
from marchproxy.modules.ailb.translate.to_anthropic import answer as as_message
from marchproxy.modules.ailb.translate.to_anthropic import request as ask_anthropic
from marchproxy.modules.ailb.translate.to_anthropic.stream import AnthropicStream
from marchproxy.modules.ailb.translate.to_openai import answer as as_completion
from marchproxy.modules.ailb.translate.to_openai import request as ask_openai
from marchproxy.modules.ailb.translate.to_openai.stream import OpenAIStream
from marchproxy.wire.sse import Event

_MOST_TOLD = 10
_OTHERS = {Operation.CHAT: Operation.MESSAGES, Operation.MESSAGES: Operation.CHAT}


class Stream(Protocol):
    """A provider's events as the client's. Both raise NoAnswer, whose failure is then the stream's last event."""

    tally: Tally

    def feed(self, event: Event) -> list[Event]:
        """What becomes of one event."""

    def end(self) -> list[Event]:
        """What is left to say when the provider ends its stream."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the provider is asked. `notes`: what was left out, and why."""

    operation: Operation
    body: bytes
    notes: tuple[str, ...] = ()

    @property
    def left_out(self) -> str:
        """The fields alone, as a header has them; no more than a few of many."""
        fields = [note.partition(":")[0] for note in self.notes]
        more = [f"and {len(fields) - _MOST_TOLD} more"] if len(fields) > _MOST_TOLD else []
        return ", ".join(fields[:_MOST_TOLD] + more)


def is_needed(operation: Operation, provider: Provider) -> bool:
    """Whether the provider speaks another API than the client."""
    return operation.dialect is not provider.dialect


@dataclass(frozen=True, slots=True)
class Exchange:
    """`asked` of a provider with the other API. `created`: Unix time, which OpenAI's answers tell."""

    asked: Asked
    provider: Provider
    created: int = 0

    def request(self, *, model: str, default_output: int) -> Request | Failure:
        """What to send, for the model by the provider's name; or why it cannot be said there, in the client's terms.

        `default_output`: the most tokens of an answer where the client names none, which Anthropic must know.
        """
        operation = _OTHERS.get(self.asked.operation)
        if operation is None:
            what = self.asked.operation.value
            return Failure(Reason.NO_SUCH_PATH, f"the provider of {self.asked.model} has no {what}")
        members = self.asked.body.members
        try:
            if operation is Operation.MESSAGES:
                body, notes = ask_anthropic.request(members, model=model, default_output=default_output)
            else:
                body, notes = ask_openai.request(members, model=model, provider=self.provider)
            return Request(operation, dump(body), tuple(notes))
        except Untranslatable as cannot:
            return cannot.failure()
        except BadField as bad:
            return bad.failure(self.asked.operation.dialect)
        except BadJson as bad:
            return Failure(Reason.BAD_REQUEST, f"The body cannot be written again: {bad}.")

    def answer(self, data: bytes) -> bytes:
        """A whole answer of the provider's in the client's words. Raises NoAnswer."""
        try:
            if self.provider.dialect is Dialect.ANTHROPIC:
                return as_completion.answer(data, created=self.created)
            return as_message.answer(data, thinking=self._thinking)
        except BadJson as bad:
            raise bad_answer(str(bad)) from None

    def stream(self) -> Stream:
        """The machine for a streamed one."""
        if self.provider.dialect is Dialect.ANTHROPIC:
            return OpenAIStream(created=self.created, usage=self.asked.wants_usage)
        return AnthropicStream(thinking=self._thinking)

    @property
    def _thinking(self) -> bool:
        """Whether an Anthropic client wants to see what the model thinks."""
        thinking = self.asked.body.members.get("thinking")
        return isinstance(thinking, dict) and thinking.get("type") not in {None, "disabled"}
