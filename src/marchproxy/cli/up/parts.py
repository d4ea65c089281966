"""Parts: which processes a file asks for, and how each is started. Pure."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from marchproxy.cli.file import FileDocument
from marchproxy.cli.file.schema import ModuleEntry, dialled
from marchproxy.kit.settings import HostPort
from marchproxy.modules.alb.settings import AlbSettings

#: Variables that speak to a single service; `up` says the same with options.
_FOR_ONE_SERVICE = {"MODULE_ID", "NLB_ENDPOINTS", "ALB_ENDPOINTS"}
_GRACE = 15.0


@dataclass(frozen=True, slots=True)
class Part:
    """One process. `health` serves /readyz; `stop_seconds` is how long its clean stop may take; a manager has no `grpc`.

    `after_manager`: it can only be ready when the file's manager is.
    """

    name: str
    kind: str
    command: tuple[str, ...]
    health: HostPort
    grpc: HostPort | None
    log: Path
    stop_seconds: float
    after_manager: bool = False


@dataclass(frozen=True, slots=True)
class Folders:
    """Where `up` keeps things: the file as it is in force, logs, and the parts' own state."""

    state: Path

    @property
    def running_file(self) -> Path:
        """The file that the parts read: a copy, so that a bad edit harms nothing when a part starts again."""
        return self.state / "running.yaml"

    @property
    def lock(self) -> Path:
        """Held by the `up` that runs; says which process that is."""
        return self.state / "lock"

    @property
    def logs(self) -> Path:
        """One log per part."""
        return self.state / "logs"


def parts_of(
    document: FileDocument, folders: Folders, environ: Mapping[str, str] = MappingProxyType({})
) -> tuple[Part, ...]:
    """The processes, the NLB first and the manager last. Ports in `document` are real ones, not 0."""
    serves = document.manager is not None and document.manager.xds is not None
    base = (sys.executable, "-m", "marchproxy")
    config = ("--config", str(folders.running_file))
    parts = []
    if (nlb := document.nlb) is not None:
        parts.append(
            Part(
                name=nlb.id,
                kind="nlb",
                command=(*base, "nlb", *config),
                health=dialled(nlb.metrics),
                grpc=dialled(nlb.grpc),
                log=folders.logs / f"{nlb.id}.log",
                stop_seconds=nlb.drain_seconds + _GRACE,
            )
        )
    parts += [
        Part(
            name=module.id,
            kind=module.type,
            command=(*base, module.type, *config, "--id", module.id),
            health=dialled(module.health),
            grpc=dialled(module.grpc),
            log=folders.logs / f"{module.id}.log",
            stop_seconds=module.drain_seconds + _GRACE,
            after_manager=serves and _is_served(module, environ),
        )
        for module in document.modules
    ]
    if (manager := document.manager) is not None:
        parts.append(
            Part(
                name=manager.id,
                kind="manager",
                command=(*base, "manager", *config),
                health=dialled(manager.metrics),
                grpc=None,
                log=folders.logs / f"{manager.id}.log",
                stop_seconds=manager.drain_seconds + _GRACE,
            )
        )
    return tuple(parts)


def _is_served(module: ModuleEntry, environ: Mapping[str, str]) -> bool:
    return isinstance(module, AlbSettings) and bool(module.xds_server or environ.get("XDS_SERVER"))


def environment(document: FileDocument, folders: Folders, environ: Mapping[str, str]) -> dict[str, str]:
    """The parts' environment: ours, and their state folders where the file names none."""
    own = {name: value for name, value in environ.items() if name not in _FOR_ONE_SERVICE}
    return {**own, **dict(_state_folders(document, folders))}


def open_ports(document: FileDocument) -> Iterator[tuple[str, HostPort]]:
    """Addresses with port 0 that others must know, as the variables that set them."""
    if (nlb := document.nlb) is not None:
        yield from _unset("MARCHPROXY_NLB__", {"GRPC": nlb.grpc, "METRICS": nlb.metrics})
    if (manager := document.manager) is not None:
        yield from _unset("MARCHPROXY_MANAGER__", {"HTTP": manager.http, "METRICS": manager.metrics})
    for index, module in enumerate(document.modules):
        addresses = {"GRPC": module.grpc, "HEALTH": module.health, "METRICS": module.metrics}
        yield from _unset(f"MARCHPROXY_MODULES__{index}__", addresses)


def _unset(prefix: str, addresses: Mapping[str, HostPort]) -> Iterator[tuple[str, HostPort]]:
    yield from ((prefix + name, address) for name, address in addresses.items() if address.port == 0)


def _state_folders(document: FileDocument, folders: Folders) -> Iterator[tuple[str, str]]:
    if document.nlb is not None and document.nlb.state_dir is None:
        yield "MARCHPROXY_NLB__STATE_DIR", str(folders.state)
    if document.manager is not None and document.manager.state_dir is None:
        yield "MARCHPROXY_MANAGER__STATE_DIR", str(folders.state)
    for index, module in enumerate(document.modules):
        if module.state_dir is None:
            yield f"MARCHPROXY_MODULES__{index}__STATE_DIR", str(folders.state)
