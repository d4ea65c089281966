"""Listeners of the NLB."""

from marchproxy.contract.convert.enums import BALANCE, MODULE_TYPES, PROTOCOLS
from marchproxy.contract.convert.faults import Faults, read_one
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import nlb_pb2
from marchproxy.model.listener import Listener
from marchproxy.model.module import Version
from marchproxy.model.route import VersionWeight


def listener_to_pb(listener: Listener, *, data_plane: str = "") -> nlb_pb2.Listener:
    """The message; `data_plane` names what forwards its bytes."""
    return nlb_pb2.Listener(
        name=listener.name,
        address=listener.address,
        protocol=PROTOCOLS.to_pb(listener.protocol),
        module_type=MODULE_TYPES.to_pb(listener.module_type),
        balance=BALANCE.to_pb(listener.balance),
        version_weights={item.version: item.weight for item in listener.version_weights},
        data_plane=data_plane,
        idle_timeout=seconds_to_pb(listener.idle_timeout),
    )


def listener_from_pb(pb: nlb_pb2.Listener, path: str = "listener") -> Listener:
    """The listener, its version weights in the order of the versions. Raises InvalidValue with every problem."""
    return read_one(pb, path, read_listener)


def read_listener(pb: nlb_pb2.Listener, path: str, faults: Faults) -> Listener:
    """The listener as far as it can be read; what is left out has the model's default.

    `data_plane` tells what is, not what is wished for, so it is not read.
    """
    host, _, port = pb.address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and len(port) <= 5):
        faults.add(f"{path}.address", f'"{pb.address}" is not host:port')
        port = "0"
    default = Listener(name=pb.name, host=host.removeprefix("[").removesuffix("]"), port=int(port))
    return Listener(
        name=default.name,
        host=default.host,
        port=default.port,
        protocol=PROTOCOLS.read(pb.protocol, f"{path}.protocol", faults) or default.protocol,
        module_type=MODULE_TYPES.read(pb.module_type, f"{path}.module_type", faults) or default.module_type,
        balance=BALANCE.read(pb.balance, f"{path}.balance", faults) or default.balance,
        version_weights=tuple(
            VersionWeight(Version(version), weight) for version, weight in sorted(pb.version_weights.items())
        ),
        idle_timeout=read_seconds(pb.idle_timeout, f"{path}.idle_timeout", faults)
        if pb.HasField("idle_timeout")
        else default.idle_timeout,
    )
