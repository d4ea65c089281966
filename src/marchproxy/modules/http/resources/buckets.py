"""Buckets: the rates of a limit as Envoy's token buckets, and the descriptors by which a request finds those that count it.

A bucket has the name of what it counts and of its unit, such as `client hour`, and the target of its limit.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.type.metadata.v3 import metadata_pb2
from envoy.type.v3 import token_bucket_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration
from marchproxy.model.limit import EVERYTHING, LimitScope, RateLimit

#: Where the metadata of a route says which buckets count its requests: the target of its limits by the name of each.
METADATA = "marchproxy.limits"
_MOST = 2**32 - 1
_Action = route_pb2.RateLimit.Action
_Entry = ratelimit_pb2.RateLimitDescriptor.Entry
#: The question that a filter asks of each request, and the entries with which it is answered; an empty value is any.
Way = tuple[Any, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Count:
    """One of a limit's rates: `tokens` in each `seconds`."""

    limit: RateLimit
    unit: str
    seconds: int
    tokens: int

    @property
    def key(self) -> str:
        """The name of its buckets."""
        return f"{self.limit.per.lower()} {self.unit}".strip()

    @property
    def size(self) -> int:
        """How many requests may come at once."""
        return self.limit.burst if self.seconds == 1 and self.limit.burst else self.tokens

    def bucket(self, least: int = 1) -> Any:
        """Where Envoy divides by instances, a request costs as many tokens as there are: so large must each bucket be."""
        return _bucket(max(self.size, least), self.tokens, self.seconds)

    def ways(self) -> Iterator[Way]:
        """How requests come to the buckets: all to one, or each client or each value of a header to its own."""
        kind, _, header = self.limit.per.partition(":")
        target = _Entry(key=self.key, value=self.limit.target)
        if not kind:
            yield self._asking(), [target]
        elif kind == "client":
            address = _Action(remote_address=_Action.RemoteAddress())
            yield self._asking(address), [target, _Entry(key="remote_address")]
        else:
            name = header.lower()
            value = _Action.RequestHeaders(header_name=name, descriptor_key="value")
            yield self._asking(_Action(request_headers=value)), [target, _Entry(key="value")]
            # who leaves the header out shares one bucket with all who do, so that this is no way around
            yield self._asking(_without(name)), [target, _Entry(key="none", value="-")]

    def _asking(self, *actions: Any) -> Any:
        return route_pb2.RateLimit(actions=[self._target(), *actions])

    def _target(self) -> Any:
        if self.limit.scope is LimitScope.EVERYTHING:
            return _Action(
                generic_key=_Action.GenericKey(descriptor_key=self.key, descriptor_value=EVERYTHING)
            )
        path = metadata_pb2.MetadataKey.PathSegment(key=self.key)
        return _Action(
            metadata=_Action.MetaData(
                descriptor_key=self.key,
                metadata_key=metadata_pb2.MetadataKey(key=METADATA, path=[path]),
                source=_Action.MetaData.ROUTE_ENTRY,
            )
        )


def counting(limit: RateLimit) -> Iterator[Count]:
    """The rates of a limit, all of which hold."""
    rates = (
        ("second", 1, limit.per_second),
        ("minute", 60, limit.per_minute),
        ("hour", 3600, limit.per_hour),
    )
    return (Count(limit, unit, seconds, tokens) for unit, seconds, tokens in rates if tokens)


def retry_seconds(limits: Iterable[RateLimit]) -> int:
    """After how many whole seconds one more request fits, whichever of the rates refused it."""
    return max(-(-count.seconds // count.tokens) for limit in limits for count in counting(limit))


def _without(header: str) -> Any:
    return _Action(
        header_value_match=_Action.HeaderValueMatch(
            descriptor_key="none",
            descriptor_value="-",
            expect_match=wrappers_pb2.BoolValue(value=False),
            headers=[route_pb2.HeaderMatcher(name=header, present_match=True)],
        )
    )


def _bucket(size: int, tokens: int, seconds: int) -> Any:
    return token_bucket_pb2.TokenBucket(
        max_tokens=size,
        tokens_per_fill=wrappers_pb2.UInt32Value(value=tokens),
        fill_interval=duration(seconds),
    )


ENDLESS = _bucket(_MOST, _MOST, 1)
