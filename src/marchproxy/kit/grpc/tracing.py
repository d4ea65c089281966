"""Calls as spans: the caller's trace goes on where the call is answered (W3C Trace Context in the metadata).

Unary calls only: the streams of this system live as long as their processes. A call that no span stands around, such as a
heartbeat, begins no trace on the caller's side.
https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import grpc
from grpc import StatusCode

from marchproxy.kit.telemetry.spans import Recorder, Value, recorder

_Unary: TypeAlias = Callable[[Any, Any], Any]
_CARRIED = frozenset({"traceparent", "tracestate"})
# what is the server's fault and not its client's
_FAULTS = frozenset(
    {
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    }
)


def traced_answers(method: str, answer: _Unary) -> _Unary:
    """The handler of a unary call, with a span around it where this process traces; else the handler itself."""
    keeper = recorder()
    return answer if keeper is None else _answering(keeper, method, answer)


def _answering(keeper: Recorder, method: str, answer: _Unary) -> _Unary:
    attributes = _attributes(method)

    async def unary(raw: Any, context: Any) -> Any:
        metadata = context.invocation_metadata() or ()
        carried = {key: value for key, value in metadata if key in _CARRIED}
        with keeper.answer(method, attributes, carried):
            code = StatusCode.CANCELLED
            try:
                response = await answer(raw, context)
                code = StatusCode.OK
                return response
            finally:
                code = context.code() or code  # None unless the handler, or its refusal, set one
                keeper.annotate({"rpc.grpc.status_code": code.value[0]})
                if code in _FAULTS:
                    keeper.fail(code.name)

    return unary


def traced_calls() -> Sequence[grpc.aio.ClientInterceptor]:
    """What a channel is made with, so that its unary calls are spans; nothing where this process does not trace."""
    keeper = recorder()
    return () if keeper is None else (_Calling(keeper),)


class _Calling(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, keeper: Recorder) -> None:
        self._keeper = keeper

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        if self._keeper.trace_id() is None:
            return await continuation(client_call_details, request)
        method = client_call_details.method
        method = (method.decode() if isinstance(method, bytes) else method).lstrip("/")
        with self._keeper.call(method, _attributes(method)):
            metadata = grpc.aio.Metadata(*(client_call_details.metadata or ()))
            for key, value in self._keeper.headers().items():
                metadata.add(key, value)
            call = await continuation(client_call_details._replace(metadata=metadata), request)
            code: StatusCode = await call.code()
            self._keeper.annotate({"rpc.grpc.status_code": code.value[0]})
            if code is not StatusCode.OK:
                self._keeper.fail(code.name)
            return call


def _attributes(method: str) -> dict[str, Value]:
    service, _, name = method.rpartition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
