"""ModuleService: the 25 RPCs that every module answers. Thin: messages in, the core's decisions, messages out."""

from marchproxy.contract.pb import module_pb2_grpc
from marchproxy.modules.base.api.config import ConfigApi
from marchproxy.modules.base.api.lifecycle import LifecycleApi
from marchproxy.modules.base.api.limits import LimitsApi
from marchproxy.modules.base.api.observing import ObservingApi
from marchproxy.modules.base.api.parts import Control, Parts
from marchproxy.modules.base.api.routing import RoutingApi
from marchproxy.modules.base.api.scaling import ScalingApi
from marchproxy.modules.base.api.versions import VersionsApi

__all__ = ["Control", "ModuleApi", "Parts"]


class ModuleApi(
    LifecycleApi,
    RoutingApi,
    LimitsApi,
    ScalingApi,
    VersionsApi,
    ObservingApi,
    ConfigApi,
    module_pb2_grpc.ModuleServiceServicer,
):
    """The servicer of one module."""
