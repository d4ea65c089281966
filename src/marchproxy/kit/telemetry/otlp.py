"""OTLP: spans of OpenTelemetry's SDK as the bytes that a collector takes, and what it answers.

Written by hand because the library that does it brings `opentelemetry.proto`, of which `xds-protos` installs an older copy at the
same place: whichever was installed last is there, and one of the two does not work. What is sent are eight messages.
https://github.com/open-telemetry/opentelemetry-proto/blob/v1.8.0/opentelemetry/proto/trace/v1/trace.proto
"""

import struct
from collections.abc import Iterable, Mapping, Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status, StatusCode
from opentelemetry.util.types import AnyValue

#: The call that takes spans.
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_CODES = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WORD, _DOUBLE = struct.Struct("<Q"), struct.Struct("<d")


def encode(spans: Iterable[ReadableSpan]) -> bytes:
    """An ExportTraceServiceRequest. All spans are of one process, so they share a resource."""
    groups: dict[InstrumentationScope | None, list[ReadableSpan]] = {}
    for span in spans:
        groups.setdefault(span.instrumentation_scope, []).append(span)
    scopes = b"".join(_part(2, _scope(scope, found)) for scope, found in groups.items())
    resource = next((span.resource for found in groups.values() for span in found), None)
    attributes = _pairs(1, resource.attributes) if resource else b""
    return _part(1, _part(1, attributes) + scopes)


def refusal(answer: bytes) -> tuple[int, str]:
    """Of an ExportTraceServiceResponse how many spans were refused, and why. ValueError: it is none."""
    success = dict(_fields(dict(_fields(answer)).get(1, b"")))
    count, words = success.get(1, 0), success.get(2, b"")
    if not isinstance(count, int) or not isinstance(words, bytes):
        raise ValueError("not an answer of an OTLP collector")  # noqa: TRY004 - bytes that are wrong, not a type
    return count, words.decode(errors="replace")


def _scope(scope: InstrumentationScope | None, spans: Sequence[ReadableSpan]) -> bytes:
    named = _part(1, _part(1, scope.name.encode())) if scope else b""
    return named + b"".join(_part(2, _span(span)) for span in spans)


def _span(span: ReadableSpan) -> bytes:
    context = span.get_span_context()
    if context is None:  # the SDK has one for whatever it exports
        return b""
    parent = _part(4, span.parent.span_id.to_bytes(8)) if span.parent else b""
    return b"".join((
        _part(1, context.trace_id.to_bytes(16)),
        _part(2, context.span_id.to_bytes(8)),
        _part(3, context.trace_state.to_header().encode()) if context.trace_state else b"",
        parent,
        _part(5, span.name.encode()),
        _number(6, span.kind.value + 1),
        _word(7, span.start_time or 0),
        _word(8, span.end_time or 0),
        _pairs(9, span.attributes or {}),
        b"".join(_part(11, _event(event)) for event in span.events),
        _part(15, _status(span.status)),
    ))  # fmt: skip


def _event(event: Event) -> bytes:
    return _word(1, event.timestamp) + _part(2, event.name.encode()) + _pairs(3, event.attributes or {})


def _status(status: Status) -> bytes:
    words = _part(2, status.description.encode()) if status.description else b""
    return words + _number(3, _CODES[status.status_code])


def _pairs(field: int, attributes: Mapping[str, AnyValue]) -> bytes:
    return b"".join(
        _part(field, _part(1, name.encode()) + _part(2, _value(value))) for name, value in attributes.items()
    )


def _value(value: AnyValue) -> bytes:  # noqa: PLR0911 - one for each of the protocol's kinds
    match value:
        case str():
            return _part(1, value.encode())
        case bool():
            return _number(2, value)
        case int():
            return _number(3, value)
        case float():
            return _key(4, _FIXED64) + _DOUBLE.pack(value)
        case bytes():
            return _part(7, value)
        case None:
            return b""
        case Mapping():
            return _part(6, _pairs(1, value))
        case _:
            return _part(5, b"".join(_part(1, _value(item)) for item in value))


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _part(field: int, content: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value & (1 << 64) - 1)


def _word(field: int, value: int) -> bytes:
    return _key(field, _FIXED64) + _WORD.pack(value)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _fields(message: bytes | int) -> Iterable[tuple[int, bytes | int]]:
    """The fields of a message that may have any. Raises ValueError for what is none."""
    if isinstance(message, int):
        raise ValueError("a message is expected where a number stands")  # noqa: TRY004 - as above
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        if key & 7 == _VARINT:
            value, at = _read_varint(message, at)
            yield key >> 3, value
            continue
        length, at = (
            _read_varint(message, at)
            if key & 7 == _BYTES
            else ({_FIXED64: 8, _FIXED32: 4}.get(key & 7, -1), at)
        )
        if length < 0 or at + length > len(message):
            raise ValueError("a field is longer than its message")
        yield key >> 3, message[at : at + length]
        at += length


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        value |= (message[at] & 0x7F) << shift
        if message[at] < 0x80:
            return value, at + 1
        at, shift = at + 1, shift + 7
    raise ValueError("a number that does not end")
