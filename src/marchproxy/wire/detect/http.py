"""HTTP: the HTTP/2 connection preface (RFC 9113 §3.4) and the HTTP/1 request line (RFC 9112 §3).

Empty lines before the request line, which RFC 9112 §2.2 lets a server ignore, are not HTTP here: they exist between
requests of old clients, not in front of the first.
"""

import re

from marchproxy.wire.detect.verdict import Detected, Look, Protocol

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# token, RFC 9110 §5.6.2; the longest registered method, UPDATEREDIRECTREF, has 17 characters
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
# visible ASCII by RFC 9112 §3.2; raw UTF-8 is sent by enough clients that servers take it
_TARGET = re.compile(rb"[\x21-\x7e\x80-\xff]+")
# the usual case, a whole line in one read, at an eighth of the cost of looking at its parts
_REQUEST_LINE = re.compile(_METHOD.pattern + b" " + _TARGET.pattern + rb" HTTP/1\.[0-9]\r?\n")
_VERSIONS = tuple(b"HTTP/1.%d" % minor for minor in range(10))
_VERSION_SIZE = len(_VERSIONS[0])


def look_http2(data: bytes) -> Detected | Look:
    """The preface of HTTP/2 with prior knowledge."""
    if data.startswith(PREFACE):
        return Detected(Protocol.HTTP2)
    return Look.MORE if PREFACE.startswith(data) else Look.NO


def look_http1(data: bytes) -> Detected | Look:
    """A whole request line of HTTP/1.x: method, target and version, one space between them."""
    if _REQUEST_LINE.match(data):
        return Detected(Protocol.HTTP1)
    line, ended, _ = data.partition(b"\n")
    parts = line.split(b" ", 3)
    if not _begins_request(parts):
        return Look.NO
    if not ended:
        return Look.MORE
    complete = len(parts) == 3 and len(parts[2]) >= _VERSION_SIZE
    return Detected(Protocol.HTTP1) if complete else Look.NO


def _begins_request(parts: list[bytes]) -> bool:
    """Whether more bytes could make a request line of this; the last part may be unfinished, and empty."""
    checks = (_is_method, _is_target, _begins_version)
    if len(parts) > len(checks):
        return False
    *whole, last = parts
    return all(check(part) for check, part in zip(checks, whole, strict=False)) and (
        not last or checks[len(whole)](last)
    )


def _is_method(part: bytes) -> bool:
    return _METHOD.fullmatch(part) is not None


def _is_target(part: bytes) -> bool:
    return _TARGET.fullmatch(part) is not None


def _begins_version(part: bytes) -> bool:
    # the line may end in CRLF or, RFC 9112 §2.2, in LF alone
    version, rest = part[:_VERSION_SIZE], part[_VERSION_SIZE:]
    return rest in {b"", b"\r"} and any(known.startswith(version) for known in _VERSIONS)
