"""Desk: everything that the API and the UI work with, in one object. They reach nothing else."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marchproxy.kit.clock import Clock
    from marchproxy.manager.access import Access
    from marchproxy.manager.certificates import Certificates
    from marchproxy.manager.operating import Operations
    from marchproxy.manager.revising import Revisions
    from marchproxy.manager.settings import ManagerSettings
    from marchproxy.manager.watching import Observer
    from marchproxy.store import Store


@dataclass(frozen=True, slots=True)
class Desk:
    """What a request is answered with. A FastAPI app has it as `app.state.desk`."""

    settings: "ManagerSettings"
    store: "Store"
    revisions: "Revisions"
    live: "Observer"
    operations: "Operations"
    access: "Access"
    certificates: "Certificates"
    clock: "Clock"
