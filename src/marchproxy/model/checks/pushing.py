"""Checks of where copies of streams are pushed to."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import SplitResult, urlsplit

from marchproxy.model.problem import Problem
from marchproxy.model.rules import HOST, ip_address

_MOST = 16
_LONGEST = 2048
_EXAMPLE = "rtmp://host/app/{stream}"
_NAMES = ("{vhost}", "{app}", "{stream}")
_BRACED = re.compile(r"\{[^{}]*\}|[{}]")
_BLANK = re.compile(r"[\x00-\x20\x7f]")


def check_pushes(urls: Sequence[str], path: str) -> Iterator[Problem]:
    """Faults of the URLs to push to."""
    if len(urls) > _MOST:
        yield Problem(path, f"{len(urls)} are more than {_MOST}")
    for number, url in enumerate(urls):
        where = f"{path}[{number}]"
        if url in urls[:number]:
            yield Problem(where, "stands there twice")
        elif fault := _fault(url):
            yield Problem(where, fault)


def _fault(url: str) -> str:
    """What is wrong with a URL, in words that do not repeat it: it may have a key in it."""
    if len(url) > _LONGEST or _BLANK.search(url):
        return f"has more than {_LONGEST} characters, a blank or a control character; write a blank as %20"
    parts = _parts_of(url)
    if parts is None:
        return f"is not a URL of rtmp or rtmps, such as {_EXAMPLE}"
    if parts.username is not None:
        return "has a user in it, which RTMP does not know; put what the server wants into the query"
    if len([segment for segment in parts.path.split("/") if segment]) < 2:
        return f"names no app or no stream; write it as {_EXAMPLE}"
    for found in _BRACED.findall(parts.path + parts.query):
        if found not in _NAMES:
            return f"{found} is nothing that is replaced; there are {', '.join(_NAMES)}"
    return ""


def _parts_of(url: str) -> SplitResult | None:
    """Its parts; None where it does not begin as one that can be pushed to."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"rtmp", "rtmps"} and parts.port != 0 and _is_host(parts.hostname or "")
    except ValueError:
        return None
    return parts if sound else None


def _is_host(host: str) -> bool:
    return ip_address(host) is not None or (HOST.fullmatch(host) is not None and not host.startswith("*"))
