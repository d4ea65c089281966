"""Question: a connection, or a request on one, that somebody asks the way of."""

from dataclasses import dataclass

from marchproxy.model.matching import Request
from marchproxy.model.module import HTTP_FAMILY, ModuleType, Protocol
from marchproxy.model.rtmp import WATCHING_PROTOCOLS
from marchproxy.model.sharing import SPEECHES, Speech


@dataclass(frozen=True, slots=True)
class Question:
    """What is not known is empty, 0 or None. `sni` and `alpn` are those of the client's TLS hello."""

    listener: str = ""
    port: int = 0
    protocol: Protocol | None = None
    module_type: ModuleType | None = None
    source: str = ""
    request: Request | None = None
    sni: str = ""
    alpn: tuple[str, ...] = ()

    @property
    def speech(self) -> Speech | None:
        """What the client's first bytes are; None when that cannot be told."""
        if self.sni or self.alpn:
            return Speech.TLS
        if self.protocol is None:
            return Speech.HTTP if self.request is not None else None
        return SPEECHES.get(self.protocol)

    def in_words(self) -> str:
        """The question as the object of a sentence."""
        parts = [
            f'a connection for listener "{self.listener}"' if self.listener else "a connection",
            f"to port {self.port}" if self.port else "",
            f"speaking {self.protocol.value}" if self.protocol else "",
            f"with server name {self.sni}" if self.sni else "",
            f"from {self.source}" if self.source else "",
        ]
        return " ".join(part for part in parts if part)


def same_family(first: Protocol, second: Protocol) -> bool:
    """Whether a module that serves one protocol answers for the other."""
    both = {first, second}
    return first is second or both <= HTTP_FAMILY or both <= WATCHING_PROTOCOLS
