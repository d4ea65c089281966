"""Claim: what somebody says they may do, as all ways to authenticate are asked it; and why it is not granted."""

from dataclasses import dataclass, field

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.session.roles import Action


@dataclass(frozen=True, slots=True)
class Claim:
    """`key` has the host that the client named. `client`: its address; `protocol`: rtmp, rtmps, or http for HLS and DASH."""

    action: Action
    key: StreamKey
    query: str = field(default="", repr=False)  # tokens are there
    client: str = ""
    protocol: str = "rtmp"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`reason` is what it is counted under, `words` are for the client."""

    reason: str
    words: str
    shown: bool = True
    """Whether the client has shown anything of this kind at all."""
