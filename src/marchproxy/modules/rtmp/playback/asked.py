"""What a URL asks for: /APP/STREAM/FILE. Pure."""

import re
from dataclasses import dataclass

from marchproxy.model.streams import StreamKey, key_fault
from marchproxy.modules.rtmp.packaging.listing import CLOCK, MANIFEST

_SEGMENT = re.compile(r"[0-9a-f]{1,16}-(v\d{0,4}|a)-\d{1,15}\.(mp4|m4s)")
_PLAYLIST = re.compile(r"(index|v\d{0,4}|a)\.m3u8")
_LIST_TYPES = {"m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A file of a stream. `key` has the host that the client named."""

    key: StreamKey
    file: str

    @property
    def is_clock(self) -> bool:
        """Whether it is the time that is asked for."""
        return self.file == CLOCK

    @property
    def is_segment(self) -> bool:
        """Whether it is a file that never changes."""
        return _SEGMENT.fullmatch(self.file) is not None

    @property
    def is_playlist(self) -> bool:
        """Whether it is a playlist of HLS."""
        return self.file.endswith(".m3u8")

    @property
    def media_type(self) -> str:
        """What is in the file."""
        if self.is_clock:
            return "text/plain"
        kind = _LIST_TYPES.get(self.file.rpartition(".")[2])
        return kind or ("audio/mp4" if "-a-" in self.file else "video/mp4")


def read_url(host: str, path: str) -> Asked | None:
    """What is asked for, by the header Host and the decoded path of the URL; None: nothing that could be here."""
    *segments, name, file = path.removeprefix("/").split("/")[-64:] if path.count("/") > 2 else ("", "", "")
    key = StreamKey(_host(host), "/".join(segments), name)
    known = file in {MANIFEST, CLOCK} or _PLAYLIST.fullmatch(file) or _SEGMENT.fullmatch(file)
    return Asked(key, file) if known and not key_fault(key) else None


def _host(header: str) -> str:
    """Without the port, in lower case; that of an IPv6 address without its brackets, as in a URL's host."""
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::\d+)?|([^:\[\]]+)(?::\d+)?", header)
    return (found[1] or found[2]).lower() if found else ""
