"""Listeners of the NLB."""

from marchproxy.contract.convert.enums import BALANCE, MODULE_TYPES, PROTOCOLS
from marchproxy.contract.convert.faults import Faults, read_one
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import nlb_pb2
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.module import Version
from marchproxy.model.route import VersionWeight
from marchproxy.model.sharing import Sharing


def listener_to_pb(
    listener: Listener, *, data_plane: str = "", sharing: Sharing | None = None
) -> nlb_pb2.Listener:
    """The message; `data_plane` names what forwards its bytes, `sharing` is that of its address."""
    return nlb_pb2.Listener(
        name=listener.name,
        address=listener.address,
        protocol=PROTOCOLS.to_pb(listener.protocol),
        module_type=MODULE_TYPES.to_pb(listener.module_type),
        balance=BALANCE.to_pb(listener.balance),
        version_weights={item.version: item.weight for item in listener.version_weights},
        data_plane=data_plane,
        idle_timeout=seconds_to_pb(listener.idle_timeout),
        wanted_data_plane=listener.data_plane.value,
        server_names=listener.server_names,
        alpn=listener.alpn,
        tls=None if listener.tls is None else _tls_to_pb(listener.tls),
        allow=listener.allow,
        deny=listener.deny,
        max_connections=listener.max_connections,
        max_connections_per_source=listener.max_connections_per_source,
        proxy_protocol=listener.proxy_protocol,
        trusted_proxies=listener.trusted_proxies,
        sharing="" if sharing is None else sharing.value,
    )


def listener_from_pb(pb: nlb_pb2.Listener, path: str = "listener") -> Listener:
    """The listener, its version weights in the order of the versions. Raises InvalidValue with every problem."""
    return read_one(pb, path, read_listener)


def read_listener(pb: nlb_pb2.Listener, path: str, faults: Faults) -> Listener:
    """The listener as far as it can be read; what is left out has the model's default.

    `data_plane` and `sharing` tell what is, not what is wished for, so they are not read.
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
        data_plane=_read_plane(pb.wanted_data_plane, f"{path}.wanted_data_plane", faults),
        server_names=tuple(pb.server_names),
        alpn=tuple(pb.alpn),
        tls=_read_tls(pb.tls) if pb.HasField("tls") else None,
        allow=tuple(pb.allow),
        deny=tuple(pb.deny),
        max_connections=pb.max_connections,
        max_connections_per_source=pb.max_connections_per_source,
        proxy_protocol=pb.proxy_protocol,
        trusted_proxies=tuple(pb.trusted_proxies),
    )


def _read_plane(word: str, path: str, faults: Faults) -> DataPlaneKind:
    try:
        return DataPlaneKind(word or DataPlaneKind.AUTO.value)
    except ValueError:
        known = ", ".join(kind.value for kind in DataPlaneKind)
        faults.add(path, f'unknown data plane "{word}"; known: {known}')
        return DataPlaneKind.AUTO


def _tls_to_pb(tls: TlsTermination) -> nlb_pb2.TlsTermination:
    return nlb_pb2.TlsTermination(
        certificate=tls.certificate, key=tls.key, client_ca=tls.client_ca, alpn=tls.alpn
    )


def _read_tls(pb: nlb_pb2.TlsTermination) -> TlsTermination:
    return TlsTermination(pb.certificate, pb.key, pb.client_ca, tuple(pb.alpn))
