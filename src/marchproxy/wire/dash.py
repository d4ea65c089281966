"""DASH manifests of live CMAF segments (ISO/IEC 23009-1, profile isoff-live): values in, text out.

Each era between two changes of encoder is a period. Segments are told by their times (SegmentTimeline), never by arithmetic:
encoders place keyframes as they please.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from marchproxy.wire.cmaf.head import TIMESCALE
from marchproxy.wire.codecs.record import AudioRecord, VideoRecord
from marchproxy.wire.hls import iso_time

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_CLOCK = "urn:mpeg:dash:utc:http-iso:2014"
_CHANNELS = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"


@dataclass(frozen=True, slots=True)
class Representation:
    """One track in one period. `media` has `$Number$` in place of a segment's number; `first` is that of the first here.

    `timeline`: when each segment begins on the media's own clock, and how long it lasts; ms. `bandwidth` in bits per second.
    """

    name: str
    record: VideoRecord | AudioRecord
    bandwidth: int
    head: str
    media: str
    first: int
    timeline: Sequence[tuple[int, int]]
    frame_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Period:
    """One era. `start`: ms after the manifest's `begins`, at which `origin` of the media's clock is shown."""

    era: int
    start: int
    origin: int
    video: Sequence[Representation]
    audio: Sequence[Representation]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A live presentation. Unix times `begins` and `published`; seconds: `longest` segment, `window` that can be seen.

    `clock`: URI that tells the time, relative to the manifest's; empty: none does. `duration`: ms from `begins` to the end, once it has ended.
    """

    begins: float
    published: float
    longest: int
    window: int
    periods: Sequence[Period]
    clock: str
    duration: int | None = None


def manifest_text(manifest: Manifest) -> str:
    """The text of the manifest."""
    root = Element("MPD", _attributes(manifest))
    for period in manifest.periods:
        part = SubElement(root, "Period", id=str(period.era), start=_length(period.start))
        for kind, representations in (("video", period.video), ("audio", period.audio)):
            if representations:
                _add_set(part, kind, representations, period.origin)
    if manifest.clock:
        SubElement(root, "UTCTiming", schemeIdUri=_CLOCK, value=manifest.clock)
    ET.indent(root)
    return f"{_DECLARATION}\n{ET.tostring(root, encoding='unicode')}\n"


def _attributes(manifest: Manifest) -> dict[str, str]:
    common = {
        "xmlns": "urn:mpeg:dash:schema:mpd:2011",
        "profiles": "urn:mpeg:dash:profile:isoff-live:2011",
        "type": "dynamic" if manifest.duration is None else "static",
        "availabilityStartTime": iso_time(manifest.begins),
        "publishTime": iso_time(manifest.published),
        "minBufferTime": f"PT{manifest.longest}S",
        "maxSegmentDuration": f"PT{manifest.longest}S",
    }
    if manifest.duration is not None:
        return common | {"mediaPresentationDuration": _length(manifest.duration)}
    return common | {
        "timeShiftBufferDepth": f"PT{manifest.window}S",
        "suggestedPresentationDelay": f"PT{2 * manifest.longest}S",
        "minimumUpdatePeriod": f"PT{manifest.longest}S",
    }


def _add_set(period: Element, kind: str, representations: Sequence[Representation], origin: int) -> None:
    # aligned: the rungs of a ladder are cut at the same keyframes
    adaptation = SubElement(
        period,
        "AdaptationSet",
        id="0" if kind == "video" else "1",
        contentType=kind,
        mimeType=f"{kind}/mp4",
        segmentAlignment="true",
        startWithSAP="1",
    )
    for representation in representations:
        record = representation.record
        attributes = {"codecs": record.codec, "bandwidth": str(representation.bandwidth)}
        if isinstance(record, AudioRecord):
            attributes["audioSamplingRate"] = str(record.rate)
        elif record.width:
            attributes |= {"width": str(record.width), "height": str(record.height)}
        if representation.frame_rate:
            attributes["frameRate"] = f"{round(representation.frame_rate * 1000)}/1000"
        part = SubElement(adaptation, "Representation", {"id": representation.name} | attributes)
        if isinstance(record, AudioRecord):
            SubElement(part, "AudioChannelConfiguration", schemeIdUri=_CHANNELS, value=str(record.channels))
        _add_template(part, representation, origin)


def _add_template(part: Element, representation: Representation, origin: int) -> None:
    template = SubElement(
        part,
        "SegmentTemplate",
        timescale=str(TIMESCALE),
        presentationTimeOffset=str(origin),
        initialization=representation.head,
        media=representation.media,
        startNumber=str(representation.first),
    )
    timeline = SubElement(template, "SegmentTimeline")
    expected: int | None = None
    # a time that follows from the one before is left out, as are repetitions of it
    for index, (time, duration) in enumerate(representation.timeline):
        last = timeline[-1] if index else None
        if last is not None and time == expected and last.get("d") == str(duration):
            last.set("r", str(int(last.get("r", "0")) + 1))
        else:
            attributes = {} if time == expected else {"t": str(time)}
            SubElement(timeline, "S", attributes | {"d": str(duration)})
        expected = time + duration


def _length(milliseconds: int) -> str:
    return f"PT{milliseconds / 1000:.3f}S"
