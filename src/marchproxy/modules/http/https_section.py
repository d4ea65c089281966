"""The section `https` in the settings of an ALB: what its TLS listeners show, ask for and say."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from marchproxy.engines.certificates.section import CertificateFiles, ServerName
from marchproxy.kit.settings import Seconds, Section
from marchproxy.modules.http.downstream import TlsVersion

Port = Annotated[int, Field(ge=1, le=65535)]
_YEAR = 365 * 24 * 3600.0
_PRELOAD_SECONDS = _YEAR  # https://hstspreload.org/#submission-requirements


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, float) else value  # YAML reads 1.2 as a number


class Hsts(Section):
    """Strict-Transport-Security (RFC 6797): browsers that saw it ask for https by themselves."""

    max_age: Annotated[Seconds, Field(ge=1)] = _YEAR
    """For how long they remember it."""
    include_subdomains: bool = False
    preload: bool = False
    """The owner of the domain wants it built into browsers."""

    @model_validator(mode="after")
    def _preloadable(self) -> Self:
        if self.preload and not (self.include_subdomains and self.max_age >= _PRELOAD_SECONDS):
            raise ValueError("preload needs include_subdomains and a max_age of at least 8760h (a year)")
        return self

    def header(self) -> str:
        """The header's value."""
        parts = [f"max-age={int(self.max_age)}"]
        parts += ["includeSubDomains"] if self.include_subdomains else []
        parts += ["preload"] if self.preload else []
        return "; ".join(parts)


class HttpsSection(Section):
    """TLS with clients."""

    certificates: tuple[CertificateFiles, ...] = ()
    """One is chosen by the name that a client asks for; the first is the default. Files are looked at every second."""
    self_signed: tuple[ServerName, ...] = ()
    """Names of a certificate that the ALB makes itself; for first steps, as no client trusts it. Not beside files."""
    client_ca: Path | None = None
    """Who signs the certificates of clients (PEM); none: clients are not asked for one."""
    client_certificate: Literal["required", "optional"] = "required"
    """Whether a client without a certificate is let in; one with a bad certificate never is."""
    minimum_version: Annotated[TlsVersion, BeforeValidator(_as_text)] = TlsVersion.V1_2
    """The oldest TLS that is spoken."""
    hsts: Hsts | None = None
    """Sent with answers over TLS; none: not sent."""
    redirect_http: bool = False
    """Whether the plain listeners answer with status 308 to https, whatever is asked."""
    public_port: Port | None = None
    """The port that clients use for https: redirects and `alt-svc` name it; none: that of `tls_traffic`, else 443."""
    tls_ended_ports: tuple[Port, ...] = ()
    """Ports of NLB listeners with `tls`: what comes from there over `proxy_traffic` counts as https."""
    warning_days: Annotated[int, Field(ge=0, le=365)] = 7
    """The instance calls itself degraded when a certificate expires in fewer days."""

    @field_validator("certificates")
    @classmethod
    def _once(cls, certificates: tuple[CertificateFiles, ...]) -> tuple[CertificateFiles, ...]:
        files = [item.certificate for item in certificates]
        for number, file in enumerate(files):
            if file in files[:number]:
                raise ValueError(f"{file} is named twice")
        return certificates

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.certificates and self.self_signed:
            raise ValueError("certificates or self_signed, not both: with files, nothing is made")
        return self
