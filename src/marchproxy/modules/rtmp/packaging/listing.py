"""Listing: the playlists and the manifest of a shelf, as text by the names of files. Pure."""

from collections.abc import Iterator
from math import ceil, floor, log10

from marchproxy.modules.rtmp.packaging.frames import AUDIO
from marchproxy.modules.rtmp.packaging.lane import Head, Lane
from marchproxy.modules.rtmp.packaging.shelf import Shelf
from marchproxy.wire import dash, hls
from marchproxy.wire.codecs.record import AudioRecord, VideoRecord

MASTER, MANIFEST = "index.m3u8", "manifest.mpd"
#: Where the manifest's clock is, beside it.
CLOCK = "time"


def playlist_name(track: str) -> str:
    """The file of a track's media playlist."""
    return f"{track}.m3u8"


def playlists(shelf: Shelf) -> dict[str, str]:
    """All media playlists, then the master playlist, once there is an era that has all its tracks."""
    shown = _shown_era(shelf)
    if shown is None:
        return {}
    texts = {playlist_name(track): _media(shelf, lane) for track, lane in shelf.lanes.items() if lane.kept}
    return texts | {MASTER: _master(shelf, shown)}


def manifest(shelf: Shelf, now: float) -> dict[str, str]:
    """The manifest, once there is an era that has all its tracks. `now` is Unix time."""
    periods = [_period(shelf, era) for era in sorted(shelf.chapters) if shelf.complete(era)]
    if not periods:
        return {}
    windows = [lane.window for lane in shelf.lanes.values()]
    longest = max(sum(kept.duration for kept in window) for window in windows)
    ends = [
        shelf.shown_at(window[-1]) + window[-1].duration / 1000 - shelf.begins for window in windows if window
    ]
    text = dash.manifest_text(
        dash.Manifest(
            shelf.begins,
            now,
            shelf.target,
            ceil(longest / 1000),
            periods,
            CLOCK,
            round(max(ends) * 1000) if shelf.ended else None,
        )
    )
    return {MANIFEST: text}


def _shown_era(shelf: Shelf) -> int | None:
    return max((era for era in shelf.chapters if shelf.complete(era)), default=None)


def _media(shelf: Shelf, lane: Lane) -> str:
    segments = [
        hls.Segment(
            shelf.segment_name(lane.track, kept.number),
            kept.duration,
            shelf.shown_at(kept),
            shelf.head_name(lane.track, kept.era),
            kept.era,
        )
        for kept in lane.window
    ]
    return hls.media_playlist(hls.Playlist(shelf.target, lane.window[0].number, segments, ended=shelf.ended))


def _master(shelf: Shelf, era: int) -> str:
    lanes = list(_ladder(shelf, era))
    sound = shelf.lanes[AUDIO] if shelf.window(AUDIO, era) else None
    if sound is None:
        return hls.master_playlist([_variant(lane, era) for lane in lanes])
    if not lanes:
        return hls.master_playlist([_variant(sound, era)])
    record = sound.heads[era].record
    rendition = hls.Rendition(playlist_name(AUDIO), record.channels if isinstance(record, AudioRecord) else 2)
    return hls.master_playlist([_variant(lane, era, sound) for lane in lanes], rendition)


def _ladder(shelf: Shelf, era: int) -> Iterator[Lane]:
    """The video tracks, the best first."""
    lanes = [lane for track, lane in shelf.lanes.items() if track != AUDIO and shelf.window(track, era)]
    yield from sorted(lanes, key=lambda lane: _goodness(lane.heads[era]), reverse=True)


def _goodness(head: Head) -> tuple[int, int]:
    return (head.record.height if isinstance(head.record, VideoRecord) else 0, head.peak)


def _variant(lane: Lane, era: int, sound: Lane | None = None) -> hls.Variant:
    head = lane.heads[era]
    record, both = head.record, [lane] if sound is None else [lane, sound]
    peak, average = sum(one.heads[era].peak for one in both), sum(one.average() for one in both)
    pixels = (record.width, record.height) if isinstance(record, VideoRecord) else (0, 0)
    return hls.Variant(
        playlist_name(lane.track),
        _rounded(max(peak, average)),
        _rounded(average),
        tuple(one.heads[era].record.codec for one in both),
        *pixels,
        head.frame_rate,
        sound=sound is not None,
    )


def _period(shelf: Shelf, era: int) -> dash.Period:
    chapter = shelf.chapters[era]
    video = [_representation(shelf, lane, era) for lane in _ladder(shelf, era)]
    audio = [_representation(shelf, shelf.lanes[AUDIO], era)] if shelf.window(AUDIO, era) else []
    return dash.Period(era, chapter.start, chapter.origin, video, audio)


def _representation(shelf: Shelf, lane: Lane, era: int) -> dash.Representation:
    window, head = shelf.window(lane.track, era), lane.heads[era]
    return dash.Representation(
        lane.track,
        head.record,
        _rounded(head.peak),
        shelf.head_name(lane.track, era),
        shelf.segment_name(lane.track, "$Number$"),
        window[0].number,
        [(kept.begins, kept.duration) for kept in window],
        head.frame_rate,
    )


def _rounded(rate: int) -> int:
    """Up, to two digits: a list that changes with every segment is of no use to anyone."""
    rate = max(rate, 1)
    step = int(10 ** max(floor(log10(rate)) - 1, 0))
    return -(-rate // step) * step
