"""DASH manifests, judged by ISO/IEC 23009-1: what a live one must say, and that its segments are a row without holes."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

_NAMES = {"": "urn:mpeg:dash:schema:mpd:2011"}
_LENGTH = re.compile(r"PT(\d+(?:\.\d+)?)S")


@dataclass
class Track:
    period: str
    kind: str
    name: str
    codecs: str
    head: str
    segments: list[tuple[str, float, float]]
    """File, when it begins after the manifest's beginning, how long it lasts; seconds."""


def check_manifest(text: str) -> list[Track]:
    """Its tracks; an AssertionError where it breaks the rules."""
    root = ET.fromstring(text)
    assert root.tag == "{urn:mpeg:dash:schema:mpd:2011}MPD"
    assert root.get("profiles")
    seconds(root.get("minBufferTime"))
    assert {"availabilityStartTime", "publishTime"} <= root.attrib.keys()
    if root.get("type") == "dynamic":
        assert {"minimumUpdatePeriod", "timeShiftBufferDepth"} <= root.attrib.keys()
        assert "mediaPresentationDuration" not in root.attrib
    else:
        assert root.get("type") == "static"
        assert "minimumUpdatePeriod" not in root.attrib
        seconds(root.get("mediaPresentationDuration"))
    assert root.find("UTCTiming", _NAMES) is not None
    assert [part.tag.split("}")[1] for part in root][-1] in {"UTCTiming", "Period"}, "periods come first"
    longest = seconds(root.get("maxSegmentDuration"))
    starts = [seconds(period.get("start")) for period in root.findall("Period", _NAMES)]
    assert starts == sorted(starts)
    names = [period.get("id") for period in root.findall("Period", _NAMES)]
    assert len(set(names)) == len(names)
    tracks = [
        _track(period, adaptation, representation)
        for period in root.findall("Period", _NAMES)
        for adaptation in period.findall("AdaptationSet", _NAMES)
        for representation in adaptation.findall("Representation", _NAMES)
    ]
    for track in tracks:
        _check_row(track, longest)
    assert len({(track.period, track.name) for track in tracks}) == len(tracks)
    return tracks


def seconds(length: str | None) -> float:
    found = _LENGTH.fullmatch(length or "")
    assert found, length
    return float(found[1])


def _track(period, adaptation, representation) -> Track:
    kind = adaptation.get("contentType")
    assert adaptation.get("mimeType") == f"{kind}/mp4"
    assert int(representation.get("bandwidth")) > 0
    assert representation.get("codecs")
    template = representation.find("SegmentTemplate", _NAMES)
    scale, offset = int(template.get("timescale")), int(template.get("presentationTimeOffset"))
    start, number = seconds(period.get("start")), int(template.get("startNumber"))
    segments, at = [], None
    for entry in template.find("SegmentTimeline", _NAMES):
        at = int(entry.get("t")) if entry.get("t") else at
        assert at is not None, "the first entry says no time"
        duration = int(entry.get("d"))
        for _ in range(int(entry.get("r", "0")) + 1):
            file = template.get("media").replace("$Number$", str(number))
            segments.append((file, start + (at - offset) / scale, duration / scale))
            at, number = at + duration, number + 1
    name, codecs = representation.get("id"), representation.get("codecs")
    return Track(period.get("id"), kind, name, codecs, template.get("initialization"), segments)


def _check_row(track: Track, longest: float) -> None:
    assert track.segments
    for (_, begins, lasts), (_, following, _) in zip(track.segments, track.segments[1:], strict=False):
        assert abs(begins + lasts - following) < 0.002, "segments of a period overlap or leave a hole"
    assert all(0 < lasts <= longest + 0.5 for _, _, lasts in track.segments)
