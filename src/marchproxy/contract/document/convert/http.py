"""Edits of headers, and ways to authenticate."""

from dataclasses import asdict

from marchproxy.contract.document.schema.http import AuthenticationDocument, HeaderEditsDocument
from marchproxy.model.http import Authentication, HeaderEdits

_NO_EDITS = HeaderEdits()


def header_edits(item: HeaderEditsDocument | None) -> HeaderEdits:
    """The edits, in the order of the names: between different headers the order makes no difference."""
    if item is None:
        return _NO_EDITS
    return HeaderEdits(
        set=tuple(sorted(item.set.items())),
        add=tuple((name, value) for name, values in sorted(item.add.items()) for value in values),
        remove=item.remove,
    )


def header_edits_document(item: HeaderEdits) -> HeaderEditsDocument | None:
    """The document of edits; of a name that is set twice, which is no sound value, the last stands."""
    if item == _NO_EDITS:
        return None
    added: dict[str, tuple[str, ...]] = {}
    for name, value in item.add:
        added[name] = (*added.get(name, ()), value)
    return HeaderEditsDocument(set=dict(item.set), add=added, remove=item.remove)


def authentication(item: AuthenticationDocument) -> Authentication:
    """The way to authenticate."""
    return Authentication(**dict(item))


def authentication_document(item: Authentication) -> AuthenticationDocument:
    """The document of a way to authenticate."""
    return AuthenticationDocument(**asdict(item))
