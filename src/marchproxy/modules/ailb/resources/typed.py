"""Typed: configurations of Envoy that our generated messages lag behind, and filters that routes turn on.

A TypedStruct holds what JSON would; Envoy reads it as the message that it names.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/overview/extension
"""

from collections.abc import Mapping
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import any_pb2
from google.protobuf.message import Message
from xds.type.v3 import typed_struct_pb2

from marchproxy.engines.envoy.messages import pack

_PREFIX = "type.googleapis.com/envoy.extensions."


def typed(name: str, fields: Mapping[str, Any]) -> any_pb2.Any:
    """The message `envoy.extensions.NAME` with these fields, named as in its proto file."""
    struct = typed_struct_pb2.TypedStruct(type_url=_PREFIX + name)
    struct.value.update(fields)
    return pack(struct)


def off(name: str, config: Message | any_pb2.Any) -> Any:
    """An HttpFilter that only the routes have that turn it on."""
    packed = config if isinstance(config, any_pb2.Any) else pack(config)
    return hcm_pb2.HttpFilter(name=name, typed_config=packed, disabled=True)


def on(name: str, config: Message | any_pb2.Any) -> Any:
    """An HttpFilter."""
    packed = config if isinstance(config, any_pb2.Any) else pack(config)
    return hcm_pb2.HttpFilter(name=name, typed_config=packed)


def turned_on() -> any_pb2.Any:
    """What a route says of a filter that is off and has nothing to say of this route."""
    return pack(route_pb2.FilterConfig(config=any_pb2.Any()))


def turned_off() -> any_pb2.Any:
    """What a route says of a filter that others have and it does not."""
    return pack(route_pb2.FilterConfig(disabled=True))
