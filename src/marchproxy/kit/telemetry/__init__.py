"""Telemetry: spans of our own processes, sent over OTLP. Where tracing is off, a span costs one comparison."""

from marchproxy.kit.telemetry.section import Service, TracingSection
from marchproxy.kit.telemetry.spans import annotate, recorder, span, spanned, trace_id
from marchproxy.kit.telemetry.tracing import tracing
from marchproxy.kit.telemetry.trust import authorities

__all__ = [
    "Service",
    "TracingSection",
    "annotate",
    "authorities",
    "recorder",
    "span",
    "spanned",
    "trace_id",
    "tracing",
]
