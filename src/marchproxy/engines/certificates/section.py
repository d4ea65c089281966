"""Settings about certificates that more than one module has."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from marchproxy.kit.settings import Section

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#: A name that a certificate may have.
ServerName = Annotated[
    str, Field(pattern=rf"^((\*\.)?{_LABEL}(\.{_LABEL})*|[0-9A-Fa-f:.]+)$", max_length=253)
]


class CertificateFiles(Section):
    """A certificate with its chain, and its key (PEM)."""

    certificate: Path
    key: Path
