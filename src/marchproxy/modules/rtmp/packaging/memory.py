"""Memory: a shelf as a file beside what it lists, so that whoever packages the stream next goes on with its numbers."""

from pydantic import TypeAdapter, ValidationError

from marchproxy.modules.rtmp.packaging.shelf import Shelf

#: The file's name.
MEMORY = "shelf.json"
_SHELF = TypeAdapter(Shelf)


def write_shelf(shelf: Shelf) -> bytes:
    """The shelf as JSON."""
    return _SHELF.dump_json(shelf)


def read_shelf(data: bytes) -> Shelf:
    """The shelf that was written. Raises ValueError where that is none."""
    try:
        return _SHELF.validate_json(data)
    except ValidationError as error:
        raise ValueError(f"{MEMORY} is no shelf: {error.errors()[0]['msg']}") from error
