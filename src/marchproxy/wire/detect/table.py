"""Table: the recognisers in their order, and the one rule that joins them.

A recogniser is monotone: NO and Detected stay, whatever bytes follow. The first one that does not say NO decides, so
the answer for a prefix is either NeedMore or the answer for the whole; nothing is ever taken back. Where two protocols
share first bytes, the one with the stricter form stands first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from marchproxy.wire.detect import http, mongodb, postgres, redis, rtmp, ssh, tls
from marchproxy.wire.detect.verdict import Detected, Look, NeedMore, Protocol, Unknown, Verdict

#: Bytes. Twice the request line that nginx takes, nine times a browser's ClientHello with post-quantum key shares.
DEFAULT_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Recogniser:
    """`horizon`: it never needs more bytes than this; None: it may need all that the limit allows."""

    protocol: Protocol
    look: Callable[[bytes], Detected | Look]
    horizon: int | None = None


_TABLE = (
    _Recogniser(Protocol.TLS, tls.look),
    _Recogniser(Protocol.HTTP2, http.look_http2, len(http.PREFACE)),  # before HTTP/1: "PRI" is a token
    _Recogniser(Protocol.SSH, ssh.look, ssh.HORIZON),  # before HTTP/1: "SSH-2.0-x" is a token
    _Recogniser(Protocol.POSTGRES, postgres.look, postgres.HORIZON),
    _Recogniser(Protocol.MONGODB, mongodb.look, mongodb.HORIZON),
    _Recogniser(
        Protocol.RTMP, rtmp.look, rtmp.HORIZON
    ),  # after MongoDB, whose message length may begin with 3
    _Recogniser(Protocol.HTTP1, http.look_http1),
    _Recogniser(Protocol.REDIS, redis.look_resp, redis.RESP_HORIZON),
    _Recogniser(Protocol.REDIS, redis.look_inline),  # last: "GET /x HTTP/1.1" would be an inline command
)


def detect(
    buffer: bytes | bytearray | memoryview, enabled: frozenset[Protocol], *, limit: int = DEFAULT_LIMIT
) -> Verdict:
    """Tell the protocol of a connection from all the bytes its client has sent so far.

    Looks at `limit` bytes at most and is Unknown when they do not settle it. A protocol that is not `enabled` keeps
    its meaning: HTTP is never taken for Redis because HTTP is off. Never raises on any input.
    """
    data = bytes(buffer[:limit])
    most = 0
    undecided = False
    hopeful = False  # an enabled protocol is still possible
    for recogniser in _TABLE:
        match recogniser.look(data):
            case Look.NO:
                continue
            case Look.MORE:
                undecided = True
                hopeful |= recogniser.protocol in enabled
                most = max(most, min(recogniser.horizon or limit, limit) - len(data))
            case Detected() as found:
                if not undecided:
                    return found if found.protocol in enabled else Unknown()
                hopeful |= found.protocol in enabled
                break  # stands unless one before it claims the bytes, and none after it can
    return NeedMore(most) if hopeful and most > 0 else Unknown()


def silent(enabled: frozenset[Protocol]) -> Detected | Unknown:
    """The verdict on a client that has connected and waits without a byte: MySQL, whose server speaks first.

    How long a silence counts is the caller's to say. https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
    """
    return Detected(Protocol.MYSQL, form="silence") if Protocol.MYSQL in enabled else Unknown()
