"""Packager: one live stream as files, from the messages of its publisher."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from marchproxy.engines.ffmpeg.probe import Encoders
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import beside
from marchproxy.model.rtmp import Packaging
from marchproxy.modules.rtmp.packaging.frames import VIDEO, Cut
from marchproxy.modules.rtmp.packaging.intake import Intake, Taken
from marchproxy.modules.rtmp.packaging.listing import MANIFEST, MASTER, manifest, playlist_name, playlists
from marchproxy.modules.rtmp.packaging.memory import MEMORY, read_shelf, write_shelf
from marchproxy.modules.rtmp.packaging.running import Pace
from marchproxy.modules.rtmp.packaging.segmenter import Segmenter
from marchproxy.modules.rtmp.packaging.shelf import Shelf
from marchproxy.modules.rtmp.packaging.workshop import Workshop
from marchproxy.modules.rtmp.packaging.writer import Errand, Writer
from marchproxy.wire.rtmp.message import Message

_log = get_logger(__name__)


class Packager:
    """One stream in one folder; goes on with what an earlier one left there. `run` it as long as it is fed."""

    def __init__(
        self, name: str, folder: Path, options: Packaging, *, clock: Clock, encoders: Encoders | None = None
    ) -> None:
        """`name` of the stream, for the log. Reads the folder's memory at once."""
        self._name = name
        self._options = options
        self._clock = clock
        self._writer = Writer(folder, self._start_over)
        self._shelf, gone = _taken_up(folder, options, clock)
        if gone:
            self._writer.add(Errand(gone=tuple(gone)))
        self._intake = Intake()
        self._segmenter = Segmenter(Pace(round(options.segment * 1000)), first_era=self._shelf.following)
        self._workshop = Workshop(name, options, encoders or Encoders(), self._take_rung, clock=clock)
        self._unfit: dict[str, str] = {}
        self.listed = asyncio.Event()
        """Set when there are lists, by which it can be watched."""

    @property
    def trouble(self) -> str:
        """Why something is not packaged; empty: everything is."""
        return "; ".join(self._unfit.values())

    @property
    def span(self) -> float:
        """For how many seconds lists that were given out may name a segment."""
        return 2.0 * self._shelf.listed * self._shelf.target

    @property
    def renditions(self) -> tuple[str, ...]:
        """The names of the tracks that can be watched."""
        return tuple(sorted(self._shelf.lanes))

    async def run(self) -> None:
        """Write what is made until `stop`."""
        async with beside(self._workshop.run(), name="ladder"):
            await self._writer.run()

    async def written(self) -> None:
        """Wait until all that was made is written."""
        await self._writer.idle()

    def take(self, messages: Iterable[Message]) -> None:
        """Messages of the publisher, in order."""
        cuts: list[Cut] = []
        now = self._clock.now().timestamp()
        for message in messages:
            taken = self._intake.take(message)
            if taken is not None:
                self._segmenter.set_up(taken.track, taken.record)
                if taken.frame is not None:
                    cuts += self._segmenter.take(taken.track, taken.frame, now)
                if taken.track == VIDEO:
                    self._workshop.feed(message, taken, self._segmenter.video_era)
            elif self._intake.unfit != self._unfit:
                self._tell_unfit()
        if cuts:
            self._add(cuts)

    def pause(self) -> None:
        """The publisher is away; another one may come."""
        self._workshop.pause()
        self._add(self._segmenter.end())
        self._intake = Intake()

    def end(self) -> None:
        """The stream has ended: the lists say so. Nothing may be fed before `begin_again`."""
        self._shelf.ended = True
        self.pause()

    def begin_again(self) -> None:
        """Another stream of the same key: what was there goes, and numbers go on."""
        self._clear()

    def stop(self) -> None:
        """Nothing more is fed; `run` returns when all is written. Another packager may go on."""
        if not self._shelf.ended:
            self.pause()
        self._writer.end()

    def _add(self, cuts: list[Cut]) -> None:
        files = [file for cut in cuts for file in self._shelf.add(cut)]
        self._shelf.expect(self._workshop.era, self._workshop.tracks)
        gone = self._shelf.trim()
        lists = self._lists()
        listed = self.listed.set if lists.keys() & {MASTER, MANIFEST} else None
        self._writer.add(Errand(tuple(files), lists, tuple(gone), listed))

    def _take_rung(self, track: str, taken: Taken) -> None:
        if taken.frame is not None and (cuts := self._segmenter.take_rung(track, taken.record, taken.frame)):
            self._add(cuts)

    def _lists(self) -> dict[str, bytes]:
        shelf, options = self._shelf, self._options
        # the memory first: what lists name must be known to whoever goes on
        lists = {MEMORY: write_shelf(shelf)}
        if options.hls:
            lists |= {name: text.encode() for name, text in playlists(shelf).items()}
        if options.dash:
            now = self._clock.now().timestamp()
            lists |= {name: text.encode() for name, text in manifest(shelf, now).items()}
        return lists

    def _start_over(self, reason: str) -> None:
        """What could not be written is missing: let go of everything, which makes room, and begin at the next keyframe."""
        _log.error("segments are lost", stream=self._name, reason=reason)
        self._segmenter.end()
        self._clear()

    def _clear(self) -> None:
        self.listed.clear()
        gone = [*_lists_of(self._shelf), *self._shelf.clear()]
        self._writer.add(Errand(gone=tuple(gone)))

    def _tell_unfit(self) -> None:
        self._unfit = dict(self._intake.unfit)
        for track, reason in self._unfit.items():
            kind = "video" if track == VIDEO else "audio"
            _log.warning("not packaged", stream=self._name, media=kind, reason=reason)


def _taken_up(folder: Path, options: Packaging, clock: Clock) -> tuple[Shelf, list[str]]:
    """The shelf of who was here before, and files that may go; a new one where nobody was."""
    fresh = Shelf(f"{round(clock.now().timestamp() * 1000):x}", options.window, _hidden(options))
    try:
        shelf = read_shelf((folder / MEMORY).read_bytes())
    except FileNotFoundError:
        return fresh, []
    except (OSError, ValueError) as error:
        _log.warning("what was packaged before is of no use", folder=str(folder), reason=str(error))
        return fresh, []
    if (shelf.listed, shelf.hidden) != (fresh.listed, fresh.hidden):
        return fresh, [*_lists_of(shelf), *shelf.clear()]
    if shelf.ended:
        return shelf, [*_lists_of(shelf), *shelf.clear()]
    return shelf, []


def _hidden(options: Packaging) -> frozenset[str]:
    return frozenset() if options.passthrough else frozenset({VIDEO})


def _lists_of(shelf: Shelf) -> list[str]:
    return [MASTER, MANIFEST, *(playlist_name(track) for track in shelf.lanes)]
