"""An OTLP/gRPC collector that keeps the spans it is sent."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True, slots=True)
class Span:
    """A span as a test asks about it; ids in hexadecimal, `parent` empty for a root."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    service: str
    failed: bool
    tags: dict[str, Any] = field(hash=False)
    resource: dict[str, Any] = field(hash=False)


class Collector:
    """Listens on the loopback for the length of a `with` block. It has threads of its own: a blocked loop is no matter."""

    def __init__(self, *, tls: grpc.ServerCredentials | None = None, port: int = 0) -> None:
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        export = grpc.unary_unary_rpc_method_handler(
            self.export,
            request_deserializer=pb.ExportTraceServiceRequest.FromString,
            response_serializer=pb.ExportTraceServiceResponse.SerializeToString,
        )
        service = pb.DESCRIPTOR.services_by_name["TraceService"].full_name
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {"Export": export})]
        )
        where = f"127.0.0.1:{port}"
        self.port = self._server.add_secure_port(where, tls) if tls else self._server.add_insecure_port(where)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def export(self, request: pb.ExportTraceServiceRequest, context: Any) -> pb.ExportTraceServiceResponse:
        self.headers.append(dict(context.invocation_metadata()))
        for group in request.resource_spans:
            resource = _plain(group.resource.attributes)
            # field 2 in every version; xds-protos installs one from before it was renamed
            for scope in getattr(group, "scope_spans", None) or group.instrumentation_library_spans:
                self.spans.extend(_span(span, resource) for span in scope.spans)
        return pb.ExportTraceServiceResponse()

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    async def until(self, ready: Callable[[], Any], *, within: float = 30.0) -> None:
        """Wait for a condition; fails with what was collected."""
        try:
            async with asyncio.timeout(within):
                while not ready():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            seen = [(span.service, span.name, span.trace[:6], span.kind, span.tags) for span in self.spans]
            raise AssertionError(f"not collected within {within} s; there are {seen}") from None

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait(5)


def _span(span: SpanMessage, resource: dict[str, Any]) -> Span:
    return Span(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        service=resource.get("service.name", ""),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        tags=_plain(span.attributes),
        resource=resource,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}
