"""Asking: what an origin is told so that it serves a client, and what it answers. Pure.

The client's own `connect` goes on: by what it says of codecs, origins choose what they send.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from marchproxy.model.rtmp import RtmpPool
from marchproxy.modules.rtmp.session.roles import Action, Wish
from marchproxy.wire.rtmp import answers, control, requests
from marchproxy.wire.rtmp.answers import Code, Level, Status
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.message import Message

_CONNECT, _RELEASE, _ANNOUNCE, _CREATE, _BEGIN, _UNPUBLISH, _DELETE = range(1, 8)
#: As many milliseconds as ffmpeg asks for.
_BUFFER: Final = 3000
_BEGINNINGS: Final = {
    Action.PUBLISH: frozenset({Code.PUBLISH_START.value}),
    Action.PLAY: frozenset({Code.PLAY_START.value}),
}


@dataclass(frozen=True, slots=True)
class Place:
    """What a stream is called at an origin."""

    app: str
    tc_url: str
    name: str


def place_of(wish: Wish, options: RtmpPool) -> Place:
    """What the origins of such a pool call the stream that a client wants."""
    app, tc_url, name = wish.connect.app, wish.connect.tc_url, wish.name
    if options.hide_query:
        app, tc_url, name = (text.partition("?")[0] for text in (app, tc_url, name))
    if options.app:
        # what the client's name says of an app in front of it counts as little as its app
        app, name = options.app, wish.key.name + "".join(name.partition("?")[1:])
        tc_url = _of_app(tc_url, app)
    return Place(app, tc_url, name)


class Asking:
    """One attempt at one origin."""

    def __init__(self, wish: Wish, options: RtmpPool) -> None:
        self.refusal: Status | None = None
        """Why the origin does not serve the client."""
        self.is_served = False
        self.stream_id = 1
        """What the origin calls the stream."""
        self._place = place_of(wish, options)
        self._wish = wish

    @property
    def is_answered(self) -> bool:
        """Whether it is known what the origin does."""
        return self.is_served or self.refusal is not None

    def begin(self) -> Sequence[Message]:
        """What we say first."""
        place = self._place
        connect = replace(self._wish.connect, app=place.app, tc_url=place.tc_url, transaction=_CONNECT)
        return (connect.command().message(),)

    def heed(self, command: Command) -> Sequence[Message]:
        """What we say to that, as long as it is neither served nor refused."""
        status = answers.read_status(command)
        if _is_refusal(command, status):
            self.refusal = status
        elif command.name == answers.RESULT:
            return self._answered(command)
        elif status.code in _BEGINNINGS[self._wish.action]:
            self.is_served = True
        return ()

    def farewell(self) -> Sequence[Message]:
        """What we say when the client has said that it leaves."""
        if self._wish.action is Action.PLAY:
            return (Command(requests.DELETE_STREAM, _DELETE, None, (float(self.stream_id),)).message(),)
        said = requests.farewell(self._place.name, self.stream_id, (_UNPUBLISH, _DELETE))
        return tuple(one.message() for one in said)

    def _answered(self, command: Command) -> Sequence[Message]:
        name, publishes = self._place.name, self._wish.action is Action.PUBLISH
        if command.transaction == _CONNECT:
            said = requests.announce(name, (_RELEASE, _ANNOUNCE, _CREATE))
            return tuple(one.message() for one in (said if publishes else said[-1:]))
        if command.transaction != _CREATE:
            return ()
        self.stream_id = stream = int(command.number(0, 1)) & 0xFFFF_FFFF
        if publishes:
            return (requests.Publish(name, transaction=_BEGIN).command().message(stream),)
        play = requests.Play(name, transaction=_BEGIN).command()
        return play.message(stream), control.set_buffer(stream, _BUFFER)


def _is_refusal(command: Command, status: Status) -> bool:
    """Not that to an announcement, which some do not know."""
    if command.name == answers.ERROR:
        return command.transaction not in {_RELEASE, _ANNOUNCE}
    return command.name == "close" or (command.name == answers.ON_STATUS and status.level == Level.ERROR)


def _of_app(tc_url: str, app: str) -> str:
    try:
        parts = urlsplit(tc_url)
    except ValueError:  # brackets that do not close
        return tc_url
    return parts._replace(path=f"/{app}").geturl() if parts.netloc else tc_url
