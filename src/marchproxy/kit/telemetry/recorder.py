"""Recorder: spans kept by OpenTelemetry's SDK, within bounds, and sent by a thread of its own.

https://opentelemetry.io/docs/specs/otel/trace/sdk/
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from marchproxy.kit.telemetry.export import OtlpExporter
from marchproxy.kit.telemetry.section import Service, TracingSection
from marchproxy.kit.telemetry.spans import Value

#: Spans that wait; of more, the oldest are dropped.
QUEUE = 2048
_BATCH = 512
_EVERY_SECONDS = 1.0
#: What the collector may take at the end of the process.
FAREWELL_SECONDS = 0.8
_LIMITS = SpanLimits(max_attributes=64, max_events=16, max_links=4, max_attribute_length=1024)
_PROPAGATOR = TraceContextTextMapPropagator()


class SdkRecorder:
    """Spans of this process. `close` sends what is left, within FAREWELL_SECONDS."""

    def __init__(self, section: TracingSection, service: Service) -> None:
        """Raises SettingsError for a `ca` that cannot be read."""
        self._exporter = OtlpExporter(section)
        self._provider = TracerProvider(
            sampler=ParentBased(_Roots(section.sample_percent / 100)),
            resource=Resource.create(
                {
                    "service.name": service.name(section),
                    "service.instance.id": service.instance,
                    **({"service.version": service.version} if service.version else {}),
                }
            ),
            span_limits=_LIMITS,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=QUEUE,
                max_export_batch_size=_BATCH,
                schedule_delay_millis=_EVERY_SECONDS * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("marchproxy")

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[None]:
        """As `spans.span`."""
        return self._span(name, attributes, SpanKind.INTERNAL, None)

    def annotate(self, attributes: Mapping[str, Value]) -> None:
        """As `spans.annotate`."""
        trace.get_current_span().set_attributes(dict(attributes))

    def trace_id(self) -> str | None:
        """As `spans.trace_id`."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def call(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[None]:
        """A span for a call to another process; its caller passes `headers` on."""
        return self._span(name, attributes, SpanKind.CLIENT, None)

    def answer(
        self, name: str, attributes: Mapping[str, Value], headers: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        """A span for a call that came in with these headers: part of its caller's trace, or the root of a new one."""
        return self._span(name, attributes, SpanKind.SERVER, _PROPAGATOR.extract(headers, contexts.Context()))

    def headers(self) -> dict[str, str]:
        """The active span as the headers of a call (W3C Trace Context); none without one."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier

    def fail(self, reason: str) -> None:
        """The work of the active span failed."""
        trace.get_current_span().set_status(Status(StatusCode.ERROR, reason))

    def close(self) -> None:
        """Send what is left and end the thread. Blocks up to about FAREWELL_SECONDS."""
        impatience = threading.Timer(FAREWELL_SECONDS, self._exporter.shutdown)
        impatience.start()
        self._provider.shutdown()
        impatience.cancel()

    @contextmanager
    def _span(
        self, name: str, attributes: Mapping[str, Value], kind: SpanKind, parent: contexts.Context | None
    ) -> Iterator[None]:
        # a gRPC status is noted by who knows it; of anything else that is raised, the SDK notes what it is
        own = kind is SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=dict(attributes),
            record_exception=own,
            set_status_on_exception=own,
        ):
            yield


class _Roots(Sampler):
    """What begins a trace: our own work always, calls that came without one by chance."""

    def __init__(self, ratio: float) -> None:
        self._by_chance = TraceIdRatioBased(ratio)

    def should_sample(  # noqa: PLR0913, PLR0917 - the SDK's interface
        self,
        parent_context: contexts.Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampler: Sampler = ALWAYS_ON if kind is SpanKind.INTERNAL else self._by_chance
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"own work always, else {self._by_chance.get_description()}"
