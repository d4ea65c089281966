"""Requests: the commands that a client sends after connect, and what they ask for (RTMP §7.2.1, §7.2.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from marchproxy.wire.rtmp.commands import Command

CREATE_STREAM: Final = "createStream"
RELEASE_STREAM: Final = "releaseStream"
FC_PUBLISH: Final = "FCPublish"
FC_UNPUBLISH: Final = "FCUnpublish"
FC_SUBSCRIBE: Final = "FCSubscribe"
PUBLISH: Final = "publish"
PLAY: Final = "play"
PAUSE: Final = "pause"
SEEK: Final = "seek"
RECEIVE_AUDIO: Final = "receiveAudio"
RECEIVE_VIDEO: Final = "receiveVideo"
GET_STREAM_LENGTH: Final = "getStreamLength"
CLOSE_STREAM: Final = "closeStream"
DELETE_STREAM: Final = "deleteStream"
CHECK_BANDWIDTH: Final = "_checkbw"
#: Those that name a stream before it is published, by their only argument.
ANNOUNCEMENTS: Final = frozenset({RELEASE_STREAM, FC_PUBLISH})
#: play's `start`: what is live, and else recorded; only what is live.
LIVE_OR_RECORDED: Final = -2
LIVE_ONLY: Final = -1


@dataclass(frozen=True, slots=True)
class Publish:
    """`name` with its query, as it came. `kind`: live, record, append; all are live here."""

    name: str
    kind: str = "live"
    transaction: float = 0

    def command(self) -> Command:
        """As a command, which belongs to a stream."""
        return Command(PUBLISH, self.transaction, None, (self.name, self.kind))


@dataclass(frozen=True, slots=True)
class Play:
    """`name` with its query, as it came. `start`: seconds, or LIVE_…."""

    name: str
    start: float = LIVE_OR_RECORDED
    transaction: float = 0

    def command(self) -> Command:
        """As a command, which belongs to a stream."""
        return Command(PLAY, self.transaction, None, (self.name, self.start))


def read_publish(command: Command) -> Publish:
    """What a `publish` asks for; its name may be empty."""
    return Publish(command.text(0), command.text(1) or "live", command.transaction)


def read_play(command: Command) -> Play:
    """What a `play` asks for; its name may be empty."""
    return Play(command.text(0), command.number(1, LIVE_OR_RECORDED), command.transaction)


def announce(name: str, transactions: Sequence[float]) -> list[Command]:
    """What encoders send before they publish: releaseStream, FCPublish, createStream, with these three transactions."""
    release, publish, create = transactions
    return [
        Command(RELEASE_STREAM, release, None, (name,)),
        Command(FC_PUBLISH, publish, None, (name,)),
        Command(CREATE_STREAM, create),
    ]


def farewell(name: str, stream_id: int, transactions: Sequence[float]) -> list[Command]:
    """What encoders send when they stop: FCUnpublish, deleteStream, with these two transactions."""
    unpublish, delete = transactions
    return [
        Command(FC_UNPUBLISH, unpublish, None, (name,)),
        Command(DELETE_STREAM, delete, None, (stream_id,)),
    ]
