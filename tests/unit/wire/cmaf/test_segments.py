"""Boxes by the book: what is written is read again by a walk that knows the boxes' layout and nothing of our writer."""

import struct

import pytest

from marchproxy.wire.cmaf import Sample, init_segment, segment
from marchproxy.wire.codecs.record import AudioRecord, VideoRecord, box
from tests.cmaf import boxes, find

VIDEO = VideoRecord(b"avc1", "avc1.64000d", box(b"avcC", b"\x01\x64\x00\x0d"), 322, 178)
AUDIO = AudioRecord(b"mp4a", "mp4a.40.2", box(b"esds", bytes(4)), 44100, 2)


def test_an_init_segment_has_one_track_and_no_samples():
    init = init_segment(VIDEO)
    assert [kind for kind, _ in boxes(init)] == [b"ftyp", b"moov"]
    moov = find(init, b"moov")
    assert [kind for kind, _ in boxes(moov)] == [b"mvhd", b"trak", b"mvex"]
    tables = find(moov, b"trak", b"mdia", b"minf", b"stbl")
    assert [kind for kind, _ in boxes(tables)] == [b"stsd", b"stts", b"stsc", b"stco", b"stsz"]
    assert struct.unpack(">I", find(moov, b"trak", b"mdia", b"mdhd")[12:16]) == (1000,)


@pytest.mark.parametrize(
    ("record", "handler", "header"), [(VIDEO, b"vide", b"vmhd"), (AUDIO, b"soun", b"smhd")]
)
def test_the_track_is_what_the_record_says(record, handler, header):
    media = find(init_segment(record), b"moov", b"trak", b"mdia")
    assert find(media, b"hdlr")[8:12] == handler
    assert find(media, b"minf", header)
    description = find(media, b"minf", b"stbl", b"stsd")
    ((kind, entry),) = boxes(description[8:])
    assert kind == record.entry
    assert entry.endswith(record.box)


def test_sizes_and_rates_stand_in_the_entry():
    video = find(init_segment(VIDEO), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")[16:]
    assert struct.unpack_from(">HH", video, 24) == (322, 178)
    assert len(video) == 78 + len(VIDEO.box)
    audio = find(init_segment(AUDIO), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")[16:]
    assert struct.unpack_from(">H", audio, 16) == (2,)
    assert struct.unpack_from(">I", audio, 24) == (44100 << 16,)
    assert len(audio) == 28 + len(AUDIO.box)


def test_a_rate_that_does_not_fit_is_left_to_the_decoder():
    fast = AudioRecord(b"mp4a", "mp4a.40.2", AUDIO.box, 96000, 2)
    audio = find(init_segment(fast), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")[16:]
    assert struct.unpack_from(">I", audio, 24) == (0,)


SAMPLES = (
    Sample(0x1_0000_0000, 40, 80, True, b"key"),
    Sample(0x1_0000_0028, 40, -40, False, b"other"),
    Sample(0x1_0000_0050, 0, 0, False, b""),
)


def test_a_segment_says_its_number_and_when_it_begins():
    data = segment(SAMPLES, 7)
    assert [kind for kind, _ in boxes(data)] == [b"styp", b"moof", b"mdat"]
    assert find(data, b"moof", b"mfhd") == struct.pack(">II", 0, 7)
    assert find(data, b"moof", b"traf", b"tfdt") == struct.pack(">IQ", 1 << 24, 0x1_0000_0000)


def test_samples_follow_each_other_where_the_table_says():
    data = segment(SAMPLES, 1)
    run = find(data, b"moof", b"traf", b"trun")
    _, count, offset = struct.unpack_from(">III", run)
    assert count == 3
    rows = [struct.unpack_from(">IIIi", run, 12 + 16 * row) for row in range(3)]
    assert rows == [
        (40, 3, 0x02000000, 80),
        (40, 5, 0x01010000, -40),
        (0, 0, 0x01010000, 0),
    ]
    start = data.index(b"moof") - 4 + offset
    assert data[start:] == b"keyother"
