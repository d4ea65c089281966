"""Tokens: what sessions and API keys show. They are random and long, so a plain hash of them is enough to keep."""

import hashlib
import hmac
import secrets

KEY_PREFIX = "mp_"
_BYTES = 32


def new_token() -> str:
    """A session's token, or a CSRF token: 256 random bits."""
    return secrets.token_urlsafe(_BYTES)


def new_key() -> str:
    """An API key; the prefix lets scanners of leaked secrets find it."""
    return KEY_PREFIX + secrets.token_urlsafe(_BYTES)


def hashed(token: str) -> str:
    """What is kept of a token: SHA-256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_same(shown: str, kept: str) -> bool:
    """Compare two tokens in a time that says nothing of where they differ."""
    return hmac.compare_digest(shown.encode(), kept.encode())


def csrf_of(token: str) -> str:
    """What a page must show beside the session's cookie to change something. It is worked out, so it is kept nowhere."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()
