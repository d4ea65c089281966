"""Places: in which folder a stream's files are, for who writes them and who serves them. Pure."""

import hashlib
from pathlib import Path
from urllib.parse import quote

from marchproxy.model.streams import StreamKey

_LONGEST = 200  # of a name of at most 255 bytes


def folder_of(media: Path, key: StreamKey) -> Path:
    """The folder of a stream's files; all folders lie side by side."""
    name = quote(key.text, safe="")
    if len(name) > _LONGEST:
        name = hashlib.sha256(key.text.encode()).hexdigest()
    return media / name
