"""Settings of a manager process: the section `manager` of a document."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from marchproxy.kit.files import default_state_dir
from marchproxy.kit.grpc.tls import ChannelTls
from marchproxy.kit.settings import HostPort, Seconds, Section
from marchproxy.kit.telemetry import TracingSection

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError('must be an address or a network, such as "10.0.0.7" or "10.0.0.0/8"') from None
    return text


def _database(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in {"sqlite", "postgresql"} or not rest:
        raise ValueError('must be "postgresql://user@host:port/name" or "sqlite:///path/of/a/file"')
    if scheme == "postgresql" and ":" in rest.rpartition("@")[0]:
        raise ValueError("must not hold the password; put it in a file and name that in `database_password`")
    return text


class HttpTls(Section):
    """TLS of the API and the UI. The files are read again when they change."""

    cert: Path
    """The certificate and its chain (PEM)."""
    key: Path
    """Its key (PEM), without a passphrase."""


class ManagerSettings(Section):
    """One manager: the desired state, its REST API and its web UI."""

    id: Name = "manager-1"
    """Its name, in logs and in what it writes down."""
    http: HostPort = HostPort("127.0.0.1", 8000)
    """Where the REST API and the UI are served; /healthz and /readyz, too."""
    metrics: HostPort = HostPort("127.0.0.1", 9096)
    """HTTP /metrics, /healthz and /readyz, always plain."""
    nlbs: tuple[HostPort, ...] = ()
    """The gRPC addresses of the NLBs that are managed; none: the file's own."""
    nlb_tls: ChannelTls | None = None
    """TLS of the calls to NLBs and modules. Default: none."""
    database: Annotated[str, AfterValidator(_database)] | None = None
    """`postgresql://user@host:port/name`, for several managers; none: a SQLite file in the state folder."""
    database_password: Path | None = None
    """A file with the password of PostgreSQL's user."""
    secret_key: Path | None = None
    """A file with the keys that secrets are sealed with, the newest first; none: `secret.key` in the state folder."""
    state_dir: Path | None = None
    """What must survive a restart, in a folder named like the manager; none: under the system's state folder."""
    tls: HttpTls | None = None
    """TLS of `http`. Default: none."""
    public_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+/?$")] | None = None
    """What browsers call it, where something in front of it has another name; https makes cookies Secure."""
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Whose X-Forwarded-For and X-Forwarded-Proto are believed. Default: nobody's."""
    session_hours: Annotated[float, Field(gt=0, le=24 * 90)] = 12.0
    """After so many hours people sign in again."""
    max_body_bytes: Annotated[int, Field(ge=64 * 1024, le=256 * 1024 * 1024)] = 32 * 1024 * 1024
    """The largest request."""
    request_seconds: Annotated[Seconds, Field(gt=0, le=3600)] = 60.0
    """How long a request may take, but for streams of events."""
    drain_seconds: Annotated[Seconds, Field(le=3600)] = 5.0
    """How long requests may go on when it stops."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged, on stderr."""
    tracing: TracingSection | None = None
    """Where spans go; none: where the file's own section `tracing` says."""

    @model_validator(mode="after")
    def _password_has_a_use(self) -> "ManagerSettings":
        if self.database_password is not None and not (self.database or "").startswith("postgresql:"):
            raise ValueError(
                "`database_password` is PostgreSQL's; set `database` to a postgresql:// URL, too"
            )
        return self

    @property
    def secure(self) -> bool:
        """Whether browsers come by https, so that cookies may be told to stay there."""
        return self.tls is not None or (self.public_url or "").startswith("https:")

    def directory(self) -> Path:
        """Where this manager keeps its state; not created here."""
        return (self.state_dir or default_state_dir()) / self.id
