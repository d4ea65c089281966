"""Replies: status and headers for a file, as HTTP has it (RFC 9110, sections 13 and 14). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.model.glob import is_meant

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_FOR_EVER = "max-age=31536000, immutable"
_BRIEFLY = "max-age=1"
#: What pages of other origins may read beside the body.
_EXPOSED = "Content-Length, Content-Range, Date, ETag"
_PREFLIGHT_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class Reply:
    """`part`: which bytes of the file are the body; None: there is no body."""

    status: int
    headers: Mapping[str, str]
    part: slice | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What is there: its size in bytes, its tag without quotes, and whether it never changes or only some may see it."""

    size: int
    tag: str
    media_type: str
    lasting: bool = False
    private: bool = False


def reply_to(asked: Mapping[str, str], content: Content) -> Reply:
    """The reply to a GET with these headers, whose names may be written in any way (such as a CIMultiDict's)."""
    tag = f'"{content.tag}"'
    whose, age = "private" if content.private else "public", _FOR_EVER if content.lasting else _BRIEFLY
    headers = {"ETag": tag, "Cache-Control": f"{whose}, {age}", "Accept-Ranges": "bytes"}
    if _matches(asked.get("If-None-Match", ""), tag):
        return Reply(304, headers)
    headers["Content-Type"] = content.media_type
    part = None
    if asked.get("If-Range", tag) == tag:
        part = _RANGE.fullmatch(asked.get("Range", "").strip())
    if part is None or part[0] == "bytes=-":
        return Reply(200, headers, slice(0, content.size))
    return _of_part(part[1], part[2], content.size, headers)


def _of_part(first: str, last: str, size: int, headers: dict[str, str]) -> Reply:
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= size or start >= end:
        if first and last and int(last) < int(first):
            return Reply(200, headers, slice(0, size))  # no range at all: it counts as if it were not there
        return Reply(416, {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Reply(206, headers, slice(start, end))


def _matches(header: str, tag: str) -> bool:
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in tags or tags == ["*"]


def cross_origin(origin: str, allowed: tuple[str, ...]) -> dict[str, str]:
    """The headers by which pages of `origin` may read a reply, if they may (the Fetch standard, 3.3)."""
    if "*" in allowed:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
    if not allowed:
        return {}
    if not is_meant(origin.lower(), allowed):
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _EXPOSED,
        "Vary": "Origin",
    }


def preflight(origin: str, allowed: tuple[str, ...]) -> Reply:
    """The reply to OPTIONS."""
    headers = cross_origin(origin, allowed)
    if "Access-Control-Allow-Origin" in headers:
        headers |= {
            "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers": "Range, If-None-Match, If-Range",
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        }
    return Reply(204, headers | {"Allow": "GET, HEAD, OPTIONS"})
