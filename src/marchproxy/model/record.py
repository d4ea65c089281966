"""Records: what was done by whom (audit), what happened by itself (events), and what is kept beside the desired state."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

How = Literal["session", "key", "local", "system"]
Outcome = Literal["done", "refused", "denied"]
Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One attempt to change something. `action` is `routes.update`, `target` is `routes/shop`; no secrets in `detail`.

    `refused`: the change was not possible; `denied`: not allowed. `id` grows with time; 0 until it is written.
    """

    at: datetime
    who: str
    how: How
    address: str
    action: str
    target: str
    outcome: Outcome
    detail: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `kind` is `instance.unhealthy`, `subject` whom it concerns; `id` as in `AuditEntry`."""

    at: datetime
    kind: str
    subject: str
    message: str
    severity: Severity = "info"
    id: int = 0


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate that was uploaded, PEM: the chain from the leaf on, and its key. Never logged: `key_pem` is secret."""

    name: str
    chain_pem: bytes
    key_pem: bytes
    created_at: datetime
    by: str

    def __repr__(self) -> str:
        return f"StoredCertificate({self.name!r})"


@dataclass(frozen=True, slots=True)
class StartedRollout:
    """A rollout that was started through the manager, which writes a revision when it ends."""

    id: str
    route: str
    version: str
    started_by: str
    started_at: datetime
