"""Certificates: stored for listeners and pools, and what those in use say. A key is never told."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Request
from pydantic import Field
from starlette.responses import Response

from marchproxy.kit.settings import Section
from marchproxy.manager.access.http import where
from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, ReadsCertificates, Wanted, WritesCertificates
from marchproxy.manager.api.describing import Paged, Removed
from marchproxy.manager.api.listing import select
from marchproxy.manager.api.problems import not_found
from marchproxy.manager.certificates import KnownCertificate
from marchproxy.model.query import Fields

router = APIRouter(prefix="/api/v1/certificates", tags=["certificates"])
_Name: TypeAlias = Annotated[str, Path(max_length=63)]
_LONGEST = 256 * 1024
_FIELDS: Fields[KnownCertificate] = {
    "name": lambda one: one.name,
    "certificate": lambda one: one.certificate,
    "not_after": lambda one: one.facts.not_after.isoformat() if one.facts else None,
    "names": lambda one: one.facts.names if one.facts else (),
    "trouble": lambda one: one.trouble,
    "used_by": lambda one: one.used_by,
}


class CertificateBody(Section):
    """A certificate with its chain, the leaf first, and its key: PEM."""

    certificate: Annotated[str, Field(max_length=_LONGEST)]
    key: Annotated[str, Field(max_length=_LONGEST)]


@router.get("", response_model=Paged[KnownCertificate], summary="List certificates", name="list")
async def list_certificates(_: ReadsCertificates, desk: AtDesk, wanted: Wanted) -> Response:
    """Those that are stored, and those that the document in force names."""
    rows = await desk.certificates.known()
    return answer(select(rows, wanted, _FIELDS, lambda one: one.certificate))


@router.get("/{name}", response_model=KnownCertificate, summary="A stored certificate", name="get")
async def get_certificate(_: ReadsCertificates, desk: AtDesk, name: _Name) -> Response:
    """What it says, and who uses it."""
    for one in await desk.certificates.known():
        if one.name == name:
            return answer(one)
    raise not_found(f'there is no certificate "{name}"')


@router.put("/{name}", response_model=KnownCertificate, summary="Store a certificate", name="put")
async def put_certificate(
    who: WritesCertificates, request: Request, desk: AtDesk, name: _Name, body: CertificateBody
) -> Response:
    """Documents name it by the files that are answered. Whoever has them in use takes a new one by itself."""
    target = f"certificates/{name}"
    async with desk.access.audited(who, "certificates.update", target, address=where(request)):
        stored = await desk.certificates.put(name, body.certificate.encode(), body.key.encode(), by=who.name)
    return answer(stored)


@router.delete("/{name}", response_model=Removed, summary="Remove a certificate", name="delete")
async def remove_certificate(
    who: WritesCertificates, request: Request, desk: AtDesk, name: _Name
) -> Response:
    """Refused while the document names it."""
    target = f"certificates/{name}"
    async with desk.access.audited(who, "certificates.delete", target, address=where(request)):
        await desk.certificates.remove(name)
    return answer({"removed": name, "at": desk.clock.now()})
