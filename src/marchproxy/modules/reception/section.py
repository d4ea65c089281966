"""`client_tls` and `proxy_sources` of modules that let clients in by themselves."""

from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from marchproxy.engines.certificates.section import ServerName
from marchproxy.kit.settings import Section
from marchproxy.model.network import read_network


def _networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        if read_network(network) is None:
            raise ValueError(f'"{network}" is no network such as 10.0.0.0/8')
    return networks


#: The networks of the NLBs: only they may connect to the ports behind a PROXY header, or a client could forge its address.
ProxySources: TypeAlias = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_networks)]
#: This machine.
LOCAL_SOURCES = ("127.0.0.0/8", "::1/128")


class ClientTlsSection(Section):
    """TLS with clients, at all of the instance's ports that have it."""

    certificate: Path | None = None
    """The certificate with its chain (PEM). Files are looked at every second."""
    key: Path | None = None
    """Its key (PEM)."""
    self_signed: tuple[ServerName, ...] = ()
    """Names of a certificate that the module makes itself; for first steps, as no client trusts it. Not beside files."""
    client_ca: Path | None = None
    """Who signs the certificates of clients (PEM), which routes may ask for; none: clients are not asked for one."""
    required: bool = False
    """Whether clients without TLS are turned away."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together; only one of them is given")
        if (self.certificate is None) == (not self.self_signed):
            raise ValueError("give either certificate and key, or names in self_signed")
        return self
