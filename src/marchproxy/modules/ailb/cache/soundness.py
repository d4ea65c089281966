"""Soundness: whether an answer of status 200 is one, and not an error in another dress. Pure."""

import re

from marchproxy.modules.ailb.dialects.body import BadJson, load
from marchproxy.modules.ailb.dialects.failure import failure_in
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.sse import Event, Events

_STREAM = "text/event-stream"
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?:data|event|id|retry)?:")
_ERROR = b'"error"'
_COMPLETED = {None, "completed"}


def is_sound(content_type: str, data: bytes) -> bool:
    """Whether it may be answered again. Relays bring streams only when they have ended as they should."""
    if content_type.lower().startswith(_STREAM):
        return _is_sound_stream(data)
    try:
        document = load(data)
    except BadJson:
        return False
    return isinstance(document, dict) and _is_sound(document)


def _is_sound_stream(data: bytes) -> bool:
    if not _BEGINNING.match(data):
        return False  # compressed, or nothing at all
    if _ERROR not in data and b"response." not in data:  # nearly always, and quick
        return True
    events = Events()
    try:
        return all(map(_is_sound_event, [*events.feed(data), *events.end()]))
    except ProtocolFault:
        return False


def _is_sound_event(event: Event) -> bool:
    if event.event in {b"error", b"response.failed", b"response.incomplete"}:
        return False
    try:
        document = load(event.data)
    except BadJson:
        return True  # `[DONE]`
    return not isinstance(document, dict) or failure_in(document) is None


def _is_sound(document: dict[str, object]) -> bool:
    is_response = document.get("object") == "response"
    return failure_in(document) is None and (not is_response or document.get("status") in _COMPLETED)
