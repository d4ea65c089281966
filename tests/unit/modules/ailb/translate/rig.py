"""Exchanges as they are written in the providers' documentation, and how they are put through a translation."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marchproxy.model.ai import Provider
from marchproxy.modules.ailb.dialects.asked import Asked, read
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.translate.exchange import Exchange, Request
from marchproxy.wire.sse import Events, write

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir())
CREATED = 1_700_000_000


def ask(operation: Operation, body: dict[str, Any]) -> Asked:
    """The request, which must be one."""
    found = read(operation, json.dumps(body).encode())
    assert isinstance(found, Asked), found
    return found


def exchange(operation: Operation, provider: Provider, body: dict[str, Any]) -> Exchange:
    """An exchange for the request."""
    return Exchange(ask(operation, body), provider, CREATED)


def streamed(exchange: Exchange, data: bytes, *, size: int = 1 << 20) -> bytes:
    """A provider's stream, which comes in pieces, as the client's."""
    events, machine, sent = Events(), exchange.stream(), b""
    for at in range(0, len(data), size):
        for event in events.feed(data[at : at + size]):
            sent += b"".join(map(write, machine.feed(event)))
    return sent + b"".join(map(write, machine.end()))


@dataclass(frozen=True)
class Case:
    """One exchange: what the client asks, what the provider answers, what both mean."""

    path: Path
    operation: Operation
    provider: Provider
    body: dict[str, Any]
    means: dict[str, Any] = field(hash=False)

    @staticmethod
    def at(path: Path) -> "Case":
        """As it is on disk."""
        told = json.loads((path / "request.json").read_text())
        return Case(
            path, Operation(told["operation"]), Provider(told["provider"]), told["body"], told["means"]
        )

    @property
    def exchange(self) -> Exchange:
        """Its exchange."""
        return exchange(self.operation, self.provider, self.body)

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream."""
        return bool(self.body.get("stream"))

    def sent(self) -> Request:
        """What the provider is asked."""
        request = self.exchange.request(model=f"the-{self.body['model']}", default_output=4096)
        assert isinstance(request, Request), request
        return request

    def answered(self, *, size: int = 1 << 20) -> bytes:
        """What the client is answered."""
        if self.streamed:
            return streamed(self.exchange, (self.path / "provider.sse").read_bytes(), size=size)
        return self.exchange.answer((self.path / "provider.json").read_bytes())
