"""Records of encoders as libx264, libx265, libaom and others made them; names as ffmpeg's own manifests say them."""

import pytest

from marchproxy.wire.codecs import audio, av1, avc, hevc, vp9
from marchproxy.wire.fault import ProtocolFault

AVC_HIGH = "0164000dffe1001b6764000dacd941519e2223011000000300100000030320f142996001000668ebe3cb22c0fdf8f800"
AVC_444 = "01f4000dffe1001b67f4000d919b282a33c7c7e022000003000200000300641e28532c01000668ebe3c44844fff8f800"
AVC_BASELINE = "0142c00dffe1001a6742c00dd901519e2223011000000300100000030320f142a48001000568cb83cb20"
AVC_INTERLACED = (
    "01640015ffe1001967640015acd941433f260220000003004000000643e28532c001000668fba3cb22c0fdf8f800"
)
HEVC_MAIN = (
    "0101600000009000000000003cf000fcfdf8f800000f03"
    "a00001001840010c01ffff01600000030090000003000003003c959809"
    "a10001002b42010101600000030090000003000003003ca00a480b9c9265959a4932bc05a02000000300200000030321"
    "a2000100074401c172b46240"
)
HEVC_MAIN_10 = (
    "0102200000009000000000003cf000fcfdfafa00000f02"
    "a00001001840010c01ffff02200000030090000003000003003c959809"
    "a10001002c42010102200000030090000003000003003ca00a480b9c92365959a4932bc05a020000030002000003003210"
)
AV1_8 = "81000c000a0b000000043d06c4daf90040"
AV1_10 = "81004c000a0b000000043d06c4daf94040"


@pytest.mark.parametrize(
    ("read", "record", "codec", "size"),
    [
        (avc.read, AVC_HIGH, "avc1.64000d", (322, 178)),
        (avc.read, AVC_444, "avc1.f4000d", (322, 178)),
        (avc.read, AVC_BASELINE, "avc1.42c00d", (322, 178)),
        (avc.read, AVC_INTERLACED, "avc1.640015", (320, 180)),
        (hevc.read, HEVC_MAIN, "hvc1.1.6.L60.90", (322, 178)),
        (hevc.read, HEVC_MAIN_10, "hvc1.2.4.L60.90", (322, 178)),
        (av1.read, AV1_8, "av01.0.00M.08", (322, 178)),
        (av1.read, AV1_10, "av01.0.00M.10", (322, 178)),
        (av1.read, "81000c00", "av01.0.00M.08", (0, 0)),  # the header comes with each keyframe only
        (vp9.read, "000b820202020000", "vp09.00.11.08", (0, 0)),
        (vp9.read, "01000000010b860202020000", "vp09.01.11.08", (0, 0)),  # with the head of the box
    ],
)
def test_video_is_named_and_measured(read, record, codec, size):
    found = read(bytes.fromhex(record))
    assert (found.codec, (found.width, found.height)) == (codec, size)
    assert found.box.endswith(bytes.fromhex(record))
    assert int.from_bytes(found.box[:4]) == len(found.box)


def test_a_record_of_vp9_gets_the_head_of_its_box_once():
    plain, whole = (
        vp9.read(bytes.fromhex("000b820202020000")),
        vp9.read(bytes.fromhex("01000000000b820202020000")),
    )
    assert plain == whole


@pytest.mark.parametrize(
    "frame", ["824983420014100b160c38241c184a0006", "a24983420002820162c187048383094001"]
)
def test_the_size_of_vp9_is_in_its_keyframes(frame):
    assert vp9.frame_size(bytes.fromhex(frame)) == (322, 178)


@pytest.mark.parametrize("frame", ["", "864983", "8249834300141000", "c249834200141000", "8a"])
def test_what_is_no_keyframe_of_vp9_is_a_fault(frame):
    with pytest.raises(ProtocolFault):
        vp9.frame_size(bytes.fromhex(frame))


@pytest.mark.parametrize(
    ("read", "config", "expected"),
    [
        (audio.read_aac, "119056e500", ("mp4a.40.2", 48000, 2)),
        (audio.read_aac, "101056e500", ("mp4a.40.2", 96000, 2)),
        (audio.read_aac, "1208", ("mp4a.40.2", 44100, 1)),
        (audio.read_aac, "2b920800", ("mp4a.40.5", 22050, 2)),  # HE-AAC
        (audio.read_aac, "17802b1110", ("mp4a.40.2", 22050, 2)),  # a rate of its own: 24 bits
        (audio.read_opus, "4f707573486561640102380180bb0000000000", ("opus", 48000, 2)),
        (audio.read_mp3, "fffb9464", ("mp4a.6b", 48000, 2)),
        (audio.read_mp3, "fff364c4", ("mp4a.6b", 24000, 1)),
        (audio.read_ac3, "0b77b50b1e40ebf8403e", ("ac-3", 48000, 6)),
        (audio.read_ac3, "0b77fe95144043e106f4", ("ac-3", 48000, 2)),
    ],
)
def test_audio_is_named(read, config, expected):
    found = read(bytes.fromhex(config))
    assert (found.codec, found.rate, found.channels) == expected


@pytest.mark.parametrize(
    ("read", "config", "box"),
    [
        (audio.read_ac3, "0b77b50b1e40ebf8403e", "0000000b64616333103de0"),
        (audio.read_ac3, "0b77fe95144043e106f4", "0000000b64616333101140"),
        (
            audio.read_opus,
            "4f707573486561640102380180bb0000000000",
            "0000001364 4f7073 000201380000bb80000000",
        ),
        (
            audio.read_aac,
            "119056e500",
            "0000002a 65736473 00000000 031c 000000 0414 40150000000000000000 000000 0505119056e500 060102",
        ),
    ],
)
def test_boxes_of_audio(read, config, box):
    assert read(bytes.fromhex(config)).box.hex() == box.replace(" ", "")


@pytest.mark.parametrize(
    ("read", "record"),
    [
        (avc.read, ""),
        (avc.read, "0164000dffe0000000"),  # no SPS
        (avc.read, "0164000dffe1ffff67"),  # cut short
        (avc.read, "0164000dffe1000867640015" + "00000000"),  # a number without end
        (avc.read, AVC_HIGH.replace("01", "02", 1)),
        (hevc.read, "01" * 10),
        (hevc.read, HEVC_MAIN[:92]),
        (hevc.read, HEVC_MAIN[:44] + "00"),
        (av1.read, "80000c00"),
        (av1.read, "81000c000affffffffffffffffff"),
        (vp9.read, "0001"),
        (vp9.read, "000b020202020000"),  # no bits
        (audio.read_aac, ""),
        (audio.read_aac, "1690"),  # rate number 13
        (audio.read_aac, "1190" + "00" * 200),
        (audio.read_opus, "4f70757348656164"),
        (audio.read_mp3, "00000000"),
        (audio.read_mp3, "ffff"),
        (audio.read_ac3, "0b78" + "00" * 8),
        (audio.read_ac3, "0b77"),
    ],
)
def test_what_no_encoder_says_is_a_fault(read, record):
    with pytest.raises(ProtocolFault):
        read(bytes.fromhex(record))
