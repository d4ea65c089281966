"""connect: which app a client wants and what it is able to (RTMP §7.2.1.1; Enhanced RTMP v2, "Enhancing NetConnection connect")."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final
from urllib.parse import urlsplit

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.amf0 import Value
from marchproxy.wire.rtmp.commands import Command

CONNECT: Final = "connect"
#: Instead of a codec's FourCC: any.
ANY: Final = "*"
_MOST_CODECS = 64


class Caps(IntFlag):
    """capsEx: what a client or server understands beyond RTMP 1.0."""

    NONE = 0
    RECONNECT = 1
    MULTITRACK = 2
    MOD_EX = 4
    NANO_OFFSET = 8


class Codecs(IntFlag):
    """What can be done with a codec (FourCcInfoMask)."""

    NONE = 0
    DECODE = 1
    ENCODE = 2
    FORWARD = 4


@dataclass(frozen=True, slots=True)
class Abilities:
    """Caps, and the codecs by their FourCCs: a list, and maps that say what is done with each."""

    caps: Caps = Caps.NONE
    four_ccs: tuple[str, ...] = ()
    video: Mapping[str, Codecs] = field(default_factory=dict)
    audio: Mapping[str, Codecs] = field(default_factory=dict)

    def fields(self) -> dict[str, Value]:
        """As they stand in connect and in its answer; what is empty does not."""
        found: dict[str, Value] = {}
        if self.four_ccs:
            found["fourCcList"] = list(self.four_ccs)
        if self.video:
            found["videoFourCcInfoMap"] = {name: float(mask) for name, mask in self.video.items()}
        if self.audio:
            found["audioFourCcInfoMap"] = {name: float(mask) for name, mask in self.audio.items()}
        if self.caps:
            found["capsEx"] = float(self.caps)
        return found


#: Of one that sends on whatever it gets. Reconnecting is announced by who can be told to.
FORWARDING: Final = Abilities(
    caps=Caps.MULTITRACK | Caps.MOD_EX | Caps.NANO_OFFSET,
    video={ANY: Codecs.FORWARD},
    audio={ANY: Codecs.FORWARD},
)


@dataclass(frozen=True, slots=True)
class Connect:
    """What a client says of itself. `properties`: all of it, as it came; `arguments`: what stands behind, for logins."""

    app: str
    tc_url: str = ""
    transaction: float = 1
    properties: Mapping[str, Value] = field(default_factory=dict)
    arguments: tuple[Value, ...] = ()
    abilities: Abilities = Abilities()

    @property
    def vhost(self) -> str:
        """The host in tcUrl, without port, in small letters; empty where there is none."""
        return host_of(self.tc_url)

    @property
    def amf3(self) -> bool:
        """Whether the client would rather talk AMF3 (objectEncoding); it understands AMF0 as well."""
        return self.properties.get("objectEncoding") == 3

    def text(self, name: str) -> str:
        """A property that is a text; empty where there is none."""
        value = self.properties.get(name)
        return value if isinstance(value, str) else ""

    def command(self) -> Command:
        """As a command, with the app, tcUrl and abilities of this value in the place of what came."""
        ours: dict[str, Value] = {"app": self.app, "tcUrl": self.tc_url}
        beyond = ("fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx")
        rest = {name: value for name, value in self.properties.items() if name not in {*ours, *beyond}}
        return Command(CONNECT, self.transaction, {**ours, **rest, **self.abilities.fields()}, self.arguments)


def read_connect(command: Command) -> Connect:
    """What a `connect` says. Raises ProtocolFault where it names no app."""
    properties = command.object
    if not isinstance(properties, dict):
        raise ProtocolFault("connect without properties")
    app, tc_url = properties.get("app"), properties.get("tcUrl")
    if not isinstance(app, str):
        raise ProtocolFault("connect without an app")
    return Connect(
        app,
        tc_url if isinstance(tc_url, str) else "",
        command.transaction,
        properties,
        command.arguments,
        read_abilities(properties),
    )


def read_abilities(fields: Mapping[str, Value]) -> Abilities:
    """Those in a connect, or in its answer; what is not as it should be is taken for nothing."""
    listed = fields.get("fourCcList")
    names = tuple(name for name in listed if isinstance(name, str)) if isinstance(listed, list) else ()
    caps = fields.get("capsEx")
    return Abilities(
        Caps(_mask(caps)),
        names[:_MOST_CODECS],
        _codecs(fields.get("videoFourCcInfoMap")),
        _codecs(fields.get("audioFourCcInfoMap")),
    )


def host_of(url: str) -> str:
    """The host of a tcUrl, without port, in small letters; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # brackets that do not close
        return ""


def split_query(text: str) -> tuple[str, str]:
    """An app or a stream's name, and what stands behind its first `?`. Slashes around a name do not count."""
    name, _, query = text.partition("?")
    return name.strip("/"), query


def _codecs(value: Value) -> dict[str, Codecs]:
    if not isinstance(value, dict):
        return {}
    return {name: Codecs(_mask(mask)) for name, mask in list(value.items())[:_MOST_CODECS]}


def _mask(value: Value) -> int:
    return int(value) & 0xFF if isinstance(value, int | float) and 0 <= value < 1 << 31 else 0
