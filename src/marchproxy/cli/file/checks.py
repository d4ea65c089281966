"""Checks of the file as a whole, beyond those of the desired state: names and ports that its parts share."""

from collections.abc import Iterator
from dataclasses import dataclass

from marchproxy.cli.file.schema import FileDocument, addresses_of
from marchproxy.cli.xds.settings import PlaneSettings
from marchproxy.kit.settings import HostPort, KeyPath, Located, Problem, dotted
from marchproxy.model.module import Protocol
from marchproxy.modules.http.settings import HttpSettings

_ANY_HOST = {"0.0.0.0", "::"}
_OVER_UDP = {Protocol.UDP, Protocol.HTTP3}


@dataclass(frozen=True, slots=True)
class _Port:
    """An address that a part of the file listens on."""

    path: KeyPath
    address: HostPort
    udp: bool = False

    def clashes_with(self, other: "_Port") -> bool:
        if not self.address.port or self.address.port != other.address.port or self.udp != other.udp:
            return False
        hosts = {_canonical(self.address.host), _canonical(other.address.host)}
        return len(hosts) == 1 or bool(hosts & _ANY_HOST)


def errors(document: FileDocument, located: Located) -> Iterator[Problem]:
    """What makes the file unusable, each at its line."""
    yield from _duplicate_ids(document, located)
    yield from _shared_ports(document, located)
    yield from _unknown_names(document, located)


def warnings(document: FileDocument, located: Located) -> Iterator[Problem]:
    """What is allowed, but hardly meant."""
    if document.listeners and document.nlb is None and document.xds is None:
        yield located.problem(("listeners",), "nothing opens these ports: the file has no section `nlb`")
    if document.manager is not None and not document.manager.nlbs and document.nlb is None:
        message = "manages nobody: the file has no section `nlb`, and `nlbs` names none"
        yield located.problem(("manager", "nlbs"), message)
    types: set[str] = {module.type for module in document.modules}
    for index, listener in enumerate(document.listeners):
        kind = listener.module.value
        if document.nlb is not None and kind not in types:
            message = (
                f'no {kind} among `modules`: listener "{listener.name}" serves nothing until one registers'
            )
            yield located.problem(("listeners", index, "module"), message)


def _duplicate_ids(document: FileDocument, located: Located) -> Iterator[Problem]:
    first: dict[str, KeyPath] = {}
    owners: list[tuple[KeyPath, str]] = []
    owners += [] if document.nlb is None else [(("nlb", "id"), document.nlb.id)]
    owners += [] if document.manager is None else [(("manager", "id"), document.manager.id)]
    for path, name in [*owners, *((("modules", n, "id"), m.id) for n, m in enumerate(document.modules))]:
        if name in first:
            yield located.problem(path, f'"{name}" is already the id of {_place(first[name], located)}')
        first.setdefault(name, path)


def _shared_ports(document: FileDocument, located: Located) -> Iterator[Problem]:
    seen: list[_Port] = []
    for port in _ports(document):
        taken = next((other for other in seen if port.clashes_with(other)), None)
        if taken is not None and not _both_listeners(port, taken):
            place = _place(taken.path, located)
            yield located.problem(port.path, f"{port.address} is already taken by {place}")
        seen.append(port)


def _unknown_names(document: FileDocument, located: Located) -> Iterator[Problem]:
    known = {
        "listeners": [listener.name for listener in document.listeners],
        "routes": [route.id for route in document.routes],
    }
    for index, node in enumerate(document.xds.nodes if document.xds else ()):
        for key, names in (("listeners", node.listeners), ("routes", node.routes)):
            for number, name in enumerate(names or ()):
                if name not in known[key]:
                    message = f'no {key[:-1]} "{name}"; known: {", ".join(known[key]) or "none"}'
                    yield located.problem(("xds", "nodes", index, key, number), message)


def _both_listeners(one: _Port, other: _Port) -> bool:
    """Two listeners with one and the same address: the model's checks tell that."""
    same = one.address.host == other.address.host
    return same and one.path[0] == other.path[0] == "listeners"


def _ports(document: FileDocument) -> Iterator[_Port]:
    if (nlb := document.nlb) is not None:
        yield _Port(("nlb", "grpc"), nlb.grpc)
        yield _Port(("nlb", "metrics"), nlb.metrics)
        yield _Port(("nlb", "envoy", "admin"), nlb.envoy.admin)
    if (xds := document.xds) is not None:
        yield from _xds_ports(("xds",), xds)
        yield _Port(("xds", "metrics"), xds.metrics)
    if (manager := document.manager) is not None:
        yield _Port(("manager", "http"), manager.http)
        yield _Port(("manager", "metrics"), manager.metrics)
        if manager.xds is not None:
            yield from _xds_ports(("manager", "xds"), manager.xds)
    for index, module in enumerate(document.modules):
        for name, address in addresses_of(module).items():
            yield _Port(("modules", index, name), address)
        if not isinstance(module, HttpSettings):
            continue
        yield _Port(("modules", index, "envoy", "admin"), module.envoy.admin)
        if module.http3 and module.tls_traffic is not None:
            yield _Port(("modules", index, "tls_traffic"), module.tls_traffic, udp=True)
    for index, listener in enumerate(document.listeners):
        yield _Port(("listeners", index, "address"), listener.address, listener.protocol in _OVER_UDP)


def _xds_ports(path: KeyPath, xds: PlaneSettings) -> Iterator[_Port]:
    yield _Port((*path, "grpc"), xds.grpc)
    if xds.status is not None:
        yield _Port((*path, "status"), xds.status)


def _place(path: KeyPath, located: Located) -> str:
    line = located.problem(path, "").line
    if line is None:
        return dotted(path)
    return f"{dotted(path)} (line {line}{'' if path in located.lines else ', by default'})"


def _canonical(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host
