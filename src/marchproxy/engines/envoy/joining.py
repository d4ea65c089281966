"""Joining: a route configuration out of the bytes of its parts, so that a change of one route serialises one route.

In protobuf's wire format the elements of a repeated field stand one after the other, each with its length, and fields may
come in any order: bytes of parts laid end to end are the bytes of the whole.
https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterable

from envoy.config.route.v3 import route_components_pb2, route_pb2
from google.protobuf.message import Message

_VIRTUAL_HOSTS = route_pb2.RouteConfiguration.DESCRIPTOR.fields_by_name["virtual_hosts"].number
_LENGTH_DELIMITED = 2


def routes_field(routes: Iterable[route_components_pb2.Route]) -> bytes:
    """These routes as they stand in the bytes of a virtual host. Equal messages give equal bytes."""
    return _bytes_of(route_components_pb2.VirtualHost(routes=routes))


def virtual_host_field(rest: route_components_pb2.VirtualHost, routes: Iterable[bytes]) -> bytes:
    """A virtual host as it stands in the bytes of a route configuration: `rest` with `routes` out of `routes_field`."""
    return _field(_VIRTUAL_HOSTS, b"".join((_bytes_of(rest), *routes)))


def route_configuration(rest: route_pb2.RouteConfiguration, virtual_hosts: Iterable[bytes]) -> bytes:
    """The bytes of a whole one: `rest` with `virtual_hosts` out of `virtual_host_field`."""
    return b"".join((_bytes_of(rest), *virtual_hosts))


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _field(number: int, content: bytes) -> bytes:
    return b"".join((_varint(number << 3 | _LENGTH_DELIMITED), _varint(len(content)), content))


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
