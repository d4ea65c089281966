"""Filters: what stands before the proxy in a filter chain: connection and rate limits.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/listeners/network_filters/local_rate_limit_filter
"""

from collections.abc import Iterator

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.type.v3 import token_bucket_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.nlb.dataplane.resources.chains import Bucket, Chain
from marchproxy.nlb.dataplane.resources.naming import bucket_name

CONNECTION_LIMIT = "connection_limit"
RATE_LIMIT = "local_rate_limit"


def limit_filters(chain: Chain) -> Iterator[listener_components_pb2.Filter]:
    """First how many may be open, then how many new ones: a connection that finds no room takes no token."""
    if chain.listener.max_connections:
        config = connection_limit_pb2.ConnectionLimit(
            stat_prefix=chain.name,
            max_connections=wrappers_pb2.UInt64Value(value=chain.listener.max_connections),
        )
        yield network_filter("connection_limit", config)
    for bucket in chain.buckets:
        yield network_filter("local_ratelimit", _rate_limit(chain, bucket))


def rate_limit_stat(chain: Chain, bucket: Bucket) -> str:
    """The counter of connections that a bucket of a chain had no token for."""
    return f"{RATE_LIMIT}.{_prefix(chain, bucket)}.rate_limited"


def connection_limit_stat(chain: Chain) -> str:
    """The counter of connections that were one too many."""
    return f"{CONNECTION_LIMIT}.{chain.name}.limited_connections"


def network_filter(name: str, config: Message) -> listener_components_pb2.Filter:
    """A filter of a filter chain, by the last word of its name."""
    return listener_components_pb2.Filter(name=f"envoy.filters.network.{name}", typed_config=pack(config))


def _rate_limit(chain: Chain, bucket: Bucket) -> local_rate_limit_pb2.LocalRateLimit:
    # The key is what lets a bucket outlive the chain: one that is replaced hands it over, tokens and all.
    return local_rate_limit_pb2.LocalRateLimit(
        stat_prefix=_prefix(chain, bucket),
        token_bucket=token_bucket_pb2.TokenBucket(
            max_tokens=bucket.size,
            tokens_per_fill=wrappers_pb2.UInt32Value(value=bucket.rate),
            fill_interval=duration(bucket.seconds),
        ),
        share_key=bucket_name(bucket.limit, bucket.unit),
    )


def _prefix(chain: Chain, bucket: Bucket) -> str:
    return f"{chain.name}/{bucket.limit}/{bucket.unit}"
