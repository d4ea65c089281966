"""Filters: what stands before the proxy in a filter chain: rate limits. How many may be open is `runtime`'s.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/listeners/network_filters/local_rate_limit_filter
"""

from collections.abc import Iterator

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.type.v3 import token_bucket_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.nlb.dataplane.resources.chains import Bucket, Chain
from marchproxy.nlb.dataplane.resources.naming import bucket_name

RATE_LIMIT = "local_rate_limit"


def limit_filters(chain: Chain) -> Iterator[listener_components_pb2.Filter]:
    """The rates that hold for new connections, in the chain's order."""
    for bucket in chain.buckets:
        yield network_filter("local_ratelimit", _rate_limit(chain, bucket))


def rate_limit_stat(chain: Chain, bucket: Bucket) -> str:
    """The counter of connections that a bucket of a chain had no token for."""
    return f"{RATE_LIMIT}.{_prefix(chain, bucket)}.rate_limited"


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
