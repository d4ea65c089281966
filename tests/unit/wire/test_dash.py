from dataclasses import replace

import pytest

from marchproxy.wire.codecs.record import AudioRecord, VideoRecord
from marchproxy.wire.dash import Manifest, Period, Representation, manifest_text
from tests.manifests import check_manifest

VIDEO = Representation(
    "v",
    VideoRecord(b"avc1", "avc1.64001f", b"", 1280, 720),
    900_000,
    "v-0.mp4",
    "v-$Number$.m4s",
    7,
    (),
    30.0,
)
AUDIO = Representation(
    "a", AudioRecord(b"mp4a", "mp4a.40.2", b"", 48000, 2), 128_000, "a-0.mp4", "a-$Number$.m4s", 9, ()
)


def manifest(*periods, duration=None):
    return Manifest(1_700_000_000.25, 1_700_000_020.0, 2, 20, periods, "time", duration)


def period(video, audio=(), era=0, start=0):
    sounds = [replace(AUDIO, timeline=audio)] if audio else []
    return Period(era, start, 1080, [replace(VIDEO, timeline=video)], sounds)


def test_a_live_manifest():
    text = manifest_text(manifest(period([(1080, 2000), (3080, 2000), (5080, 1960)], [(1000, 2005)])))
    assert (
        text
        == """\
<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="dynamic" \
availabilityStartTime="2023-11-14T22:13:20.250Z" publishTime="2023-11-14T22:13:40.000Z" minBufferTime="PT2S" \
maxSegmentDuration="PT2S" timeShiftBufferDepth="PT20S" suggestedPresentationDelay="PT4S" minimumUpdatePeriod="PT2S">
  <Period id="0" start="PT0.000S">
    <AdaptationSet id="0" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">
      <Representation id="v" codecs="avc1.64001f" bandwidth="900000" width="1280" height="720" frameRate="30000/1000">
        <SegmentTemplate timescale="1000" presentationTimeOffset="1080" initialization="v-0.mp4" \
media="v-$Number$.m4s" startNumber="7">
          <SegmentTimeline>
            <S t="1080" d="2000" r="1" />
            <S d="1960" />
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
    <AdaptationSet id="1" contentType="audio" mimeType="audio/mp4" segmentAlignment="true" startWithSAP="1">
      <Representation id="a" codecs="mp4a.40.2" bandwidth="128000" audioSamplingRate="48000">
        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2" />
        <SegmentTemplate timescale="1000" presentationTimeOffset="1080" initialization="a-0.mp4" \
media="a-$Number$.m4s" startNumber="9">
          <SegmentTimeline>
            <S t="1000" d="2005" />
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
  </Period>
  <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="time" />
</MPD>
"""
    )


@pytest.mark.parametrize(
    "timeline",
    [
        [(1080, 2000)],
        [(1080, 2000), (3080, 2000)],
        [(1080, 2000), (3080, 1500), (4580, 2000)],
        [(1080, 2000), (3080, 2000), (5080, 1500), (6580, 1500), (8080, 2000)],
    ],
)
def test_a_timeline_says_what_was_given(timeline):
    (track,) = check_manifest(manifest_text(manifest(period(timeline))))
    assert [(round(at * 1000) + 1080, round(lasts * 1000)) for _, at, lasts in track.segments] == timeline
    assert [file for file, _, _ in track.segments] == [f"v-{7 + index}.m4s" for index in range(len(timeline))]


def test_each_era_is_a_period():
    text = manifest_text(manifest(period([(1080, 2000)]), period([(1080, 2000)], era=1, start=2500)))
    assert [(track.period, track.segments[0][1]) for track in check_manifest(text)] == [
        ("0", 0.0),
        ("1", 2.5),
    ]


def test_what_has_ended_is_not_asked_for_again():
    text = manifest_text(manifest(period([(1080, 2000)]), duration=2000))
    assert 'mediaPresentationDuration="PT2.000S"' in text
    assert "minimumUpdatePeriod" not in text
    check_manifest(text)
