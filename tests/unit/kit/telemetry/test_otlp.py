"""Spans as OTLP, read back by messages that somebody else generated."""

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from marchproxy.kit.telemetry.otlp import encode, refusal

ATTRIBUTES = {"text": "é", "yes": True, "many": -3, "part": 0.5, "list": ["a", "b"], "large": 2**62}


@pytest.fixture
def spans() -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "alb"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("marchproxy", "1.2")
    with (
        tracer.start_as_current_span("outer", kind=SpanKind.SERVER, attributes=ATTRIBUTES),
        tracer.start_as_current_span("inner") as inner,
    ):
        inner.add_event("seen", {"what": "x"}, timestamp=7)
        inner.set_status(Status(StatusCode.ERROR, "why"))
    return exporter.get_finished_spans()


def plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return (
        [plain(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, kind)
    )


def scopes(request: pb.ExportTraceServiceRequest) -> tuple[Any, Any]:
    """The scope and its spans, which had other names in older versions, but no other numbers."""
    (group,) = request.resource_spans
    assert {item.key: plain(item.value) for item in group.resource.attributes} == {"service.name": "alb"}
    ((_, (found,)),) = [(f, v) for f, v in group.ListFields() if f.number == 2]
    ((_, scope),) = [(f, v) for f, v in found.ListFields() if f.number == 1]
    ((_, inside),) = [(f, v) for f, v in found.ListFields() if f.number == 2]
    return scope, inside


def test_spans(spans):
    scope, (inner, outer) = scopes(pb.ExportTraceServiceRequest.FromString(encode(spans)))
    assert (scope.name, scope.version) == ("marchproxy", "1.2") or not scope.version
    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.trace_id == outer.trace_id == spans[0].get_span_context().trace_id.to_bytes(16)
    assert (inner.parent_span_id, outer.parent_span_id) == (outer.span_id, b"")
    assert inner.kind == trace_pb2.Span.SPAN_KIND_INTERNAL
    assert outer.kind == trace_pb2.Span.SPAN_KIND_SERVER
    assert {item.key: plain(item.value) for item in outer.attributes} == ATTRIBUTES
    assert (inner.start_time_unix_nano, inner.end_time_unix_nano) == (spans[0].start_time, spans[0].end_time)
    (event,) = inner.events
    assert (event.time_unix_nano, event.name, plain(event.attributes[0].value)) == (7, "seen", "x")
    assert (inner.status.code, inner.status.message) == (trace_pb2.Status.STATUS_CODE_ERROR, "why")
    assert outer.status.code == trace_pb2.Status.STATUS_CODE_UNSET


def test_nothing():
    assert not pb.ExportTraceServiceRequest.FromString(encode([])).resource_spans[0].resource.attributes


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (b"", (0, "")),
        (b"\x0a\x00", (0, "")),
        (b"\x0a\x07\x08\x83\x01\x12\x02no", (131, "no")),
        (b"\x0a\x02\x08\x01\x52\x01x", (1, "")),  # and a field that is not known
        (b"\x11\0\0\0\0\0\0\0\0\x1d\0\0\0\0", (0, "")),
    ],
)
def test_answers(answer, refused):
    assert refusal(answer) == refused


@pytest.mark.parametrize(
    "answer", [b"\x0a", b"\x0a\x05x", b"\x08\x01", b"\xff" * 11, b"\x0b", b"\x0a\x02\x10\x01"]
)
def test_answers_that_are_none(answer):
    with pytest.raises(ValueError, match=r"message|number|answer|field"):
        refusal(answer)
