"""The file's sections: settings of processes beside the desired state."""

from marchproxy.cli.xds.settings import XdsSettings
from marchproxy.contract.document import StateDocument
from marchproxy.kit.settings import HostPort
from marchproxy.kit.telemetry import TracingSection
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.nlb.settings import NlbSettings

_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class FileDocument(StateDocument):
    """What `marchproxy up` reads."""

    nlb: NlbSettings | None = None
    xds: XdsSettings | None = None
    modules: tuple[AlbSettings, ...] = ()
    tracing: TracingSection | None = None


def with_defaults(document: FileDocument) -> FileDocument:
    """Let modules that name no NLB register with the file's own, and whoever names no collector use the file's."""
    nlb, tracing = document.nlb, document.tracing
    if nlb is not None:
        nlb = nlb.model_copy(update={"tracing": nlb.tracing or tracing})
    own = () if nlb is None else (dialled(nlb.grpc),)
    modules = tuple(
        module.model_copy(update={"nlbs": module.nlbs or own, "tracing": module.tracing or tracing})
        for module in document.modules
    )
    return document.model_copy(update={"nlb": nlb, "modules": modules})


def dialled(listening: HostPort) -> HostPort:
    """The address on this machine at which something that listens there is reached."""
    return HostPort(_LOOPBACK_OF.get(listening.host, listening.host), listening.port)
