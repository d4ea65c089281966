"""Headers that tell browsers what they may do with our answers. Pure.

NiceGUI compiles its components in the browser and starts them with scripts in the page, so pages cannot do without
'unsafe-inline' and 'unsafe-eval'; everything comes from here alone, and goes nowhere else. Answers of the API are no
pages: they may do nothing.
"""

from collections.abc import Iterable, Iterator

_PAGES = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_ANSWERS = "default-src 'none'; frame-ancestors 'none'"
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
)
_YEAR = b"max-age=31536000"
API = "/api/"

Header = tuple[bytes, bytes]


def secured(path: str, headers: Iterable[Header], *, secure: bool) -> list[Header]:
    """The headers of an answer with ours beside them. `secure`: browsers come by https, and are to keep to it."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    return [*given, *((name, value) for name, value in _ours(path, secure=secure) if name not in names)]


def _ours(path: str, *, secure: bool) -> Iterator[Header]:
    is_api = path.startswith(API)
    yield from _ALWAYS
    yield b"content-security-policy", (_ANSWERS if is_api else _PAGES).encode()
    if is_api:
        yield b"cache-control", b"no-store"
    if secure:
        yield b"strict-transport-security", _YEAR
