"""Origins: whether a browser asks from a page of ours. Pure.

A page of somebody else's can have a browser send requests with our cookie, where SameSite=Lax lets it (another port of
the same host is the same site), and can open WebSockets, which no CSRF token goes with.
"""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def is_foreign(method: str, origin: str | None, host: str, public_url: str | None) -> bool:
    """Whether a request is to be refused. `method`: of HTTP, or `WEBSOCKET`. `host`: what the request calls us.

    Programs send no Origin. A browser sends one with every change and every WebSocket.
    """
    if origin is None or method in _SAFE:
        return False
    ours = {host.lower(), _place(public_url or "")} - {""}
    return _place(origin) not in ours


def _place(origin: str) -> str:
    """The host with its port, where that is not the usual one; nothing for `null`."""
    return origin.partition("://")[2].rstrip("/").lower()
