"""Which certificates a document names, and where. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from marchproxy.engines.certificates.facts import Facts
from marchproxy.model.changes import Document, path_of

#: Sections whose items may have `tls` with a certificate of their own.
_SECTIONS = ("listeners", "pools")


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """A certificate that is stored, named in the document, or both.

    `name` is empty when it is not stored. `facts` is None when the file is of no use here, and `trouble` says why.
    `used_by` has the paths of the document that name it.
    """

    name: str
    certificate: str
    key: str
    facts: Facts | None
    trouble: str = ""
    used_by: tuple[str, ...] = ()
    created_at: datetime | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class NamedPair:
    """A certificate and its key as files, and the `path` of the document that names them."""

    path: str
    certificate: str
    key: str


def named_pairs(document: Document) -> Iterator[NamedPair]:
    """Every certificate that a plain document names together with its key."""
    for section in _SECTIONS:
        for item in document.get(section, ()):
            tls = item.get("tls") or {}
            if tls.get("certificate"):
                path = path_of(section, item["name"], "tls")
                yield NamedPair(path, tls["certificate"], tls.get("key", ""))
