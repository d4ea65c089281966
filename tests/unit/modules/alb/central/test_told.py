"""What an ALB does by itself though somebody else programs its Envoy."""

from typing import Any

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2

from marchproxy.contract.document import decode
from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.alb.central.told import Told
from marchproxy.modules.alb.central.watch import CentralWatch
from marchproxy.modules.base.engine import Isolate


def told_in(folder) -> Told:
    nobody: Any = None
    return Told(folder / "fleet.pb", CentralWatch(nobody, "m:1", clock=VirtualClock()))


def members(folder) -> int:
    (found,) = discovery_pb2.DiscoveryResponse.FromString((folder / "fleet.pb").read_bytes()).resources
    (locality,) = endpoint_pb2.ClusterLoadAssignment.FromString(found.value).endpoints
    return len(locality.lb_endpoints)


def test_limits_are_divided_by_a_file(tmp_path):
    told = told_in(tmp_path)
    assert (told.instances, members(tmp_path)) == (1, 1)
    told.divide(3)
    assert (told.instances, members(tmp_path)) == (3, 3)
    told.divide(0)
    assert told.instances == 1
    told.divide(3)
    told_in(tmp_path)
    assert members(tmp_path) == 3  # an Envoy that was adopted goes on with what it knew


async def test_a_state_is_taken_note_of_but_not_what_needs_files_of_this_machine(tmp_path):
    told = told_in(tmp_path)
    document = """
authentication: [{name: staff, kind: basic, file: /etc/users}]
pools: [{name: p}]
routes: [{id: open, backends: [p]}, {id: closed, path: /closed, backends: [p], authentication: [staff]}]
"""
    state = decode(document.encode())
    assert [problem.path for problem in told.faults(state)] == ["routes[1].authentication"]
    assert await told.rehearse(state, Isolate.NOTHING) == ()
    assert await told.apply(state, Isolate.NOTHING) == ()
