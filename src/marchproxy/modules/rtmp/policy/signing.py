"""Signing: what tokens are made with. Pure.

HMAC-SHA256 (RFC 2104) of ACTION, VHOST/APP/STREAM and EXPIRES, each on a line, without a line break at the end.
"""

import hmac

#: Bytes, at least: who guesses a shorter secret can sign for everything.
SHORTEST_SECRET = 8


def read_secret(content: bytes) -> bytes:
    """The secret of a file, without the line break at its end. Raises ValueError."""
    secret = content.rstrip(b"\r\n")
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"a secret has at least {SHORTEST_SECRET} bytes; make one by: openssl rand -hex 32")
    return secret


def sign(secret: bytes, action: str, stream: str, expires: int | str) -> str:
    """The signature, in hexadecimal digits. `stream`: VHOST/APP/STREAM."""
    said = f"{action}\n{stream}\n{expires}".encode("utf-8", "surrogatepass")
    return hmac.digest(secret, said, "sha256").hex()
