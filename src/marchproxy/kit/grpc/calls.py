"""One call as the server sees it: counted, timed, logged, and every exception turned into a gRPC status."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
from grpc import StatusCode
from prometheus_client import CollectorRegistry, Histogram

from marchproxy.kit.grpc.status import Misuse, unavailable
from marchproxy.kit.logs import get_logger

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # the class has no subscript at run time

_log = get_logger(__name__)
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WORTH_A_WARNING = {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED}


class CallMetrics:
    """Counts and times calls by method and code, in seconds. One per registry; without one nothing is exposed."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.seconds = Histogram(
            "grpc_server_handling_seconds",
            "Calls this process answered: how many, how long they took, with which code.",
            ("method", "code"),
            registry=registry,
            buckets=_BUCKETS,
        )


@dataclass(slots=True)
class CallPolicy:
    """What all calls of one server share. `default_deadline` in seconds, for unary calls whose client set none."""

    metrics: CallMetrics
    default_deadline: float
    _stopping: bool = False
    _streams: set[asyncio.Timeout] = field(default_factory=set)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """Hold a streaming call that `end_streams` may end; then it raises Misuse UNAVAILABLE."""
        guard = asyncio.timeout(None)
        try:
            async with guard:
                self._streams.add(guard)
                if self._stopping:
                    guard.reschedule(0.0)
                yield
        except TimeoutError as error:
            if not guard.expired():
                raise
            raise unavailable("the server is stopping; call again, another one may answer") from error
        finally:
            self._streams.discard(guard)

    def end_streams(self, after: float) -> None:
        """End all streaming calls `after` seconds from now, and later ones at once."""
        self._stopping = True
        moment = asyncio.get_running_loop().time() + after
        for guard in self._streams:
            guard.reschedule(moment)


class Call:
    """One method of one server: what happens at the end of every call of it."""

    def __init__(self, method: str, policy: CallPolicy) -> None:
        self.method = method
        self.policy = policy
        # looked up once: finding the labels costs more than observing
        self._seconds = {StatusCode.OK: policy.metrics.seconds.labels(method, StatusCode.OK.name)}

    def answered(self, context: Context, started: float) -> None:
        """Count and log a call whose handler returned. `started` is a reading of `time.perf_counter`."""
        code: StatusCode | None = context.code()  # None unless the handler set one
        self._observe(StatusCode.OK if code is None else code, started)
        _log.debug("grpc call answered", method=self.method)

    async def failed(self, error: BaseException, context: Context, started: float) -> None:
        """Count and log a call whose handler raised, and abort it with the status that fits.

        Returns only where the caller must re-raise `error`: cancelled, or already aborted by the handler.
        """
        code, message = _status_of(error, context, self.method)
        self._observe(code, started)
        self._report(code, message, error)
        if message is not None:
            await context.abort(code, message)

    def _observe(self, code: StatusCode, started: float) -> None:
        seconds = self._seconds.get(code)
        if seconds is None:
            seconds = self._seconds[code] = self.policy.metrics.seconds.labels(self.method, code.name)
        seconds.observe(time.perf_counter() - started)

    def _report(self, code: StatusCode, message: str | None, error: BaseException) -> None:
        fields = {"method": self.method, "code": code.name, "reason": message}
        if code is StatusCode.INTERNAL:
            _log.error("grpc call failed", **fields, exc_info=error)
        elif code in _WORTH_A_WARNING:
            _log.warning("grpc call failed", **fields)
        elif code is StatusCode.CANCELLED:
            _log.debug("grpc call cancelled by its client", **fields)
        else:
            _log.info("grpc call refused", **fields)


def _status_of(error: BaseException, context: Context, method: str) -> tuple[StatusCode, str | None]:
    """Return the code to count, and the message to abort with; None where the call has ended already."""
    match error:
        case asyncio.CancelledError():
            late = context.time_remaining() == 0
            return (StatusCode.DEADLINE_EXCEEDED if late else StatusCode.CANCELLED), None
        case grpc.aio.AbortError():
            return context.code(), None
        case Misuse():
            return error.code, error.message
        case NotImplementedError() if context.code() is StatusCode.UNIMPLEMENTED:
            return StatusCode.UNIMPLEMENTED, f"{method} is not offered by this server"
        case _:
            error_id = secrets.token_hex(4)
            return StatusCode.INTERNAL, f"{method} failed unexpectedly; its log line has error id {error_id}"
