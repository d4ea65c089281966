"""Small messages that every Envoy resource is made of."""

import ipaddress

from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, substitution_format_string_pb2
from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message


def duration(seconds: float) -> Duration:
    """`seconds` as a Duration, to the microsecond."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=micros * 1000)


def pack(message: Message) -> any_pb2.Any:
    """`message` as a typed configuration; equal messages give equal bytes."""
    packed = any_pb2.Any()
    packed.Pack(message, deterministic=True)
    return packed


def socket_address(host: str, port: int) -> address_pb2.Address:
    """A TCP address; `host` is an IP address, or a name where Envoy resolves it."""
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=host, port_value=port))


def cidr(network: str) -> address_pb2.CidrRange:
    """A network, or an address alone; bits behind the prefix are dropped. ValueError: it is neither."""
    parsed = ipaddress.ip_network(network, strict=False)
    return address_pb2.CidrRange(
        address_prefix=str(parsed.network_address),
        prefix_len=wrappers_pb2.UInt32Value(value=parsed.prefixlen),
    )


def inline(text: str) -> substitution_format_string_pb2.SubstitutionFormatString:
    """A text with Envoy's %COMMANDS%."""
    return substitution_format_string_pb2.SubstitutionFormatString(
        text_format_source=base_pb2.DataSource(inline_string=text)
    )


def over_ads() -> config_source_pb2.ConfigSource:
    """Where a resource is taken from that our ADS server delivers."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version="V3"
    )
