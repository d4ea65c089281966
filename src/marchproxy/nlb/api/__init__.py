"""NLBService: the 21 RPCs of the router, and ModuleService's four about versions. Thin: messages in, decisions, messages out."""

from marchproxy.contract.pb import nlb_pb2_grpc
from marchproxy.nlb.api.config import ConfigApi
from marchproxy.nlb.api.desk import Desk
from marchproxy.nlb.api.load import LoadApi
from marchproxy.nlb.api.measuring import MeasuringApi
from marchproxy.nlb.api.registration import RegistrationApi
from marchproxy.nlb.api.routing import RoutingApi
from marchproxy.nlb.api.status import StatusApi
from marchproxy.nlb.api.versions import VersionsApi

__all__ = ["Desk", "NlbApi", "VersionsApi"]


class NlbApi(
    RegistrationApi,
    RoutingApi,
    MeasuringApi,
    StatusApi,
    ConfigApi,
    LoadApi,
    nlb_pb2_grpc.NLBServiceServicer,
):
    """The servicer of one NLB."""

    def __init__(self, desk: Desk) -> None:
        for room in (RegistrationApi, RoutingApi, MeasuringApi, StatusApi, ConfigApi, LoadApi):
            room.__init__(self, desk)
