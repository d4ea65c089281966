"""HLS playlists, judged by RFC 8216: one by itself, and what a live one may become."""

import itertools
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Segment:
    uri: str
    number: int
    discontinuity: int
    duration: float
    begins: datetime
    head: str


@dataclass
class Playlist:
    target: int
    ended: bool
    segments: list[Segment] = field(default_factory=list)


def check_media(text: str) -> Playlist:
    """What a media playlist says; an AssertionError where it breaks the rules."""
    lines = text.split("\n")
    assert lines[0] == "#EXTM3U"
    assert lines.pop() == ""
    tags = dict(line[1:].split(":", 1) for line in lines if re.match(r"#EXT-X-[A-Z-]+:\d+$", line))
    assert int(tags["EXT-X-VERSION"]) >= 6, "EXT-X-MAP without I-frames only wants 6 (section 7)"
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in lines
    found = Playlist(int(tags["EXT-X-TARGETDURATION"]), "#EXT-X-ENDLIST" in lines)
    number = int(tags.get("EXT-X-MEDIA-SEQUENCE", 0))
    discontinuity = int(tags.get("EXT-X-DISCONTINUITY-SEQUENCE", 0))
    head, begins, duration, mapped = "", None, 0.0, False
    for line in lines[1:]:
        name, _, value = line.partition(":")
        match name:
            case "#EXT-X-DISCONTINUITY":
                discontinuity += 1
                mapped = False
            case "#EXT-X-MAP":
                head, mapped = re.fullmatch(r'URI="([^"]+)"', value)[1], True
            case "#EXT-X-PROGRAM-DATE-TIME":
                begins = datetime.fromisoformat(value)
            case "#EXTINF":
                duration = float(value.removesuffix(","))
            case _ if not line.startswith("#"):
                assert mapped, "no init segment since the playlist's beginning or the discontinuity"
                assert begins is not None
                assert duration > 0
                assert int(duration + 0.5) <= found.target, f"{line} is longer than the target (4.3.3.1)"
                found.segments.append(Segment(line, number, discontinuity, duration, begins, head))
                number, begins, duration = number + 1, None, 0.0
    _check_times(found.segments)
    assert len({segment.uri for segment in found.segments}) == len(found.segments)
    return found


def check_update(before: str, after: str) -> None:
    """Whether a live playlist may become the other (6.2.1, 6.2.2): only at its ends, and numbers stay where they are."""
    old, new = check_media(before), check_media(after)
    assert not old.ended or before == after, "nothing comes after the end"
    assert new.target >= old.target
    if not (old.segments and new.segments):
        return
    assert new.segments[0].number >= old.segments[0].number
    assert new.segments[-1].number >= old.segments[-1].number
    known = {segment.number: segment for segment in old.segments}
    for segment in new.segments:
        if segment.number in known:
            assert segment == known[segment.number], "a segment that was told of has changed"
        else:
            assert segment.uri not in {one.uri for one in old.segments}


def check_master(text: str) -> list[dict[str, str]]:
    """The variants' attributes, with `uri`; and the audio rendition's, if any, in front."""
    lines = text.split("\n")
    assert lines[:2] == ["#EXTM3U", "#EXT-X-VERSION:7"]
    found, groups = [], set()
    for index, line in enumerate(lines):
        name, _, value = line.partition(":")
        attributes = {key: word.strip('"') for key, word in re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', value)}
        if name == "#EXT-X-MEDIA":
            assert {"TYPE", "GROUP-ID", "NAME", "URI"} <= attributes.keys()
            groups.add(attributes["GROUP-ID"])
            found.append(attributes | {"uri": attributes["URI"]})
        if name == "#EXT-X-STREAM-INF":
            assert int(attributes["BANDWIDTH"]) >= int(attributes["AVERAGE-BANDWIDTH"]) > 0
            assert attributes["CODECS"]
            assert attributes.get("AUDIO") in {None, *groups}
            assert not lines[index + 1].startswith("#")
            found.append(attributes | {"uri": lines[index + 1]})
    assert any("BANDWIDTH" in one for one in found)
    return found


def _check_times(segments: list[Segment]) -> None:
    for one, other in itertools.pairwise(segments):
        assert other.discontinuity >= one.discontinuity
        if other.discontinuity == one.discontinuity:
            end = one.begins + timedelta(seconds=one.duration)
            assert abs(other.begins - end) <= timedelta(milliseconds=2), (
                "a gap that no discontinuity tells of"
            )
            assert other.head == one.head
        else:
            assert other.begins >= one.begins
