"""Following: what workers that let clients in are told to go by."""

from dataclasses import dataclass

from marchproxy.engines.workers.contents import Contents
from marchproxy.modules.reception.serving import Serving


@dataclass(frozen=True, slots=True)
class Follow:
    """Serve by this document and by these files that it names; limits are divided among `instances`."""

    document: str
    contents: Contents
    serving: Serving
    instances: int = 1
