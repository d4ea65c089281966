"""Method handlers with everything around a call: metrics, logs, error mapping, deadlines.

It happens once, when handlers are registered: each is wrapped in one function. Interceptors of grpc.aio would do the
same at several times the cost per call.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from grpc import StatusCode

from marchproxy.kit.grpc.calls import Call, CallPolicy, Context
from marchproxy.kit.grpc.status import Misuse
from marchproxy.kit.grpc.tracing import traced_answers

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # the class has no subscript at run time
Services: TypeAlias = dict[str, dict[str, Handler]]
"""Service name → method name → handler."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A servicer and the generated function that adds it: `Registration(add_HealthServicer_to_server, servicer)`."""

    add: Callable[[Any, Any], None]
    servicer: object

    def services(self) -> Services:
        """Return the handlers that the generated function would give to a server."""
        collector = _Collector()
        self.add(self.servicer, collector)
        return collector.services


def wrap(services: Services, policy: CallPolicy) -> Services:
    """Return the same services with every method wrapped."""
    return {
        service: {
            name: _wrapped(handler, Call(f"{service}/{name}", policy)) for name, handler in methods.items()
        }
        for service, methods in services.items()
    }


class _Collector:
    """Stands in for a server in the generated `add_…_to_server` functions."""

    def __init__(self) -> None:
        self.services: Services = {}

    def add_generic_rpc_handlers(self, _: object) -> None:
        pass  # the generated code hands the same handlers over by name as well

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        self.services[service] = dict(handlers)


def _wrapped(handler: Handler, call: Call) -> Handler:
    decode = _decoder(call.method, handler.request_deserializer)
    encode = handler.response_serializer
    if handler.unary_unary:
        # decoded and encoded in the wrapper: grpc itself answers a malformed request with UNKNOWN
        unary = _unary(handler.unary_unary, call, decode, encode)
        return grpc.unary_unary_rpc_method_handler(traced_answers(call.method, unary))
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(_stream(handler.unary_stream, call, decode), None, encode)
    if handler.stream_unary:
        counted = _unary(handler.stream_unary, call, _as_it_is, _as_it_is)
        return grpc.stream_unary_rpc_method_handler(counted, decode, encode)
    return grpc.stream_stream_rpc_method_handler(
        _stream(handler.stream_stream, call, _as_it_is), decode, encode
    )


def _as_it_is(value: Any) -> Any:
    return value


def _decoder(method: str, deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    if deserialize is None:
        return _as_it_is

    def decode(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except Exception as error:
            message = f"the request of {method} is not the protobuf message it should be: {error}"
            raise Misuse(StatusCode.INVALID_ARGUMENT, message) from error

    return decode


def _unary(behaviour: Any, call: Call, decode: Callable[[Any], Any], encode: Any) -> Any:
    async def unary(raw: Any, context: Context) -> Any:
        started = time.perf_counter()
        try:
            request = decode(raw)
            # a deadline of the client's needs no timer here: grpc enforces it by cancelling this task
            if context.time_remaining() is None:
                response = await _within_default(behaviour(request, context), call)
            else:
                response = await behaviour(request, context)
            answer = encode(response)
        except (Exception, asyncio.CancelledError) as error:
            await call.failed(error, context, started)
            raise
        call.answered(context, started)
        return answer

    return unary


async def _within_default(work: Any, call: Call) -> Any:
    limit = call.policy.default_deadline
    try:
        async with asyncio.timeout(limit) as guard:
            return await work
    except TimeoutError as error:
        if not guard.expired():
            raise
        raise Misuse(
            StatusCode.DEADLINE_EXCEEDED, f"{call.method} had no answer within {limit:g} s"
        ) from error


def _stream(behaviour: Any, call: Call, decode: Callable[[Any], Any]) -> Any:
    # a coroutine that writes, not a generator: a timeout inside a generator would cancel grpc's code between two
    # items, in place of ours
    async def stream(raw: Any, context: Context) -> None:
        started = time.perf_counter()
        try:
            async with call.policy.stream():
                await _pump(behaviour(decode(raw), context), context)
        except (Exception, asyncio.CancelledError) as error:
            await call.failed(error, context, started)
            raise
        call.answered(context, started)

    return stream


async def _pump(replies: Any, context: Context) -> None:
    if isinstance(replies, AsyncGenerator):
        async with aclosing(replies):
            async for reply in replies:
                await context.write(reply)
    elif hasattr(replies, "__aiter__"):
        async for reply in replies:
            await context.write(reply)
    else:
        await replies  # a coroutine that calls context.write itself
