"""Desk: what every part of the API works with, and how refusals become answers."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from marchproxy.contract.convert.enums import MODULE_TYPES
from marchproxy.contract.convert.times import moment_to_pb
from marchproxy.contract.errors import error_to_pb, refusal_of
from marchproxy.contract.pb import types_pb2
from marchproxy.kit.grpc.status import invalid, not_found
from marchproxy.model.module import InstanceId, ModuleType
from marchproxy.model.problem import InvalidValue, Refused
from marchproxy.nlb.dataplane.plane import DataPlane
from marchproxy.nlb.service.asker import Modules
from marchproxy.nlb.service.autoscaler import Autoscaler
from marchproxy.nlb.service.core import Core
from marchproxy.nlb.service.failings import Failings
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.leaving import Doorkeeper
from marchproxy.nlb.service.observer import Observer
from marchproxy.nlb.service.rollouts import Rollouts
from marchproxy.nlb.settings import NlbSettings
from marchproxy.nlb.state.member import Member


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of a running NLB."""

    settings: NlbSettings
    core: Core
    plane: DataPlane
    modules: Modules
    observer: Observer
    doorkeeper: Doorkeeper
    autoscaler: Autoscaler
    rollouts: Rollouts
    gauges: NlbGauges
    started_at: datetime
    failings: Failings = field(default_factory=Failings)

    def now(self) -> Timestamp:
        """The time as the contract writes it."""
        return moment_to_pb(self.core.now().wall)

    def refusal(self, failure: Refused | InvalidValue) -> dict[str, Any]:
        """The fields `message` and `error` of an answer that says no."""
        return {
            "message": refusal_of(failure).message,
            "error": error_to_pb(failure, self.core.now().wall),
        }

    def member(self, instance_id: str) -> Member:
        """A member. Raises Misuse NOT_FOUND (a real gRPC status) for an unknown id."""
        member = self.core.member(InstanceId(instance_id))
        if member is None:
            known = ", ".join(sorted(self.core.world.registry.members)[:8]) or "none"
            raise not_found(f'no instance "{instance_id}" is registered; registered: {known}')
        return member

    def source(self, instance_id: str) -> str:
        """The source of routes: a registered instance, or an operator (empty). Raises Misuse NOT_FOUND."""
        return self.member(instance_id).instance.instance_id if instance_id else ""


def module_type(value: types_pb2.ModuleType.ValueType, path: str) -> ModuleType | None:
    """The type a request names; None when it names none. Raises Misuse INVALID_ARGUMENT."""
    try:
        return MODULE_TYPES.from_pb(value, path)
    except InvalidValue as error:
        raise invalid(str(error)) from error
