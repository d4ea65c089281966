"""Entity tags and the conditions that requests make of them (RFC 9110, section 13). Pure."""

from hashlib import blake2b


def etag_of(body: bytes) -> str:
    """The tag of what is answered, with its quotes. For bodies from which no secret was taken."""
    return quoted(blake2b(body, digest_size=12).hexdigest())


def quoted(text: str) -> str:
    """A text as a tag."""
    return f'"{text}"'


def revision_tag(number: int) -> str:
    """The tag of whatever changes with each revision only, such as a list."""
    return f'"r{number}"'


def names(header: str, tag: str | None) -> bool:
    """Whether `If-Match` or `If-None-Match` names the tag; `*` names any, None is what does not exist.

    Weak tags are compared like strong ones: nothing here has both.
    """
    if tag is None:
        return False
    given = {part.strip().removeprefix("W/") for part in header.split(",")}
    return "*" in given or tag in given
