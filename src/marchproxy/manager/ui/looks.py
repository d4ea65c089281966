"""Looks: the style sheets and the script that every page has, served by ourselves under a name that changes with them."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from markupsafe import Markup

FOLDER: Final = Path(__file__).with_name("static")
SHEETS: Final = ("tokens.css", "base.css", "shell.css", "parts.css")
SCRIPT: Final = "marchproxy.js"


def _stamp() -> str:
    together = b"".join((FOLDER / name).read_bytes() for name in (*SHEETS, SCRIPT))
    return sha256(together).hexdigest()[:12]


#: Where they are; another place when one of them changes, so that browsers may keep them for ever.
PLACE: Final = f"/static/{_stamp()}"

HEAD: Final = Markup("").join(
    [
        *(Markup('<link rel="stylesheet" href="{}/{}">').format(PLACE, name) for name in SHEETS),
        Markup('<script src="{}/{}"></script>').format(PLACE, SCRIPT),
    ]
)
"""What the head of every page has."""
