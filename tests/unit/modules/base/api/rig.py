"""ModuleService over real gRPC, around an engine double."""

from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from marchproxy.contract.pb import module_pb2
from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.base.api import Parts
from marchproxy.modules.base.core import ModuleCore
from marchproxy.modules.base.running import Running
from tests.unit.modules.doubles import EngineDouble

#: Every RPC of the service with the type of its request, so that a table over all of them cannot miss one.
METHODS: dict[str, Any] = {
    method.name: getattr(module_pb2, method.input_type.name)
    for method in module_pb2.DESCRIPTOR.services_by_name["ModuleService"].methods
}


@dataclass
class Rig:
    """One module: its stub, what is behind it, and what was reloaded."""

    stub: Any
    engine: EngineDouble
    parts: Parts
    clock: VirtualClock
    reloads: list[str] = field(default_factory=list)

    @property
    def core(self) -> ModuleCore:
        return self.parts.core

    def untouched(self) -> "Unchanged":
        """A block in which nothing may change."""
        return Unchanged(self)


class Unchanged:
    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._before: Running = rig.core.running
        self._applied = len(rig.engine.applied)

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        assert self._rig.core.running == self._before
        assert len(self._rig.engine.applied) == self._applied


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    """The gRPC status and message of a call that is misuse."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details() or ""
