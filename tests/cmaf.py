"""Files of the MP4 family, taken apart: a walk that knows how boxes lie in one another, and nothing of who wrote them."""

from collections.abc import Iterator


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box; what is left over or too long is an error of the test."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        assert 8 <= size <= len(data) - at, (at, size)
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def find(data: bytes, *path: bytes) -> bytes:
    """The content of the one box at that path."""
    for kind in path:
        (data,) = [content for name, content in boxes(data) if name == kind]
    return data
