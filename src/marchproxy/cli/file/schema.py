"""The file's sections: settings of processes beside the desired state."""

from marchproxy.cli.xds.settings import XdsSettings
from marchproxy.contract.document import StateDocument
from marchproxy.kit.settings import HostPort
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.nlb.settings import NlbSettings

_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class FileDocument(StateDocument):
    """What `marchproxy up` reads."""

    nlb: NlbSettings | None = None
    xds: XdsSettings | None = None
    modules: tuple[AlbSettings, ...] = ()


def with_default_nlbs(document: FileDocument) -> FileDocument:
    """Let modules that name no NLB register with the file's own."""
    if document.nlb is None:
        return document
    own = (dialled(document.nlb.grpc),)
    modules = tuple(
        module if module.nlbs else module.model_copy(update={"nlbs": own}) for module in document.modules
    )
    return document.model_copy(update={"modules": modules})


def dialled(listening: HostPort) -> HostPort:
    """The address on this machine at which something that listens there is reached."""
    return HostPort(_LOOPBACK_OF.get(listening.host, listening.host), listening.port)
