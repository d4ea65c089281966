"""Ladder: the lower rungs of one stream, by an ffmpeg that is begun with a keyframe and again when it dies."""

from collections.abc import Callable, Sequence

from marchproxy.engines.ffmpeg.binary import NoFfmpeg, find_ffmpeg
from marchproxy.engines.ffmpeg.command import ladder_command
from marchproxy.engines.ffmpeg.probe import Encoders, NoEncoder
from marchproxy.engines.ffmpeg.transcoder import Ended, Overrun, Transcoder
from marchproxy.kit.logs import get_logger
from marchproxy.model.rtmp import Encoder, Rung
from marchproxy.modules.rtmp.packaging.frames import VIDEO, Frame
from marchproxy.modules.rtmp.packaging.intake import Intake, Taken
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.flv import FlvReader, header, tag
from marchproxy.wire.rtmp.message import Message

_log = get_logger(__name__)
#: ffmpeg writes 31 bits of a time. Where the first frame is put, so that none before it is below 0.
_BEGIN, _LONGEST = 10_000, 0x7000_0000

Took = Callable[[str, Taken], None]


class Ladder:
    """One run of ffmpeg, for an era or what is left of it. `run` it, and feed it from a keyframe on.

    `took` is called with each frame of a rung, on the stream's own clock, and the name of its track.
    """

    def __init__(self, rungs: Sequence[Rung], config: Message, first: Frame, took: Took) -> None:
        """`config`: the video's sequence header; `first`: the frame that will be fed first."""
        self._rungs = tuple(rungs)
        self._took = took
        self._shift = first.time - _BEGIN
        self._readers = [FlvReader() for _ in rungs]
        self._intakes = [Intake() for _ in rungs]
        self._transcoder = Transcoder(self._received)
        self._fault: ProtocolFault | None = None
        self._transcoder.feed(header(audio=False) + tag(config._replace(timestamp=_BEGIN)))

    @property
    def tracks(self) -> tuple[str, ...]:
        """The names of its tracks."""
        return tuple(f"{VIDEO}{rung.height}" for rung in self._rungs)

    def feed(self, message: Message, frame: Frame) -> bool:
        """The next frame, and the message that it was in; whether there may be more."""
        time = frame.time - self._shift
        self._transcoder.feed(tag(message._replace(timestamp=max(time, 0))))
        return time < _LONGEST

    async def run(self, encoder: Encoder, encoders: Encoders, name: str) -> None:
        """Encode until it is cancelled, or cannot be done, which is logged. `name` of the stream."""
        try:
            way = await encoders.choose(encoder)
            ffmpeg = find_ffmpeg()
            _log.info("ladder begins", stream=name, encoder=way.name, rungs=self.tracks)
            await self._transcoder.run(
                lambda pipes: ladder_command(ffmpeg, way, self._rungs, pipes), len(self._rungs)
            )
        except (NoFfmpeg, NoEncoder, Ended, Overrun, OSError) as error:
            _log.error("ladder ended", stream=name, reason=str(self._fault or error) or repr(error))
        except Exception:  # noqa: BLE001 - the source goes on without its ladder, whatever that meets; it is logged in full
            _log.exception("ladder failed", stream=name)

    def _received(self, index: int, data: bytes) -> None:
        if self._fault is not None:
            return
        try:
            messages = self._readers[index].feed(data)
        except ProtocolFault as fault:
            self._fault = fault  # ffmpeg never does this; its output is of no use then
            return
        for message in messages:
            taken = self._intakes[index].take(message)
            if taken is not None and taken.frame is not None:
                frame = taken.frame._replace(time=taken.frame.time + self._shift)
                self._took(self.tracks[index], taken._replace(frame=frame))


def rungs_for(rungs: Sequence[Rung], height: int, *, passthrough: bool) -> tuple[Rung, ...]:
    """The rungs of a source of so many lines (0: not known), those that are lower than it; the highest first.

    Without the source itself beside them one as high as it is too, or the lowest, which is made smaller, where none is.
    """
    ordered = sorted(rungs, key=lambda rung: -rung.height)
    fit = [rung for rung in ordered if not height or rung.height < height + (not passthrough)]
    return tuple(fit or ([] if passthrough else ordered[-1:]))
