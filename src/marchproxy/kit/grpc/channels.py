"""Channels to other processes: one per address, guarded by a circuit breaker, with retries inside the deadline."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from grpc import StatusCode

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.breaker import Breaker, BreakerLimits, BreakerState, admit, failed, succeeded
from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc.tls import ChannelTls, channel_credentials
from marchproxy.kit.grpc.tracing import traced_calls
from marchproxy.kit.logs import get_logger

S = TypeVar("S")
R = TypeVar("R")

_BACKOFF = Backoff()
_BREAKER_LIMITS = BreakerLimits()
_log = get_logger(__name__)
# the peer did not answer; with any other code it did, so the path to it works
_NO_ANSWER = {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}


class CircuitOpen(Exception):
    """The peer failed repeatedly and is left alone for a moment; nothing was sent."""

    def __init__(self, address: str, failures: int) -> None:
        self.address = address
        super().__init__(
            f"{address} failed {failures} times in a row; not called until it has had time to recover"
        )


class ChannelLimit(Exception):
    """The pool holds as many channels as it may."""


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """Limits of a pool, times in seconds.

    keepalive, keepalive_timeout: a server must allow pings that often.
    longest_reconnect: between two attempts to reach a peer that is away; it may be back for as long before it is seen.
    """

    max_channels: int = 256
    max_message_bytes: int = 16 * 1024 * 1024
    keepalive: float = 20.0
    keepalive_timeout: float = 10.0
    longest_reconnect: float = 2.0


@dataclass(slots=True)
class _Peer:
    channel: grpc.aio.Channel
    stubs: dict[Any, Any] = field(default_factory=dict)
    breaker: Breaker = field(default_factory=Breaker)


class ChannelPool:
    """Channels by address (`host:port` or `unix:/path`), made on first use and kept until `forget` or `close`."""

    def __init__(
        self,
        *,
        clock: Clock,
        backoff: Backoff = _BACKOFF,
        breaker_limits: BreakerLimits = _BREAKER_LIMITS,
        tls: ChannelTls | None = None,
        options: ChannelOptions = ChannelOptions(),
    ) -> None:
        """Read the TLS files, if any. Raises SettingsError, which names them as `tls.ca`, `tls.cert`, `tls.key`."""
        self._clock = clock
        self._backoff = backoff
        self._limits = breaker_limits
        self._options = options
        self._credentials = channel_credentials(tls, "tls") if tls else None
        self._peers: dict[str, _Peer] = {}

    def get(self, address: str) -> grpc.aio.Channel:
        """Return the channel to an address, for streams and other use of one's own. Raises ChannelLimit."""
        return self._peer(address).channel

    async def call(
        self,
        address: str,
        stub: Callable[[grpc.aio.Channel], S],
        invoke: Callable[[S, float], Awaitable[R]],
        *,
        timeout: float,
        idempotent: bool = False,
    ) -> R:
        """Call `invoke(stub, seconds left)`: `pool.call(a, HealthStub, lambda s, t: s.Check(request, timeout=t), …)`.

        An idempotent call is tried again when the peer is UNAVAILABLE, with backoff, as long as `timeout` (seconds,
        for all attempts together) lasts. Raises grpc.aio.AioRpcError, CircuitOpen, ChannelLimit.
        """
        deadline = self._clock.monotonic() + timeout
        attempt = 0
        while True:
            try:
                return await self._attempt(address, stub, invoke, deadline)
            except grpc.aio.AioRpcError as error:
                pause = self._backoff.delay(attempt, random.random())  # noqa: S311 - spreads load, guards nothing
                too_late = self._clock.monotonic() + pause >= deadline
                if not idempotent or error.code() is not StatusCode.UNAVAILABLE or too_late:
                    raise
            attempt += 1
            await self._clock.sleep(pause)

    async def forget(self, address: str) -> None:
        """Close the channel to an address, if there is one; calls on it are cancelled."""
        if (peer := self._peers.pop(address, None)) is not None:
            await peer.channel.close()

    async def close(self) -> None:
        """Close every channel; calls on them are cancelled."""
        while self._peers:
            _, peer = self._peers.popitem()
            await peer.channel.close()

    async def _attempt(
        self,
        address: str,
        stub: Callable[[grpc.aio.Channel], S],
        invoke: Callable[[S, float], Awaitable[R]],
        deadline: float,
    ) -> R:
        peer = self._peer(address)
        now = self._clock.monotonic()
        peer.breaker, admitted = admit(peer.breaker, now, self._limits)
        if not admitted:
            raise CircuitOpen(address, peer.breaker.failures)
        if stub not in peer.stubs:
            peer.stubs[stub] = stub(peer.channel)
        try:
            answer = await invoke(peer.stubs[stub], max(deadline - now, 0.0))
        except grpc.aio.AioRpcError as error:
            self._note(address, peer, answered=error.code() not in _NO_ANSWER)
            raise
        self._note(address, peer, answered=True)
        return answer

    def _note(self, address: str, peer: _Peer, *, answered: bool) -> None:
        before = peer.breaker
        peer.breaker = (
            succeeded(before) if answered else failed(before, self._clock.monotonic(), self._limits)
        )
        closed = peer.breaker.state is BreakerState.CLOSED
        if closed is not (before.state is BreakerState.CLOSED):  # a probe that failed is no news
            log = _log.info if closed else _log.warning
            log("circuit breaker changed", address=address, state=peer.breaker.state.value)

    def _peer(self, address: str) -> _Peer:
        if (peer := self._peers.get(address)) is not None:
            return peer
        if len(self._peers) >= self._options.max_channels:
            raise ChannelLimit(f"no channel to {address}: all {self._options.max_channels} are taken")
        arguments = _channel_arguments(self._options)
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(address, options=arguments, interceptors=traced_calls())
        else:
            channel = grpc.aio.secure_channel(
                address, self._credentials, options=arguments, interceptors=traced_calls()
            )
        peer = self._peers[address] = _Peer(channel)
        return peer


def _channel_arguments(options: ChannelOptions) -> list[tuple[str, int]]:
    # names: github.com/grpc/grpc include/grpc/impl/channel_arg_names.h
    return [
        (
            "grpc.use_local_subchannel_pool",
            1,
        ),  # else a forgotten channel's connection and its backoff live on
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.keepalive_time_ms", int(options.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(options.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # the defaults (1 s growing to 120 s) would keep a peer that is back unreachable for minutes
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", max(100, int(options.longest_reconnect * 1000))),
    ]
