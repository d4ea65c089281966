"""Port: where clients of a protocol come."""

from dataclasses import dataclass

from marchproxy.kit.settings.types import HostPort
from marchproxy.model.module import Protocol


@dataclass(frozen=True, slots=True)
class Port:
    """An address that workers listen on. `proxied`: behind a PROXY protocol v2 header. `setting` names it in messages."""

    setting: str
    protocol: Protocol
    address: HostPort
    proxied: bool = False
