"""RTMP: C0 and C1 of the plain handshake, Adobe's "Real Time Messaging Protocol" 1.0 §5.2.

TPKT (RFC 1006: RDP, S7comm) begins with a 3 as well, and nothing in C1 is fixed. What tells them apart is that an RTMP
client sends all of C1 without waiting for an answer, so nothing less than all of it is taken for RTMP.
"""

from marchproxy.wire.detect.verdict import Detected, Look, Protocol

_VERSION = 3
_C1_SIZE = 1536
HORIZON = 1 + _C1_SIZE


def look(data: bytes) -> Detected | Look:
    """Version 3 and a whole C1."""
    if data and data[0] != _VERSION:
        return Look.NO
    # behind the time: zero by the specification, or the version of a Flash player (Flash, ffmpeg: 9.0.124.2)
    if len(data) >= 9 and any(data[5:9]) and not data[5]:
        return Look.NO
    return Detected(Protocol.RTMP) if len(data) >= HORIZON else Look.MORE
