"""Readers: which module reads a codec's set-up, by its FourCC, from what encoders send first or from a frame."""

from collections.abc import Callable, Mapping
from typing import Final

from marchproxy.wire.codecs import audio, av1, avc, hevc, vp9
from marchproxy.wire.codecs.record import AudioRecord, VideoRecord
from marchproxy.wire.rtmp import media

#: Those that send a configuration. All raise ProtocolFault.
BY_CONFIG: Final[Mapping[str, Callable[[bytes], VideoRecord | AudioRecord]]] = {
    media.AVC: avc.read,
    media.HEVC: hevc.read,
    media.AV1: av1.read,
    media.VP9: vp9.read,
    media.AAC: audio.read_aac,
    media.OPUS: audio.read_opus,
}
#: Those whose frames say it. All raise ProtocolFault.
BY_FRAME: Final[Mapping[str, Callable[[bytes], AudioRecord]]] = {
    media.MP3: audio.read_mp3,
    media.AC3: audio.read_ac3,
}
