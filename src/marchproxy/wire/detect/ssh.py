"""SSH: the identification string that both sides send at once, RFC 4253 §4.2."""

from marchproxy.wire.detect.verdict import Detected, Look, Protocol

# 1.99 is a server's word (§5.1), yet some clients that also spoke version 1 send it
_OPENINGS = (b"SSH-2.0-", b"SSH-1.99-")
HORIZON = max(len(opening) for opening in _OPENINGS)


def look(data: bytes) -> Detected | Look:
    """An SSH-2 identification string."""
    if data.startswith(_OPENINGS):
        return Detected(Protocol.SSH)
    return Look.MORE if any(opening.startswith(data) for opening in _OPENINGS) else Look.NO
