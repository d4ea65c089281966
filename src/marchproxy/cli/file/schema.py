"""The file's sections: settings of processes beside the desired state."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Tag

from marchproxy.cli.xds.settings import PlaneSettings, XdsSettings
from marchproxy.contract.document import StateDocument
from marchproxy.kit.settings import HostPort
from marchproxy.kit.telemetry import TracingSection
from marchproxy.manager.settings import ManagerSettings
from marchproxy.modules.ailb.settings import AilbSettings
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.dblb import settings as dblb
from marchproxy.modules.dblb.settings import DblbSettings
from marchproxy.modules.http import settings as http
from marchproxy.modules.rtmp import settings as rtmp
from marchproxy.modules.rtmp.settings import RtmpSettings
from marchproxy.nlb.settings import NlbSettings

#: An entry of `modules`.
ModuleEntry: TypeAlias = AlbSettings | DblbSettings | AilbSettings | RtmpSettings


def _type_of(entry: Any) -> Any:
    if isinstance(entry, dict):
        return entry.get("type", "alb")
    return getattr(entry, "type", None)


_Entry = Annotated[
    Annotated[AlbSettings, Tag("alb")]
    | Annotated[DblbSettings, Tag("dblb")]
    | Annotated[AilbSettings, Tag("ailb")]
    | Annotated[RtmpSettings, Tag("rtmp")],
    Discriminator(
        _type_of,
        custom_error_type="module_type",
        custom_error_message="type must be alb, dblb, ailb or rtmp",
    ),
]
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class ManagerSection(ManagerSettings):
    """A manager, and the control plane that it may be."""

    xds: PlaneSettings | None = None
    """Where any Envoy, any gRPC client and ALBs with `xds_server` take what is in force; none: nowhere."""


class FileDocument(StateDocument):
    """What `marchproxy up` reads."""

    nlb: NlbSettings | None = None
    xds: XdsSettings | None = None
    manager: ManagerSection | None = None
    modules: tuple[_Entry, ...] = ()
    tracing: TracingSection | None = None


def with_defaults(document: FileDocument) -> FileDocument:
    """Let modules and a manager that name no NLB use the file's own, and whoever names no collector the file's."""
    nlb, manager, tracing = document.nlb, document.manager, document.tracing
    if nlb is not None:
        nlb = nlb.model_copy(update={"tracing": nlb.tracing or tracing})
    own = () if nlb is None else (dialled(nlb.grpc),)
    modules = tuple(
        module.model_copy(update={"nlbs": module.nlbs or own, "tracing": module.tracing or tracing})
        for module in document.modules
    )
    if manager is not None:
        found = {"nlbs": manager.nlbs or own, "tracing": manager.tracing or tracing}
        manager = manager.model_copy(update=found)
    return document.model_copy(update={"nlb": nlb, "modules": modules, "manager": manager})


def dialled(listening: HostPort) -> HostPort:
    """The address on this machine at which something that listens there is reached."""
    return HostPort(_LOOPBACK_OF.get(listening.host, listening.host), listening.port)


def addresses_of(module: ModuleEntry) -> Mapping[str, HostPort]:
    """The TCP ports that a module opens itself, by setting."""
    match module:
        case DblbSettings():
            names = dblb.ADDRESSES
        case RtmpSettings():
            names = rtmp.ADDRESSES
        case _:
            names = http.ADDRESSES
    return {name: address for name in names if (address := getattr(module, name)) is not None}
