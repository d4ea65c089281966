"""Protobuf messages to model values and back. Reading reports every problem; soundness is the model's to check."""

from marchproxy.contract.convert.choice import choice_to_pb
from marchproxy.contract.convert.enums import BALANCE, HEALTH, MODULE_TYPES, PATH_KINDS, PROTOCOLS, EnumCodec
from marchproxy.contract.convert.instance import (
    instance_from_pb,
    instance_to_pb,
    verdict_from_pb,
    verdict_to_pb,
)
from marchproxy.contract.convert.limit import limit_from_pb, limit_to_pb, limits_from_pb
from marchproxy.contract.convert.listener import listener_from_pb, listener_to_pb
from marchproxy.contract.convert.live_stream import stream_to_pb
from marchproxy.contract.convert.metrics import points_from_pb, points_to_pb
from marchproxy.contract.convert.pool import (
    health_check_from_pb,
    health_check_to_pb,
    pool_from_pb,
    pool_to_pb,
    pools_from_pb,
)
from marchproxy.contract.convert.query import page_to_pb, query_from_pb, query_to_pb
from marchproxy.contract.convert.rollout import (
    blue_green_to_pb,
    rollout_from_pb,
    rollout_limits_from_pb,
    rollout_to_pb,
)
from marchproxy.contract.convert.route import route_from_pb, route_to_pb, routes_from_pb
from marchproxy.contract.convert.scaling import scaling_from_pb, scaling_to_pb
from marchproxy.contract.convert.times import moment_to_pb, seconds_to_pb, unix_from_pb, unix_to_pb

__all__ = [
    "BALANCE",
    "HEALTH",
    "MODULE_TYPES",
    "PATH_KINDS",
    "PROTOCOLS",
    "EnumCodec",
    "blue_green_to_pb",
    "choice_to_pb",
    "health_check_from_pb",
    "health_check_to_pb",
    "instance_from_pb",
    "instance_to_pb",
    "limit_from_pb",
    "limit_to_pb",
    "limits_from_pb",
    "listener_from_pb",
    "listener_to_pb",
    "moment_to_pb",
    "page_to_pb",
    "points_from_pb",
    "points_to_pb",
    "pool_from_pb",
    "pool_to_pb",
    "pools_from_pb",
    "query_from_pb",
    "query_to_pb",
    "rollout_from_pb",
    "rollout_limits_from_pb",
    "rollout_to_pb",
    "route_from_pb",
    "route_to_pb",
    "routes_from_pb",
    "scaling_from_pb",
    "scaling_to_pb",
    "seconds_to_pb",
    "stream_to_pb",
    "unix_from_pb",
    "unix_to_pb",
    "verdict_from_pb",
    "verdict_to_pb",
]
