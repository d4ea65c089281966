"""Export: batches of spans to an OTLP/gRPC collector, one attempt each. A collector that fails loses spans, never time.

It runs on the batch processor's own thread. https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from collections.abc import Sequence
from typing import Any

import grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from marchproxy.kit.logs import get_logger
from marchproxy.kit.telemetry.otlp import EXPORT, encode, refusal
from marchproxy.kit.telemetry.section import TracingSection
from marchproxy.kit.telemetry.trust import authorities

_log = get_logger(__name__)
#: How long the collector may take for one batch.
EXPORT_SECONDS = 3.0


class OtlpExporter(SpanExporter):
    """One channel to the collector. What it refuses is dropped, and told of once until it takes spans again."""

    def __init__(self, section: TracingSection) -> None:
        """Raises SettingsError for a `ca` that cannot be read."""
        self._where = section.endpoint
        self._headers = tuple(section.headers.items())
        self._channel = _channel(section)
        self._send: Any = self._channel.unary_unary(EXPORT)
        self._lost = 0
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch. Blocks up to EXPORT_SECONDS."""
        if self._closed:
            return self._failed(len(spans), "the process ends, and the collector did not answer")
        try:
            answer = self._send(encode(spans), timeout=EXPORT_SECONDS, metadata=self._headers)
            refused, words = refusal(answer)
        except grpc.RpcError as error:
            return self._failed(len(spans), _words(error))
        except (
            ValueError
        ) as error:  # an answer that is none; and grpc's word for a channel that was closed meanwhile
            return self._failed(len(spans), str(error))
        if refused:
            return self._failed(refused, words)
        if self._lost:
            _log.info("traces are delivered again", collector=self._where, spans_lost=self._lost)
            self._lost = 0
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Hang up, whatever is under way; may be called from any thread, and again."""
        self._closed = True
        self._channel.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - nothing is held back here
        """Nothing to do."""
        return True

    def _failed(self, count: int, reason: str) -> SpanExportResult:
        if not self._lost:
            _log.warning("traces are not delivered, spans are lost", collector=self._where, reason=reason)
        self._lost += count
        return SpanExportResult.FAILURE


def _words(error: Any) -> str:
    # what a call raises is a grpc.Call as well, which its type does not say
    return f"{error.code().name}: {error.details()}" if isinstance(error, grpc.Call) else repr(error)


def _channel(section: TracingSection) -> grpc.Channel:
    where = str(section.collector)
    # a collector that is back is found soon; the default grows to two minutes
    options = [("grpc.max_reconnect_backoff_ms", 5_000), ("grpc.use_local_subchannel_pool", 1)]
    if not section.secure:
        return grpc.insecure_channel(where, options=options)
    return grpc.secure_channel(where, grpc.ssl_channel_credentials(authorities(section)), options=options)
