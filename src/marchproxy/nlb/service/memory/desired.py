"""desired.json: the configuration as it runs, but for the routes, whose file it names."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from marchproxy.contract.document import decode, encode
from marchproxy.contract.document.progress import dump_ramps, dump_shifts, parse_ramps, parse_shifts
from marchproxy.nlb.service.memory.routes import parse_table
from marchproxy.nlb.service.memory.saved import FORMAT, Saved
from marchproxy.nlb.state.progress import Progress


def dump_desired(saved: Saved, routes: str) -> bytes:
    """The file's content; `routes` is the name of the file of routes."""
    document = {
        "format": FORMAT,
        "routes": routes,
        "base": saved.base,
        "checksum": saved.checksum,
        "progress": _dump_progress(saved.progress),
        "desired": json.loads(encode(replace(saved.desired, routes=()))),
    }
    return json.dumps(document, indent=1).encode()


def parse_desired(data: bytes, read: Callable[[str], bytes]) -> Saved:
    """All but members and answers. `read` gets a file of that name, and may raise OSError.

    Raises ValueError, KeyError, TypeError, AttributeError or ParseError on anything else.
    """
    document = _opened(data)
    routes = _opened(read(PurePath(document["routes"]).name))
    # decoded together: what limits and routes name has to be there
    desired = decode(json.dumps({**document["desired"], **routes["desired"]}).encode())
    return Saved(
        desired=desired,
        table=parse_table(routes["table"], desired.routes),
        base=str(document["base"]),
        checksum=str(document["checksum"]),
        progress=_parse_progress(document["progress"]),
    )


def _opened(data: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data)
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']} is not {FORMAT}")
    return document


def _dump_progress(progress: Progress) -> dict[str, Any]:
    return {
        "modified": progress.modified,
        "shifts": dump_shifts(progress.shifts),
        "ramps": dump_ramps(progress.ramps),
    }


def _parse_progress(item: dict[str, Any]) -> Progress:
    return Progress(bool(item["modified"]), parse_shifts(item["shifts"]), parse_ramps(item["ramps"]))
